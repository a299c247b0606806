"""What the velocity network is trained on: windows of latents, and what a player would have asked.

The corpus is encoded once, by the autoencoder's means, and kept beside the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine import ranges
from engine.brief import FAMILIES
from model.briefs import Briefs, load_briefs
from model.corpus.dataset import Songs, picked
from model.excerpts import Autoencoder
from model.presets import VelocityPreset
from model.rarity import taken_oftener
from model.tokenise import Semantics
from model.training import tensor
from model.velocity import VelocityNetwork

ABSENT = 0.1
"""Part of the noisy copies that go without tokens and brief (guidance needs it)."""
SPLICED = 0.5
"""Part of the windows that go over to other songs: where they do, only the tokens and the brief
tell what comes, and a network that seldom meets that goes on in its old key."""
STRETCHES = 5
"""Of other songs in such a window, at most."""


class Latents:
    """The corpus as unit variance latents, with random windows that stay within one song."""

    def __init__(self, songs: Songs, autoencoder: Autoencoder, cache: Path) -> None:
        if not cache.exists():
            np.savez(cache, allow_pickle=False, **encode_corpus(songs, autoencoder))
        with np.load(cache) as stored:
            every = {name: torch.from_numpy(stored[name]) for name in stored}
        strange = [song.name for song in songs.songs if song.name not in every]
        if strange:
            raise SystemExit(f"{cache} holds other songs, not {strange[0]}: name another --out")
        self.songs = {split: {s.name: every[s.name] for s in songs.split(split)} for split in
                      ("train", "valid")}  # fmt: skip
        self.oftener: Mapping[str, float] = {}
        """How many times as often as by its length a song is taken; once where it is not named."""

    def places(
        self, split: str, count: int, frames: int, rng: np.random.Generator, unit: int = 1
    ) -> list[tuple[str, int]]:
        """`count` random (song, first frame): songs by their length and by how much `oftener` they
        are to be taken, frames in whole units.
        """
        songs = [
            (name, len(song)) for name, song in self.songs[split].items() if len(song) >= frames
        ]
        if not songs:
            raise SystemExit(f"no {split} song lasts {frames} latent frames: use longer recordings")
        places = [(name, length - frames + 1) for name, length in songs]
        picks = picked(rng, places, self.oftener, count)
        return [
            (songs[i][0], int(rng.integers(0, (songs[i][1] - frames) // unit + 1)) * unit)
            for i in picks
        ]

    def cut(self, split: str, places: list[tuple[str, int]], frames: int) -> Tensor:
        """float32 [count, frames, dim]."""
        songs = self.songs[split]
        return torch.stack([songs[name][s : s + frames] for name, s in places]).float()


@dataclass(frozen=True, slots=True)
class Windows:
    """A batch: latents [B, M, C, dim], tokens int64 [B, M, n] and brief [B, M, Bf], or neither."""

    latents: Tensor
    tokens: Tensor | None = None
    brief: Tensor | None = None

    def twice(self, network: VelocityNetwork) -> dict[str, Tensor]:
        """The conditions of the clean and of the noisy copy, which one in ten goes without."""
        if self.tokens is None or self.brief is None:
            return {}
        without = torch.rand(len(self.tokens), 1, 1) < ABSENT
        absent = torch.full_like(self.tokens, network.preset.vocabulary)
        tokens = torch.where(without, absent, self.tokens)
        brief = torch.where(without, 0.0, self.brief)
        return {
            "tokens": torch.cat([self.tokens, tokens], 1),
            "brief": torch.cat([self.brief, brief], 1),
        }

    def split(self, size: int) -> list[Windows]:
        """Smaller batches."""
        parts = [
            [None] * -(-len(self.latents) // size) if x is None else x.split(size)
            for x in (self.latents, self.tokens, self.brief)
        ]
        return [Windows(*part) for part in zip(*parts, strict=True)]


class Material:
    """Random windows of the corpus, with what a player would have asked."""

    def __init__(
        self, latents: Latents, preset: VelocityPreset, store: Semantics | None = None,
        briefs: Briefs | None = None, families: float = 0.0,
    ) -> None:  # fmt: skip
        """`families`: part of the stretches of which every family of instruments is told."""
        self.latents, self.preset, self.store, self.briefs = latents, preset, store, briefs
        self.families = families

    def windows(self, split: str, count: int, chunks: int, rng: np.random.Generator) -> Windows:
        """`count` windows of `chunks` chunks."""
        p = self.preset
        frames = chunks * p.chunk_frames
        if self.store is None or self.briefs is None:
            places = self.latents.places(split, count, frames, rng)
            whole = self.latents.cut(split, places, frames)
            return Windows(whole.reshape(count, chunks, p.chunk_frames, -1))
        rows = [self._window(split, chunks, rng) for _ in range(count)]
        latents, tokens, brief = (torch.stack(part) for part in zip(*rows, strict=True))
        return Windows(latents, tokens, brief)

    def stretch(
        self, split: str, name: str, start: int, chunks: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """latents [M, C, dim], tokens [M, n], brief [M, Bf] of one song from the token `start`."""
        assert self.store is not None and self.briefs is not None
        p = self.preset
        count, frames = p.chunk_frames // p.token_frames, chunks * p.chunk_frames
        latents = self.latents.cut(split, [(name, start * p.token_frames)], frames)[0]
        said = self.store.tokens[name][start : start + chunks * count].astype(np.int64)
        said = np.pad(said, (0, chunks * count - len(said)), mode="edge")
        surely = FAMILIES if rng.random() < self.families else ()
        told = self.briefs.controls(name, start, chunks * count, rng, surely)
        controls = told[count // 2 :: count]
        _, prompt = self.briefs.prompt(name, start, rng)
        brief = torch.cat([prompt.expand(chunks, -1), torch.from_numpy(controls)], 1)
        split_latents = latents.reshape(chunks, p.chunk_frames, -1)
        return split_latents, torch.from_numpy(said).reshape(chunks, count), brief

    def longest(self, split: str) -> int:
        """Chunks in the longest song of a split."""
        return max(len(song) for song in self.latents.songs[split].values()) // (
            self.preset.chunk_frames
        )

    def _window(
        self, split: str, chunks: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One window; every other one goes over to other songs on the way."""
        count = int(rng.integers(2, STRETCHES + 1)) if rng.random() < SPLICED else 1
        cuts = np.sort(rng.choice(chunks - 1, min(count, chunks) - 1, replace=False)) + 1
        sizes = np.diff(cuts, prepend=0, append=chunks)
        parts = [self.stretch(split, *self._place(split, int(size), rng), int(size), rng)
                 for size in sizes]  # fmt: skip
        latents, tokens, brief = (torch.cat(part) for part in zip(*parts, strict=True))
        return latents, tokens, brief

    def _place(self, split: str, chunks: int, rng: np.random.Generator) -> tuple[str, int]:
        """A random song, and the token that so many of its chunks begin with."""
        unit = self.preset.token_frames
        (place,) = self.latents.places(split, 1, chunks * self.preset.chunk_frames, rng, unit)
        return place[0], place[1] // unit


