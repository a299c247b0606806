"""`python -m bench.judge`: train the ear that judges, and say how far it can be trusted.

It learns style and sounding instruments from the corpus's audio and truth; songs of split "valid"
are held out and only measured on. Writes judge.pt and judge.json into a folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from bench.ear import (
    BANDS,
    CHECKPOINT,
    HOP_SAMPLES,
    RATE_HZ,
    WINDOW_S,
    WINDOW_SAMPLES,
    Ear,
    log_mel,
    relative,
)
from bench.markdown import Row, table
from bench.material import stretch
from bench.report import to_json
from bench.scene import SILENT, SOUNDS
from engine.brief import FAMILIES
from engine.cli import Parser
from engine.errors import PerpetuoError
from model.corpus.dataset import Entry, Songs
from model.corpus.labels import STYLE_NAMES, frame_labels

LABEL_HZ = 10.0
BATCH = 32
ROWS = WINDOW_SAMPLES // HOP_SAMPLES
RATE = 2e-3


@dataclass(frozen=True)
class Song:
    """A song with its truth: style, and at 10 Hz which instruments sound, float32 [n, 12]."""

    entry: Entry
    style: int
    sounding: npt.NDArray[np.float32]

    def share(self, row: int) -> npt.NDArray[np.float32]:
        """Share [12] of the window from `row` on in which each instrument sounds."""
        first = round(row * HOP_SAMPLES / RATE_HZ * LABEL_HZ)
        whole: npt.NDArray[np.float32] = self.sounding[first:][: round(WINDOW_S * LABEL_HZ)]
        return whole.mean(axis=0)


def truth_of(corpus: Path, name: str) -> dict[str, Any] | None:
    """The JSON beside a song of the corpus; None for a recording that has none."""
    try:
        found: dict[str, Any] = json.loads((corpus / name).with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
    return found


def known_songs(songs: Songs, corpus: Path, split: str) -> list[Song]:
    """The songs of a split that have a truth and are long enough.

    ValueError where there are none.
    """
    found = []
    for entry in songs.split(split):
        truth = truth_of(corpus, entry.name)
        seconds = entry.samples / songs.sample_rate_hz
        if truth is not None and seconds >= WINDOW_S:
            frames = round(seconds * LABEL_HZ)
            sounding = frame_labels(truth, frames, LABEL_HZ)["families"]
            found.append(Song(entry, STYLE_NAMES.index(truth["style"]), sounding))
    if not found:
        raise ValueError(f"no {split} song has its truth in {corpus}")
    return found


def spectra(songs: Songs, entry: Entry) -> npt.NDArray[np.float16]:
    """log_mel of a song, float16 [rows, 80]."""
    audio = stretch(songs, entry, 0.0, entry.samples / songs.sample_rate_hz, RATE_HZ)
    rows: npt.NDArray[np.float16] = (
        log_mel(torch.from_numpy(audio).float()[None])[0].numpy().astype(np.float16)
    )
    return rows


class Windows:
    """Windows of known songs as batches. The spectra of all songs are kept: 30 MB an hour."""

    def __init__(self, songs: Songs, known: list[Song]) -> None:
        self.known = known
        self._rows = {
            song.entry.name: spectra(songs, song.entry)
            for song in tqdm(known, unit="song", desc="spectra", disable=None)
        }
        self._by_style = [[s for s in known if s.style == k] for k in range(len(STYLE_NAMES))]

    def batch(self, places: Sequence[tuple[Song, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """(song, first row) of each -> what the ear takes, styles int64[B], wanted float32[B, 12].

        Of the instruments 1 is wanted, 0 is not, and -1 is unsure.
        """
        rows = np.stack([self._rows[song.entry.name][at : at + ROWS] for song, at in places])
        shares = np.stack([song.share(at) for song, at in places])
        wanted = np.where(shares >= SOUNDS, 1.0, np.where(shares <= SILENT, 0.0, -1.0))
        styles = torch.tensor([song.style for song, _ in places])
        return relative(torch.from_numpy(rows).float()), styles, torch.from_numpy(wanted).float()

    def draw(self, rng: np.random.Generator, count: int) -> list[tuple[Song, int]]:
        """Random windows, every style that there is as often as the others."""
        styles = [songs for songs in self._by_style if songs]
        chosen = [
            styles[k][rng.integers(len(styles[k]))] for k in rng.integers(len(styles), size=count)
        ]
        return [(song, int(rng.integers(self._last(song) + 1))) for song in chosen]

    def all(self) -> list[tuple[Song, int]]:
        """Every song cut into windows, one behind the other."""
        return [
            (song, start) for song in self.known for start in range(0, self._last(song) + 1, ROWS)
        ]

    def _last(self, song: Song) -> int:
        return len(self._rows[song.entry.name]) - ROWS

    def family_odds(self) -> Tensor:
        """How many times rarer each instrument is there than not, float32[12], 0.2 … 10."""
        share = np.concatenate([song.sounding for song in self.known]).mean(axis=0)
        return torch.from_numpy((1 - share) / np.maximum(share, 1e-3)).float().clamp(0.2, 10.0)


def disguised(seen: Tensor) -> Tensor:
    """Levels [B, 1, n, 80] as another mix would have them: tilted, bent, under a raised floor.

    So that the ear does not lean on what an autoencoder changes.
    """
    rows = torch.linspace(-1.0, 1.0, BANDS)
    shapes = torch.stack([rows, torch.cos(2 * rows), torch.sin(3 * rows), torch.cos(5 * rows)])
    bend = torch.randn(len(seen), len(shapes)) * 0.2 @ shapes  # in powers of ten
    floor = torch.empty(len(seen), 1, 1, 1).uniform_(-3.5, -0.8)
    return torch.maximum(seen + bend[:, None, None], floor)


def train(windows: Windows, minutes: float, seed: int, steps: int | None = None) -> Ear:
    """A trained ear, after `minutes` of the processor or `steps`; the rate falls to zero."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    ear = Ear()
    adam = torch.optim.AdamW(ear.parameters(), RATE, weight_decay=0.02)
    odds = windows.family_odds()
    began_s, done, step = time.process_time(), 0.0, 0
    with tqdm(total=100, unit="%", disable=None) as bar:
        while done < 1.0:
            for group in adam.param_groups:
                group["lr"] = RATE * min(1.0, 20 * done + 0.05) * (1 - done)
            seen, styles, wanted = windows.batch(windows.draw(rng, BATCH))
            loss = loss_of(hear(ear, disguised(seen)), styles, wanted, odds)
            adam.zero_grad()
            loss.backward()
            adam.step()
            step += 1
            spent = (time.process_time() - began_s) / 60 / max(minutes, 1e-6)
            done = step / steps if steps else spent
            bar.update(min(round(100 * done), 100) - bar.n)
            bar.set_postfix(loss=f"{loss.item():.3f}", step=step)
    return ear.eval()


