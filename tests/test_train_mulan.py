"""Training of the joint embedding, on features that are a projection of the truth."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_corpus_truth import _rendering

from engine.words import Words
from model import train_mulan
from model.corpus.composer import compose
from model.corpus.dataset import split_of
from model.corpus.labels import STYLE_NAMES, frame_labels
from model.corpus.phrases import known_words
from model.corpus.truth import truth_of
from model.mulan import Mulan, MulanSizes
from model.train_mulan import Clips, finish, load_mulan, load_words, padded, train, validate
from model.training import Budget, Run

RATE_HZ = 25.0
SIZE = 24


class Store:
    """Features of a few songs: what holds in each frame, turned at random, and noise."""

    rate_hz = RATE_HZ

    def __init__(self, truths: dict[str, dict]) -> None:
        rng = np.random.default_rng(0)
        turn = rng.standard_normal((12 + len(STYLE_NAMES), SIZE))
        self.tokens: dict[str, np.ndarray] = {}
        self.split: dict[str, str] = {}
        self._features = {}
        for name, truth in truths.items():
            frames = int(truth["duration_s"] * RATE_HZ)
            labels = frame_labels(truth, frames, RATE_HZ)
            style = np.eye(len(STYLE_NAMES))[labels["style"]]
            rows = np.concatenate([labels["families"], style], axis=1) @ turn
            rows += 0.5 * rng.standard_normal(rows.shape)
            self._features[name] = rows.astype(np.float16)
            self.tokens[name] = np.zeros(frames, np.int16)
            self.split[name] = split_of(name, 0.5)

    def features(self, name: str) -> np.ndarray:
        return self._features[name]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    """A folder of truths for eight songs of four styles, half held out, and their store."""
    folder = tmp_path_factory.mktemp("corpus")
    truths = {}
    for index in range(8):
        song = compose(("house", "jazz", "ambient", "folk")[index % 4], 1, index)
        name = f"{index:06d}.flac"
        truths[name] = truth_of(song, _rendering(song))
        (folder / name).with_suffix(".json").write_text(json.dumps(truths[name]))
    return folder, Store(truths)


@pytest.fixture(scope="module")
def clips(corpus: tuple[Path, Store]) -> Clips:
    return Clips(*corpus, Words(known_words()))


def _network(clips: Clips) -> Mulan:
    torch.manual_seed(0)
    return Mulan(MulanSizes(clips.size, len(clips.words.known), embedding=16, width=32, heads=2,
                            codes=3, code_vocabulary=16))  # fmt: skip


@pytest.fixture(autouse=True)
def _fitted_on_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_mulan, "FITTED_ON", 1)


def _args(**changes: object) -> argparse.Namespace:
    args = train_mulan.parser().parse_args(["--corpus", "c", "--features", "f", "--out", "o"])
    vars(args).update({"batch": 32, "precision": "fp32", "validate_every": 10, **changes})
    return args


def test_clips_are_split_by_song_and_paired_with_true_words(clips: Clips) -> None:
    assert len(clips.songs["train"]) + len(clips.songs["valid"]) == 8
    held_out = sum(split_of(f"{i:06d}.flac", 0.5) == "valid" for i in range(8))
    assert len(clips.songs["valid"]) == held_out
    features, known = clips.windows("train", 10, 4.0, np.random.default_rng(0))
    assert features.shape == (10, 100, SIZE) and features.dtype == torch.float32
    assert {one.style for one in known} <= {"house", "jazz", "ambient", "folk"}
    features, words = clips.pairs("train", 10, 4.0, np.random.default_rng(0))
    assert words.dtype == torch.int64 and int(words.max()) <= len(clips.words.known)


def test_a_store_of_other_songs_is_refused(corpus: tuple[Path, Store], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="in the store"):
        Clips(tmp_path, corpus[1], Words(known_words()))


def test_rows_are_filled_up() -> None:
    rows = padded([np.array([3, 4]), np.array([], np.int64), np.array([5])])
    assert rows.tolist() == [[3, 4], [0, 0], [5, 0]]
    assert padded([np.array([], np.int64)]).tolist() == [[0]]


def test_the_loss_falls_and_a_finished_run_loads(clips: Clips, tmp_path: Path) -> None:
    run = Run(tmp_path, Budget(40, 5.0, warmup=5))
    with torch.random.fork_rng():
        average = train(_network(clips), clips, run, np.random.default_rng(1), _args(lr=3e-3))
    loaded = load_mulan(tmp_path)
    words = clips.ids(["slow jazz without drums"])
    assert torch.equal(loaded.text_embedding(words), average.text_embedding(words))
    assert load_words(tmp_path) == list(known_words())
    assert (tmp_path / "curve.png").exists()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-2]["train_loss"] < lines[0]["train_loss"] - 0.2
    assert lines[-1]["quantised_audio_cosine"] > 0.5

    again = Run(tmp_path, Budget(40, 5.0))
    train(_network(clips), clips, again, np.random.default_rng(1), _args())
    assert again.step == 40


def test_retrieval_of_a_perfect_network_is_perfect() -> None:
    class Perfect(Mulan):
        def audio_embedding(self, features: torch.Tensor, mask: object = None) -> torch.Tensor:
            return torch.eye(16)[:12]

        def text_embedding(self, words: torch.Tensor) -> torch.Tensor:
            return torch.eye(16)[:12]

    network = Perfect(MulanSizes(4, 10, embedding=16, width=16, heads=2))
    found = validate(network, torch.zeros(12, 8, 4), torch.arange(12)[:, None])
    assert found["recall_at_1"] == 1.0 and found["recall_at_10"] == 1.0
    assert found["valid_loss"] < 0.01


def test_other_words_are_refused_and_so_is_half_a_run(clips: Clips, tmp_path: Path) -> None:
    network = _network(clips)
    run = Run(tmp_path, Budget(2, 5.0))
    train(network, clips, run, np.random.default_rng(1), _args(batch=4))
    state = torch.load(run.checkpoint, weights_only=True)
    state["average"]["quantiser.entries"].zero_()
    torch.save(state, run.checkpoint)
    with pytest.raises(SystemExit, match="not ended"):
        load_mulan(tmp_path)
    torch.save(state | {"words": ["drum"]}, run.checkpoint)
    with pytest.raises(SystemExit, match="other known words"):
        train(network, clips, Run(tmp_path, Budget(2, 5.0)), np.random.default_rng(1), _args())


def test_the_means_of_both_towers_are_taken_out(clips: Clips) -> None:
    network = _network(clips).eval()
    errors = finish(network, clips, np.random.default_rng(0), 2)
    features, words = clips.pairs("train", 256, 6.0, np.random.default_rng(5))
    with torch.no_grad():
        assert network.audio_embedding(features).mean(0).norm() < 0.3
        assert network.text_embedding(words).mean(0).norm() < 0.3
    assert set(errors) == {"quantised_audio_cosine", "quantised_text_cosine"}
