# The only spelling of every command; `make` prints them.
# Each target sets up what it needs, once: stamps inside .venv say what is already there.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# onnxruntime and onnxruntime-gpu exclude each other; this picks the one to have.
RUNTIME ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
OTHER := $(if $(filter gpu,$(RUNTIME)),cpu,gpu)
# More options for the command behind a target: make bench ARGS="--seconds 600 --json"
ARGS ?=
# Tests side by side; tests/conftest.py says which share a worker. 0 is one after the other.
TEST_WORKERS ?= 2
# A Python that has acids-rave, for its row of make peers.
RAVE ?=
# A Python that has torch, for make gpu: the environment's, else the system's.
GPU_PYTHON ?= $(shell for p in $(BIN)/python python3 python; do \
	$$p -c 'import torch' 2>/dev/null && echo $$p && exit; done; echo $(PYTHON))

# The recipe: where it works, and how long. DATA= trains on a folder of recordings
# instead of the corpus, INIT= starts from the networks of another such place (RUNS, or what
# export.restore wrote) instead of from nothing. PRESET=paper trains the published VAE-GAN by
# make train-autoencoder; it belongs on a GPU (ARGS="--device cuda") and is not exported.
RUNS ?= runs
SONGS ?= 260
SCORES ?=
DATA ?=
PRESET ?= live
SEED ?= 1
HELD_OUT_SEED ?= 99
AUTOENCODER_MINUTES ?= 80
ADVERSARIAL_MINUTES ?= 0
SEMANTIC_MINUTES ?= 20
MULAN_MINUTES ?= 8
LANGUAGE_MINUTES ?= 60
VELOCITY_MINUTES ?= 130
DISTILLED_MINUTES ?= 50
INIT ?=
INIT_AUTOENCODER ?= $(if $(INIT),$(INIT)/autoencoder)
INIT_VELOCITY ?= $(if $(INIT),$(INIT)/velocity)
BUNDLE ?= $(RUNS)/bundle
# The corpus knows what it plays; recordings do not, so training on DATA= goes without prompts.
TRUTH := --corpus $(RUNS)/corpus
ASKED := $(if $(DATA),,--features $(RUNS)/tokens --mulan $(RUNS)/mulan $(TRUTH))
PROMPTED := $(if $(DATA),,--semantic $(RUNS)/semantic --mulan $(RUNS)/mulan --language $(RUNS)/language)

# Fine-tuning on DATA= works in $(TUNING) and ends in the bundle $(FINETUNED).
SHIPPED ?= engine/bundles/live
TUNING ?= $(RUNS)/finetune
FINETUNED ?= $(RUNS)/finetuned
FINETUNE_MINUTES ?= 60
FINETUNE_LANGUAGE_MINUTES ?= 15

VENV := .venv
BIN := $(VENV)/bin
PLAY := $(VENV)/.play-$(RUNTIME)
TRAIN := $(VENV)/.train-$(RUNTIME)
TEST := $(VENV)/.test-$(RUNTIME)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help play test faults soak day autobahn style types layers bench peers gpu quality adherence clean \
	train corpus train-autoencoder train-semantic train-mulan train-language train-velocity train-distilled \
	export finetune

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

play: $(PLAY) ## set up and serve the music: open the address it prints
	$(BIN)/perpetuo serve $(ARGS)

test: $(TEST) ## set up and run every test
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(ARGS)

faults: $(TEST) $(VENV)/.apt-faults ## the faults it must survive, each with its number (docs/faults.md)
	$(BIN)/python -m pytest -o faulthandler_timeout=1800 --timeout 3600 tests/faults $(ARGS)

soak: $(PLAY) ## an hour of music on busy cores: underruns, memory (ARGS="--load 2 --seconds 3600")
	$(BIN)/python -m bench.soak $(ARGS)

day: $(PLAY) ## a day of music through the stand-in, as fast as it goes: not one sample lost
	$(BIN)/python -m bench.day $(ARGS)

autobahn: $(PLAY) ## the Autobahn test suite against our server; fetches it from PyPI
	$(BIN)/python -m bench.autobahn $(ARGS)

style: $(TEST) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST) ## mypy: strict on engine and export
	$(BIN)/mypy

layers: $(TEST) ## import-linter: the floors
	$(BIN)/lint-imports

bench: $(PLAY) ## latency, real-time factor, misses
	$(BIN)/perpetuo bench $(ARGS)

peers: $(TRAIN) ## what a user would pick instead, timed beside ours (docs/peers.md)
	$(BIN)/python -m bench.peers $(if $(RAVE),--rave-python '$(RAVE)') $(ARGS)

gpu: ## what it does on a GPU, one table in ten minutes; downloads nothing (docs/backends.md)
	@$(GPU_PYTHON) -m bench.gpu $(ARGS)

