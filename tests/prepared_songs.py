"""A small prepared data folder of made-up songs, for the tests of the quality report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

RATE_HZ = 24_000


def pluck_song(seed: int, seconds: float) -> np.ndarray:
    """Plucked notes of a major scale, its key and tempo drawn by seed, float64[samples]."""
    rng = np.random.default_rng(seed)
    step = round(RATE_HZ * 30 / rng.uniform(90, 140))
    audio = np.zeros(round(seconds * RATE_HZ))
    at_s = np.arange(step) / RATE_HZ
    for start in range(0, len(audio) - step, step):
        hz = 220 * 2 ** ((5 * seed % 12 + rng.choice([0, 2, 4, 5, 7, 9, 11])) / 12)
        partials = sum(np.sin(2 * np.pi * hz * k * at_s) / k for k in (1, 2, 3, 4))
        audio[start : start + step] = 0.2 * partials * np.exp(-8 * at_s)
    return audio


def write_prepared(folder: Path, lengths_s: list[float], split: str = "valid") -> Path:
    """A prepared folder with one song a length, in two styles by turns."""
    songs, position = [], 0
    with (folder / "audio.i16").open("wb") as file:
        for index, seconds in enumerate(lengths_s):
            audio = np.round(pluck_song(index, seconds) * 32767).astype("<i2")
            file.write(audio.tobytes())
            entry = {"name": f"song{index}.flac", "start": position, "samples": len(audio)}
            style = ("folk", "jazz")[index % 2]
            songs.append({**entry, "split": split, "style": style, "bpm": 100.0})
            position += len(audio)
    index_of = {"format": 1, "sample_rate_hz": RATE_HZ, "channels": 1, "songs": songs}
    (folder / "index.json").write_text(json.dumps(index_of))
    return folder