def hear(ear: Ear, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The ear's logits, its products in bf16 where the processor has them: half the time."""
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        style, families = ear(seen)
    return style.float(), families.float()


def loss_of(heard: tuple[Tensor, Tensor], styles: Tensor, wanted: Tensor, odds: Tensor) -> Tensor:
    """Cross-entropy of the style, and of the instruments where it is sure whether they sound."""
    style, families = heard
    each = F.binary_cross_entropy_with_logits(
        families, wanted.clamp(min=0.0), pos_weight=odds, reduction="none"
    )
    sure = (wanted >= 0).float()
    sounding = (each * sure).sum() / sure.sum().clamp(min=1.0)
    return F.cross_entropy(style, styles, label_smoothing=0.05) + 3.0 * sounding


@torch.no_grad()
def measure(ear: Ear, windows: Windows) -> dict[str, Any]:
    """Shares that are right over whole songs: style, each style, and both sides of instruments."""
    places = windows.all()
    styles, families, truths, wanteds = [], [], [], []
    for start in range(0, len(places), BATCH):
        seen, truth, wanted = windows.batch(places[start : start + BATCH])
        style, family = ear(seen)
        styles.append(style.argmax(1))
        families.append(family > 0)
        truths.append(truth)
        wanteds.append(wanted)
    style, truth = torch.cat(styles), torch.cat(truths)
    right = (style == truth).float()
    each = _sides(torch.cat(families), torch.cat(wanteds))
    both = [side for row in each.values() for side in row.values() if side is not None]
    return {
        "windows": len(places),
        "songs": len(windows.known),
        "style": float(right.mean()),
        "by_style": {
            name: float(right[truth == k].mean())
            for k, name in enumerate(STYLE_NAMES)
            if (truth == k).any()
        },
        "families": float(np.mean(both)),
        "by_family": each,
    }


def _sides(heard: Tensor, wanted: Tensor) -> dict[str, dict[str, float | None]]:
    """Of each instrument, how often it is heard where it sounds, and not where it does not."""

    def share(right: Tensor) -> float | None:
        return float(right.float().mean()) if len(right) else None

    return {
        name: {
            "there": share(heard[wanted[:, k] == 1, k]),
            "not_there": share(~heard[wanted[:, k] == 0, k]),
        }
        for k, name in enumerate(FAMILIES)
    }


def page(found: dict[str, Any]) -> str:
    """The held-out figures in Markdown."""
    families: list[Row] = [
        (name, row["there"], row["not_there"]) for name, row in found["by_family"].items()
    ]
    return "\n\n".join([
        f"{found['windows']} windows of {WINDOW_S:g} s from {found['songs']} held-out songs: "
        f"style {found['style']:.3f} (chance {1 / len(STYLE_NAMES):.3f}), "
        f"instruments {found['families']:.3f} (chance 0.5)",
        table(("style", "right"), list(found["by_style"].items())),
        table(("instrument", "heard where it is", "not heard where it is not"), families),
    ])  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(prog="python -m bench.judge", description=__doc__)
    shaped.add_argument("--corpus", type=Path, required=True, help="folder with the songs' truth")
    shaped.add_argument("--data", type=Path, required=True, help="the same, prepared")
    shaped.add_argument("--out", type=Path, default=Path("runs/judge"))
    shaped.add_argument("--minutes", type=float, default=10.0, help="of processor time")
    shaped.add_argument("--steps", type=int, help="instead of minutes: the same on every machine")
    shaped.add_argument("--seed", type=int, default=0)
    shaped.add_argument("--threads", type=int, default=1)
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure, write; 0, or 2 where there is nothing to learn from."""
    options = parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    try:
        songs = Songs(options.data)
        sides = [Windows(songs, known_songs(songs, options.corpus, s)) for s in ("train", "valid")]
    except (PerpetuoError, ValueError, OSError) as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    ear = train(sides[0], options.minutes, options.seed, options.steps)
    found = measure(ear, sides[1])
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save({"ear": ear.state_dict()}, options.out / CHECKPOINT)
    (options.out / "judge.json").write_text(to_json(found, indent=1) + "\n", encoding="utf-8")
    print(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