def asking_options(p: argparse.ArgumentParser) -> None:
    """Where the truth lies, and what of it is told and met how often."""
    p.add_argument("--corpus", type=Path, help="the corpus's folder, for its truth")
    p.add_argument("--families", type=ranges.part, default=0.6,
                   help="part of the stretches with every family of instruments told")  # fmt: skip
    p.add_argument("--rare", type=ranges.number(1.0, 100.0), default=5.0,
                   help="songs with rare instruments are taken so many times as often")  # fmt: skip


def load_material(
    latents: Latents, preset: VelocityPreset, args: argparse.Namespace, store: Semantics | None
) -> Material:
    """Windows as the options of a run want them; of a store, with what is asked."""
    if store is None:
        return Material(latents, preset)
    latents.oftener = taken_oftener(args.corpus, latents.songs["train"], args.rare)
    briefs = load_briefs(store, args.mulan, args.corpus)
    return Material(latents, preset, store, briefs, args.families)


@torch.no_grad()
def encode_corpus(songs: Songs, autoencoder: Autoencoder) -> dict[str, np.ndarray]:
    """Every song as float16 [frames, dim]."""
    from tqdm import tqdm

    frame = autoencoder.preset.frame_samples
    encoded = {}
    for song in tqdm([*songs.split("train"), *songs.split("valid")], desc="encoding"):
        audio = songs.window(song, 0, song.samples // frame * frame)
        latents = autoencoder.normalised(tensor(audio[None]))[0]
        encoded[song.name] = latents.numpy().astype(np.float16)
    return encoded
