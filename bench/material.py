"""What the quality report listens to: stretches of held-out songs, each a prompt and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from bench.spectra import Array, mono
from engine.errors import TakeError
from engine.takes import read_take
from model.corpus.dataset import Entry, Songs


@dataclass(frozen=True)
class Excerpt:
    """A stretch from the middle of a song, mono at the bundle's rate: what is given, what came."""

    name: str
    style: str
    bpm: float | None
    prompt: Array
    truth: Array


@dataclass(frozen=True)
class HeldOut:
    """Two halves of the held-out songs, disjoint, of the same size and mix of styles."""

    reference: list[Excerpt]
    prompted: list[Excerpt]


def held_out(
    folder: Path, split: str, songs_per_side: int, prompt_s: float, truth_s: float, rate_hz: int
) -> HeldOut:
    """Read up to `songs_per_side` songs for each half from a prepared folder.

    `split` is "valid" or, for a folder that holds nothing but held-out songs, "all". Raises
    ValueError with one line where fewer than four songs are long enough.
    """
    songs = Songs(folder)
    entries = songs.songs if split == "all" else songs.split(split)
    needed = prompt_s + truth_s
    long = [song for song in entries if song.samples >= needed * songs.sample_rate_hz]
    if len(long) < 4:
        raise ValueError(
            f"{folder}: {len(long)} of {len(entries)} songs in split {split} last {needed:g} s, "
            f"at least 4 are needed; compose more, or hold out a larger share"
        )
    first, second = halves(long, songs_per_side)
    return HeldOut(
        [_excerpt(songs, song, prompt_s, truth_s, rate_hz) for song in first],
        [_excerpt(songs, song, prompt_s, truth_s, rate_hz) for song in second],
    )


def halves(entries: list[Entry], songs_per_side: int) -> tuple[list[Entry], list[Entry]]:
    """Disjoint halves of one size: by style, then name, dealt out in turn, evenly thinned."""
    ordered = sorted(entries, key=lambda song: (song.style or "", song.name))
    pairs = list(zip(ordered[::2], ordered[1::2], strict=False))
    count = min(songs_per_side, len(pairs))
    chosen = [pairs[int(place)] for place in np.linspace(0, len(pairs) - 1, count)]
    return [pair[0] for pair in chosen], [pair[1] for pair in chosen]


def stretch(songs: Songs, song: Entry, start_s: float, seconds: float, rate_hz: int) -> Array:
    """Part of a song, mono, at another rate."""
    rate = songs.sample_rate_hz
    audio = mono(songs.window(song, int(start_s * rate), round(seconds * rate)))
    return audio if rate == rate_hz else np.asarray(soxr.resample(audio, rate, rate_hz))


def _excerpt(songs: Songs, song: Entry, prompt_s: float, truth_s: float, rate_hz: int) -> Excerpt:
    start_s = (song.samples / songs.sample_rate_hz - prompt_s - truth_s) / 2
    audio = stretch(songs, song, start_s, prompt_s + truth_s, rate_hz)
    seam = round(prompt_s * rate_hz)
    return Excerpt(song.name, song.style or "", song.bpm, audio[:seam], audio[seam:])


def takes(folder: Path, prompt_s: float, truth_s: float, rate_hz: int) -> list[Excerpt]:
    """The middle of every recording in `folder` that is long enough and can be read."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            audio = mono(read_take(path, rate_hz, 1).audio)
        except TakeError:
            continue
        whole, seam = round((prompt_s + truth_s) * rate_hz), round(prompt_s * rate_hz)
        if len(audio) >= whole:
            start = (len(audio) - whole) // 2
            stretch = audio[start : start + whole]
            found.append(Excerpt(path.name, "take", None, stretch[:seam], stretch[seam:]))
    return found
