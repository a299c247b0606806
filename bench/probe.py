"""`python -m bench.probe`: what the semantic tokens know of the music.

Linear readers, taught on the training songs of a corpus and asked about held-out ones, read beat,
chord, section, instruments and style from the hidden features and from the tokens alone, beside
the commonest class and pure chance. Both see four tokens to either side.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.judge import truth_of
from bench.linear import UNASKED, Dense, Labels, OneHot, Score, commonest, fit, read
from bench.markdown import Row, table
from bench.report import plain, to_json
from engine.brief import FAMILIES
from engine.cli import Parser
from model.corpus.labels import NO_CHORD, SIXTEENTHS, STYLE_NAMES, frame_labels
from model.tokenise import Semantics

REACH = 4
"""Tokens to either side that a reader sees."""
CLASSES = {
    "sixteenth of the bar": SIXTEENTHS,
    "is a beat": 2,
    "root of the chord": 12,
    "minor or major": 2,
    "chord": 24,
    "energy of the section": 4,
    "style": len(STYLE_NAMES),
    **{family: 2 for family in FAMILIES},
}


def targets(truth: dict[str, Any], frames: int, rate_hz: float) -> Labels:
    """What is asked about each frame of a song, int64[frames] each."""
    known = frame_labels(truth, frames, rate_hz)
    root, quality = known["root"], known["quality"]
    rooted, toned = root != NO_CHORD, (root != NO_CHORD) & (quality < 2)
    return {
        "sixteenth of the bar": known["sixteenth"],
        "is a beat": (known["sixteenth"] % 4 == 0).astype(np.int64),
        "root of the chord": np.where(rooted, root, UNASKED),
        "minor or major": np.where(toned, quality, UNASKED),
        "chord": np.where(toned, 12 * quality + root, UNASKED),
        "energy of the section": known["energy"],
        "style": known["style"],
        **{name: known["families"][:, k].astype(np.int64) for k, name in enumerate(FAMILIES)},
    }


@dataclass(frozen=True)
class Frames:
    """The frames of some songs, one song behind the other, with what is asked about them."""

    tokens: npt.NDArray[np.int64]  # [frames + 2·REACH]; a song's ends see its neighbours
    features: npt.NDArray[np.float32]  # [frames + 2·REACH, D]
    labels: Labels

    @classmethod
    def of(cls, store: Semantics, corpus: Path, names: Sequence[str]) -> Frames:
        """ValueError where none of the songs has its truth in `corpus`."""
        tokens, features, labels = [], [], []
        for name in names:
            if (truth := truth_of(corpus, name)) is not None:
                tokens.append(store.tokens[name].astype(np.int64))
                features.append(store.features(name).astype(np.float32))
                labels.append(targets(truth, len(tokens[-1]), store.rate_hz))
        if not tokens:
            raise ValueError(f"none of {len(names)} songs has its truth in {corpus}")
        return cls(
            np.pad(np.concatenate(tokens), REACH, mode="edge"),
            np.pad(np.concatenate(features), ((REACH, REACH), (0, 0)), mode="edge"),
            {key: np.concatenate([each[key] for each in labels]) for key in CLASSES},
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.tokens) - 2 * REACH

    def of_tokens(self, frames: npt.NDArray[np.int64]) -> Tensor:
        """int64[B, 9] around each frame."""
        return torch.from_numpy(self.tokens[frames[:, None] + np.arange(2 * REACH + 1)])

    def of_features(self, frames: npt.NDArray[np.int64]) -> Tensor:
        """float32[B, 9, D] around each frame."""
        return torch.from_numpy(self.features[frames[:, None] + np.arange(2 * REACH + 1)])


def probe(taught: Frames, asked: Frames, vocabulary: int, steps: int) -> dict[str, Any]:
    """Scores of both readers and of the commonest class on every target."""
    outputs = sum(CLASSES.values())
    context = 2 * REACH + 1
    linear = Dense(taught.features, context, outputs)
    one_hot = OneHot(vocabulary, context, outputs)
    fit(linear, taught.of_features, taught.labels, CLASSES, steps, rate=5e-3)
    fit(one_hot, taught.of_tokens, taught.labels, CLASSES, steps, rate=2e-2)
    heard = {
        "features": read(linear, asked.of_features, asked.count, CLASSES),
        "tokens": read(one_hot, asked.of_tokens, asked.count, CLASSES),
        "commonest": {
            name: np.full(asked.count, commonest(taught.labels[name])) for name in CLASSES
        },
    }
    return {
        name: {
            "chance": 1.0 / classes,
            **{kind: Score.of(found[name], asked.labels[name]) for kind, found in heard.items()},
        }
        for name, classes in CLASSES.items()
    }


def page(report: dict[str, Any]) -> str:
    """The report, plain, in Markdown."""
    rows: list[Row] = [_row(name, found) for name, found in report["targets"].items()]
    means = {
        kind: {key: float(np.mean([report["targets"][f][kind][key] for f in FAMILIES]))
               for key in ("accuracy", "balanced")}
        for kind in ("features", "tokens", "commonest")
    }  # fmt: skip
    rows.append(_row("**mean of the instruments**", {"chance": 0.5, **means}))
    head = (
        "read", "from features", "balanced", "from tokens", "balanced", "commonest class", "chance"
    )  # fmt: skip
    return "\n\n".join([
        f"Read by linear readers from {report['asked']} frames of {report['held_out_songs']} "
        f"held-out songs, taught on {report['taught']} of {report['songs']} songs.",
        table(head, rows),
    ])  # fmt: skip


def _row(name: str, found: dict[str, Any]) -> Row:
    sides = [
        found[kind][key] for kind in ("features", "tokens") for key in ("accuracy", "balanced")
    ]
    return (name, *sides, found["commonest"]["accuracy"], found["chance"])


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(prog="python -m bench.probe", description=__doc__)
    shaped.add_argument("--corpus", type=Path, required=True, help="folder with the songs' truth")
    shaped.add_argument("--features", type=Path, required=True, help="store of model.tokenise")
    shaped.add_argument("--out", type=Path, help="folder for probe.json and probe.md")
    shaped.add_argument("--steps", type=int, default=1500)
    shaped.add_argument("--threads", type=int, default=1)
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Read, print, write; 0, or 2 where there is nothing to read."""
    options = parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    try:
        store = Semantics(options.features)
        sides = {
            split: [name for name in store.names if store.split[name] == split]
            for split in ("train", "valid")
        }
        taught, asked = (Frames.of(store, options.corpus, names) for names in sides.values())
    except (ValueError, OSError) as error:
        print(f"probe: {error}", file=sys.stderr)
        return 2
    report = plain({
        "songs": len(sides["train"]), "held_out_songs": len(sides["valid"]),
        "taught": taught.count, "asked": asked.count,
        "targets": probe(taught, asked, store.vocabulary, options.steps),
    })  # fmt: skip
    print(page(report))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "probe.json").write_text(to_json(report, 1) + "\n", encoding="utf-8")
        (options.out / "probe.md").write_text(page(report) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
