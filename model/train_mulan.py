"""Train the joint music-text embedding.

`python -m model.train_mulan --corpus DIR --features STORE --out RUN`

Windows of the songs, as features that `model.tokenise` has stored, are paired with captions
written anew each time (`model.corpus.captions`). Songs held out are those of the store. At the
end the quantiser is fitted and a table says what text finds among held-out songs. Resumable: run
the same command again.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.words import Words
from model.corpus.captions import Facts, caption, facts
from model.corpus.phrases import known_words
from model.corpus.variants import truth_beside
from model.mulan import Mulan, MulanSizes
from model.retrieval import table
from model.training import Average, Budget, Run, clip_and_step, cores, run_options

WINDOW_S = (4.0, 12.0)
HELD_OUT_S = 8.0
HELD_OUT = 256
"""Windows in the validation."""
FITTED_ON = 80
"""Batches of 256 windows from which the means and the quantiser are taken."""
NOISE = 0.3
"""Deviation of what is added to the features in training; they themselves have about 1."""


class Features(Protocol):
    """What a store of features offers (`model.tokenise.Semantics`)."""

    rate_hz: float
    tokens: dict[str, Any]
    split: dict[str, str]

    def features(self, name: str) -> np.ndarray:
        """float16 [n, D]."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_mulan", description=__doc__)
    p.add_argument("--corpus", type=Path, required=True, help="folder that model.corpus has built")
    p.add_argument("--features", type=Path, required=True, help="store that model.tokenise wrote")
    p.add_argument("--preset", default="live")
    run_options(p, minutes=8.0, batch=256, lr=1.5e-3, validate_every=100)
    return p