quality: $(TRAIN) $(VENV)/.apt-corpus ## the quality report on 48 songs nothing was trained on
	$(BIN)/python -m model.corpus --out $(RUNS)/held-out/corpus --songs 48 \
		--seed $(HELD_OUT_SEED) --no-stems
	$(BIN)/python -m model.corpus.prepare --data $(RUNS)/held-out/corpus --out $(RUNS)/held-out/data
	$(BIN)/python -m bench.quality --data $(RUNS)/held-out/data --split all $(ARGS)

adherence: $(TRAIN) ## how far the music does what is asked, by a judge of its own; after corpus
	$(BIN)/python -m bench.judge --corpus $(RUNS)/corpus --data $(RUNS)/data --out $(RUNS)/judge
	$(BIN)/python -m bench.adherence --judge $(RUNS)/judge --corpus $(RUNS)/corpus \
		--data $(RUNS)/data --out $(RUNS)/adherence $(ARGS)

train: ## the whole recipe: the next eight, one after the other
	$(MAKE) --no-print-directory corpus
	$(MAKE) --no-print-directory train-autoencoder
	$(if $(DATA),,$(MAKE) --no-print-directory train-semantic)
	$(if $(DATA),,$(MAKE) --no-print-directory train-mulan)
	$(if $(DATA),,$(MAKE) --no-print-directory train-language)
	$(MAKE) --no-print-directory train-velocity
	$(if $(DATA),,$(MAKE) --no-print-directory train-distilled)
	$(MAKE) --no-print-directory export

ifeq ($(DATA),)
corpus: $(TRAIN) $(VENV)/.apt-corpus ## compose, render and prepare the corpus, or prepare DATA=folder
	$(BIN)/python -m model.corpus --out $(RUNS)/corpus --songs $(SONGS) --seed $(SEED) --no-stems \
		$(if $(SCORES),--scores '$(SCORES)')
	$(BIN)/python -m model.corpus.prepare --data $(RUNS)/corpus --out $(RUNS)/data
else
corpus: $(TRAIN)
	$(BIN)/python -m model.corpus.prepare --data '$(DATA)' --out $(RUNS)/data
endif

train-autoencoder: $(TRAIN) ## train the autoencoder; resumes after a stop
	$(BIN)/python -m model.train_autoencoder --data $(RUNS)/data --out $(RUNS)/autoencoder \
		--preset $(PRESET) --minutes $(AUTOENCODER_MINUTES) \
		--adversarial-minutes $(ADVERSARIAL_MINUTES) $(TRUTH) \
		$(if $(INIT_AUTOENCODER),--init '$(INIT_AUTOENCODER)') $(ARGS)

train-semantic: $(TRAIN) ## train what listens, and write the corpus as tokens
	$(BIN)/python -m model.train_semantic --data $(RUNS)/data $(TRUTH) --out $(RUNS)/semantic \
		--preset $(PRESET) --minutes $(SEMANTIC_MINUTES) $(ARGS)
	$(BIN)/python -m model.tokenise --data $(RUNS)/data --semantic $(RUNS)/semantic \
		--out $(RUNS)/tokens $(if $(DATA),,--semitones 0 -4 -2 2 4)

train-mulan: $(TRAIN) ## train the joint music-text embedding; needs the corpus's captions
	$(BIN)/python -m model.train_mulan --corpus $(RUNS)/corpus --features $(RUNS)/tokens \
		--out $(RUNS)/mulan --minutes $(MULAN_MINUTES) $(ARGS)

train-language: $(TRAIN) ## train the semantic language model
	$(BIN)/python -m model.train_language --features $(RUNS)/tokens --mulan $(RUNS)/mulan \
		$(TRUTH) --out $(RUNS)/language --preset $(PRESET) \
		--minutes $(LANGUAGE_MINUTES) $(ARGS)

train-velocity: $(TRAIN) ## train the velocity network; resumes after a stop
	$(BIN)/python -m model.train_velocity --data $(RUNS)/data --out $(RUNS)/velocity \
		--autoencoder $(RUNS)/autoencoder --minutes $(VELOCITY_MINUTES) \
		$(ASKED) $(if $(INIT_VELOCITY),--init '$(INIT_VELOCITY)') $(ARGS)

train-distilled: $(TRAIN) ## distil the velocity network: five passes, guidance inside
	$(BIN)/python -m model.train_distilled --velocity $(RUNS)/velocity \
		--autoencoder $(RUNS)/autoencoder --data $(RUNS)/data $(ASKED) \
		--out $(RUNS)/distilled --minutes $(DISTILLED_MINUTES) $(ARGS)

