"""The corpus as semantic features and tokens.

`python -m model.tokenise --data DIR --semantic RUN --out STORE`

A store is a folder: `tokens.npz` (int16 [n] a song), `features.f16` (float16 [all n, D], songs one
after the other) and `index.json` (names, starts, lengths, splits, rate).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from model.corpus.dataset import Songs
from model.corpus.variants import variant
from model.semantic import SemanticEncoder, load_semantic
from model.training import cores, tensor

INDEX, TOKENS, FEATURES = "index.json", "tokens.npz", "features.f16"
PIECE, MARGIN = 400, 50
"""Tokens that are heard at once, and what is heard beside them on each side."""


class Semantics:
    """Reader of a store; FileNotFoundError says how to make one."""

    def __init__(self, folder: Path) -> None:
        if not (folder / INDEX).is_file():
            raise FileNotFoundError(
                f"no {INDEX} in {folder}: make it with python -m model.tokenise"
            )
        index = json.loads((folder / INDEX).read_text())
        self.rate_hz: float = index["rate_hz"]
        self.vocabulary: int = index["vocabulary"]
        self.hidden: int = index["hidden"]
        self._places: dict[str, tuple[int, int]] = {}
        self.split: dict[str, str] = {}
        for name, start, count, split in index["songs"]:
            self._places[name], self.split[name] = (start, count), split
        with np.load(folder / TOKENS) as stored:
            self.tokens: dict[str, npt.NDArray[np.int16]] = {name: stored[name] for name in stored}
        flat = np.memmap(folder / FEATURES, dtype="<f2", mode="r")
        self._features = flat.reshape(-1, self.hidden)

    @property
    def names(self) -> list[str]:
        """The songs."""
        return list(self._places)

    def features(self, name: str) -> npt.NDArray[np.float16]:
        """float16 [n, D] of a song, one row a token."""
        start, count = self._places[name]
        rows: npt.NDArray[np.float16] = self._features[start : start + count]
        return rows


@torch.no_grad()
def tokenise(
    songs: Songs, encoder: SemanticEncoder, out: Path, semitones: Sequence[int] = (0,)
) -> None:
    """Write the store; it is complete once it holds index.json.

    `semitones`: the keys in which songs to train on are heard; held-out ones only as they are.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / INDEX).unlink(missing_ok=True)
    unit = encoder.front.token_samples
    tokens: dict[str, npt.NDArray[np.int16]] = {}
    places, position = [], 0
    with (out / FEATURES).open("wb") as file:
        for song in tqdm(songs.songs, desc="tokens"):
            rows = encoder.front(tensor(songs.window(song, 0, song.samples // unit * unit)[None]))
            for distance in semitones if song.split == "train" else (0,):
                hidden = heard_whole(encoder, encoder.front.transposed(rows, distance))
                file.write(hidden.numpy().astype("<f2").tobytes())
                name = variant(song.name, distance)
                tokens[name] = encoder.nearest(hidden).numpy().astype(np.int16)
                places.append((name, position, len(hidden), song.split))
                position += len(hidden)
    np.savez(out / TOKENS, allow_pickle=False, **tokens)
    index = {"rate_hz": songs.sample_rate_hz / unit, "vocabulary": encoder.preset.vocabulary,
             "hidden": encoder.preset.hidden, "songs": places}  # fmt: skip
    (out / INDEX).write_text(json.dumps(index))


def heard_whole(encoder: SemanticEncoder, rows: Tensor) -> Tensor:
    """Rows [1, n, size] -> features [n, D], heard PIECE tokens at a time with MARGIN on each side.

    Attention over a whole song costs more than everything else.
    """
    count, parts = rows.shape[1], []
    for start in range(0, count, PIECE):
        before = min(start, MARGIN)
        with torch.autocast("cpu", torch.bfloat16):
            heard = encoder.heard(rows[:, start - before : start + PIECE + MARGIN])[0]
        parts.append(heard[before : before + PIECE].float())
    return torch.cat(parts)


def main(argv: list[str] | None = None) -> int:
    """Tokenise a prepared data set."""
    p = argparse.ArgumentParser(prog="model.tokenise", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--semantic", type=Path, required=True, help="its run folder")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--semitones", type=int, nargs="*", default=[0], help="keys to hear it in")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args(argv)
    with cores(args.threads, 0):
        encoder = load_semantic(args.semantic)[0]
        tokenise(Songs(args.data), encoder, args.out, args.semitones)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