class Clips:
    """Windows of songs as features, and captions of them."""

    def __init__(self, corpus: Path, store: Features, words: Words) -> None:
        """Every song of the store whose truth lies in `corpus`; SystemExit where a split is empty.

        Args:
            corpus: the folder that the names in the store start from.
            store: features by name.
            words: the known words.
        """
        self.words, self.rate_hz = words, store.rate_hz
        self.songs: dict[str, list[tuple[np.ndarray, dict[str, Any]]]] = {"train": [], "valid": []}
        for name in sorted(store.tokens):
            truth, found = truth_beside(corpus, name), store.features(name)
            if truth is not None and len(found) >= WINDOW_S[1] * store.rate_hz:
                self.songs[store.split[name]].append((found, truth))
        for split, songs in self.songs.items():
            if not songs:
                raise SystemExit(f"no {split} song of {corpus} in the store: tokenise more songs")

    @property
    def size(self) -> int:
        """Values of one feature."""
        return int(self.songs["train"][0][0].shape[1])

    def windows(
        self, split: str, count: int, seconds: float, rng: np.random.Generator
    ) -> tuple[Tensor, list[Facts]]:
        """features float32 [count, n, D] and what holds in each; every song as often as any."""
        songs, frames = self.songs[split], int(seconds * self.rate_hz)
        order = np.resize(rng.permutation(len(songs)), count)
        rows, known = [], []
        for features, truth in (songs[i] for i in order):
            start = int(rng.integers(len(features) - frames + 1))
            rows.append(np.asarray(features[start : start + frames], np.float32))
            known.append(facts(truth, start / self.rate_hz, (start + frames) / self.rate_hz))
        return torch.from_numpy(np.stack(rows)), known

    def pairs(
        self, split: str, count: int, seconds: float, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """features float32 [count, n, D] and the words of a caption each, int64 [count, m]."""
        features, known = self.windows(split, count, seconds, rng)
        return features, self.ids([caption(one, rng) for one in known])

    def ids(self, texts: list[str]) -> Tensor:
        """int64 [texts, m], filled up with 0."""
        return padded([self.words.ids(text) for text in texts])


def padded(rows: list[np.ndarray]) -> Tensor:
    """Rows of ids of any lengths -> int64 [rows, longest], filled up with 0."""
    out = torch.zeros(len(rows), max(1, *(len(row) for row in rows)), dtype=torch.int64)
    for row, ids in zip(out, rows, strict=True):
        row[: len(ids)] = torch.from_numpy(ids)
    return out


@torch.no_grad()
def validate(network: Mulan, features: Tensor, words: Tensor) -> dict[str, float]:
    """Loss, and how often a caption finds its window among all: first, or in the first ten."""
    audio, text = network.audio_embedding(features), network.text_embedding(words)
    scores = text @ audio.T
    rank = (scores > scores.diagonal()[:, None]).sum(1)
    return {
        "valid_loss": float(network.loss(audio, text, words)),
        "recall_at_1": float((rank < 1).float().mean()),
        "recall_at_10": float((rank < 10).float().mean()),
    }


@torch.no_grad()
def finish(network: Mulan, clips: Clips, rng: np.random.Generator, count: int) -> dict[str, float]:
    """Take the means of the two towers out, then fit the quantiser to both; its errors."""
    audio, text = [], []
    for _ in range(count):
        features, words = clips.pairs("train", 256, float(rng.uniform(*WINDOW_S)), rng)
        audio.append(network.audio_embedding(features))
        text.append(network.text_embedding(words))
    every_audio, every_text = torch.cat(audio), torch.cat(text)
    for tower, found in ((network.audio, every_audio), (network.text, every_text)):
        tower.mean.copy_(found.mean(0))
    unit = torch.nn.functional.normalize
    both = torch.cat([unit(every_audio - network.audio.mean, dim=-1),
                      unit(every_text - network.text.mean, dim=-1)])  # fmt: skip
    network.quantiser.fit(both)
    features, words = clips.pairs("valid", HELD_OUT, HELD_OUT_S, rng)
    errors: dict[str, float] = {}
    for name, rows in (("audio", network.audio_embedding(features)),
                       ("text", network.text_embedding(words))):  # fmt: skip
        cosine = (network.quantised(network.codes(rows)) * rows).sum(-1)
        errors[f"quantised_{name}_cosine"] = float(cosine.mean())
    return errors


def train(
    network: Mulan, clips: Clips, run: Run, rng: np.random.Generator, args: argparse.Namespace
) -> Mulan:
    """Run the budget down; the averaged network."""
    average = Average(network, 0.998)
    optimiser = torch.optim.AdamW(network.parameters(), args.lr, betas=(0.9, 0.98),
                                  weight_decay=0.05)  # fmt: skip
    parts = {"network": network, "average": average.network, "optimiser": optimiser}
    facts_of_run = {"preset": args.preset, "sizes": asdict(network.sizes),
                    "words": list(clips.words.known)}  # fmt: skip
    state = run.load(parts)
    if state is not None and state["words"] != facts_of_run["words"]:
        raise SystemExit(f"{run.folder} was trained with other known words: name another --out")
    average.updates = run.step
    for tower in (average.network.audio, average.network.text):
        tower.mean.zero_()
    held_out = clips.pairs("valid", HELD_OUT, HELD_OUT_S, np.random.default_rng(0))
    smooth = float(np.log(args.batch))
    for bar in run.steps([optimiser]):
        features, words = clips.pairs("train", args.batch, float(rng.uniform(*WINDOW_S)), rng)
        features += NOISE * torch.randn_like(features)
        with sdpa_kernel(SDPBackend.MATH):  # backwards twice as fast as flash on short sequences
            with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
                audio, text = network.audio_embedding(features), network.text_embedding(words)
            loss = network.loss(audio, text, words)
            loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, network, 1.0)
        average.update(network)
        smooth += 0.05 * (loss.item() - smooth)
        if run.step % args.validate_every == args.validate_every - 1:
            found = validate(average.network, *held_out)
            run.log(train_loss=smooth, **found)
            bar.set_postfix_str(f"loss {smooth:.3f}, held-out {found['valid_loss']:.3f}, "
                                f"R@10 {found['recall_at_10']:.2f}")  # fmt: skip
        if run.due():
            run.save(parts, **facts_of_run)
    found = finish(average.network, clips, rng, FITTED_ON)
    run.log(train_loss=smooth, **validate(average.network, *held_out), **found)
    run.save(parts, **facts_of_run)
    run.plot(["train_loss", "valid_loss", "recall_at_10"])
    return average.network


def load_mulan(folder: Path) -> Mulan:
    """The averaged network of a finished run; SystemExit where training has not ended yet."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    network = Mulan(MulanSizes(**state["sizes"]))
    network.load_state_dict(state["average"])
    if not network.quantiser.entries.any():
        raise SystemExit(f"{folder}: training has not ended, run model.train_mulan again")
    return network.eval()


def load_words(folder: Path) -> list[str]:
    """The known words of a run: words.json of a bundle."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return [str(word) for word in state["words"]]


def main(argv: list[str] | None = None) -> int:
    """Train, then print what text finds."""
    from model.tokenise import Semantics

    args = parser().parse_args(argv)
    run = Run(args.out, Budget(args.steps, args.minutes, warmup=100))
    words = Words(known_words())
    clips = Clips(args.corpus, Semantics(args.features), words)
    with cores(args.threads, args.seed) as rng:
        network = Mulan(MulanSizes(clips.size, len(words.known)))
        average = train(network, clips, run, rng, args)
        print(table(average, words, *clips.windows("valid", 512, HELD_OUT_S, rng)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