export: $(TRAIN) ## write the bundle and compare it with torch
	$(BIN)/python -m export --autoencoder $(RUNS)/autoencoder \
		--velocity $(RUNS)/$(if $(DATA),velocity,distilled --steps 5 --guidance 1) \
		$(PROMPTED) --out $(BUNDLE) \
		$(if $(DATA),--trained-on 'a folder of recordings') $(ARGS)

finetune: $(TRAIN) ## fine-tune the shipped networks on DATA=folder; resumes after a stop
	@test -d '$(DATA)' || { echo 'finetune: no folder "$(DATA)"; say DATA=folder of recordings' >&2; exit 2; }
	$(BIN)/python -m model.corpus.prepare --data '$(DATA)' --out $(TUNING)/data
	$(BIN)/python -m export.restore --bundle $(SHIPPED) --out $(TUNING)/shipped
	$(BIN)/python -m model.tokenise --data $(TUNING)/data \
		--semantic $(TUNING)/shipped/semantic --out $(TUNING)/tokens
	$(BIN)/python -m model.train_language --features $(TUNING)/tokens \
		--mulan $(TUNING)/shipped/mulan --out $(TUNING)/language \
		--init $(TUNING)/shipped/language --lr 2e-4 --minutes $(FINETUNE_LANGUAGE_MINUTES)
	$(BIN)/python -m model.train_velocity --data $(TUNING)/data --out $(TUNING)/velocity \
		--autoencoder $(TUNING)/shipped/autoencoder --init $(TUNING)/shipped/velocity \
		--features $(TUNING)/tokens --mulan $(TUNING)/shipped/mulan \
		--lr 2e-4 --minutes $(FINETUNE_MINUTES) $(ARGS)
	$(BIN)/python -m export --autoencoder $(TUNING)/shipped/autoencoder \
		--velocity $(TUNING)/velocity --semantic $(TUNING)/shipped/semantic \
		--mulan $(TUNING)/shipped/mulan --language $(TUNING)/language \
		--out $(FINETUNED) --name finetuned \
		--trained-on 'The corpus of the shipped networks, then a folder of recordings.'

clean: ## remove the environment and the caches; runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up -----------------------------------------------------------------------------------

# $(call apt,PACKAGES): install what is missing, as root or by sudo; otherwise say what to install.
define apt
@missing=$$(for p in $(1); do \
	dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed$$' || echo $$p; done); \
test -z "$$missing" && exit 0; \
echo "set-up: system packages:" $$missing; \
if [ "$$(id -u)" = 0 ]; then as=env; elif [ -t 0 ]; then as=sudo; else as='sudo -n'; fi; \
export DEBIAN_FRONTEND=noninteractive; \
{ $$as apt-get -qq update && \
  $$as apt-get -qq install -y --no-install-recommends -o DPkg::Lock::Timeout=120 $$missing >/dev/null; } || \
echo "set-up: could not install them; please install:" $$missing >&2
endef

PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "set-up: Python 3.11 or newer is needed; install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory apt-venv
	@echo "set-up: environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

.PHONY: apt-venv
apt-venv:
	$(call apt,$(notdir $(PYTHON))-venv)

$(VENV)/.apt-play: $(VENV)/.made
	$(call apt,libportaudio2)
	@touch $@

$(VENV)/.apt-corpus: $(VENV)/.made
	$(call apt,fluidsynth fluid-soundfont-gm)
	@touch $@

$(VENV)/.apt-test: $(VENV)/.apt-play $(VENV)/.apt-corpus
	$(call apt,jackd2 chromium icecast2 ffmpeg)
	@touch $@

$(VENV)/.apt-faults: $(VENV)/.apt-test
	$(call apt,stress-ng gcc libc6-dev)
	@touch $@

$(PLAY): pyproject.toml | $(VENV)/.apt-play
	@echo "set-up: the engine with its $(RUNTIME) runtime"
	@test ! -e $(VENV)/.play-$(OTHER) || \
		$(BIN)/python -m pip --quiet uninstall --yes onnxruntime onnxruntime-gpu
	@rm -f $(VENV)/.play-* $(VENV)/.train-* $(VENV)/.test-*
	@$(PIP) --editable '.[$(RUNTIME)]'
	@touch $@

# torch comes first and by itself: its wheel is the largest download and must not be resolved twice.
$(TRAIN): $(PLAY)
	@echo "set-up: torch"
	@$(PIP) torch==2.13.0
	@echo "set-up: what training and export need"
	@$(PIP) --editable '.[$(RUNTIME),train]'
	@touch $@

$(TEST): $(TRAIN) | $(VENV)/.apt-test
	@echo "set-up: what the tests and checks need"
	@$(PIP) --editable '.[$(RUNTIME),train,dev,rig,opus]'
	@$(PIP) --editable '.[kernels]' || \
		echo 'set-up: no Triton: the tests of the kernels are skipped' >&2
	@touch $@
