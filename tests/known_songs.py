"""Made-up songs with their truth, for what judges: struck jazz with drums, held ambient without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from bench.ear import CHECKPOINT, Ear
from model.corpus.dataset import Songs
from model.corpus.labels import frame_labels
from model.tokenise import FEATURES, INDEX, TOKENS

RATE_HZ = 24_000
TOKEN_HZ = 25.0
STYLES = ("jazz", "ambient")
BPM = {"jazz": 120.0, "ambient": 60.0}
INSTRUMENTS = {"jazz": ("drums", "piano"), "ambient": ("warm pad", "strings")}


def known_song(style: str, seed: int, seconds: float) -> np.ndarray:
    """float64[samples]: jazz has noise on every beat over plucks, ambient three held tones."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = 220 * 2 ** (rng.integers(0, 12, 3) / 12)
    tones = sum(np.sin(2 * np.pi * one * at_s + one) for one in hz) / 3
    if style == "ambient":
        return np.asarray(0.2 * tones)
    beat_s = at_s % (60 / BPM[style])
    return np.asarray((0.2 * tones + 0.5 * rng.normal(size=len(at_s))) * np.exp(-beat_s * 30))


def known_truth(style: str, seconds: float) -> dict[str, object]:
    """What the corpus says of such a song: in C major throughout, one chord, two sections."""
    bars = int(seconds * BPM[style] / 240) + 1
    half = seconds / 2
    return {
        "style": style, "bpm": BPM[style], "beats_per_bar": 4, "bars": bars,
        "keys": [{"start_s": 0.0, "tonic": "C", "mode": "major"}],
        "sections": [
            {"start_s": 0.0, "end_s": half, "energy": 1},
            {"start_s": half, "end_s": seconds, "energy": 3},
        ],
        "chords": ["C", "Am"] * (2 * bars),
        "stems": {
            name: {"instrument": name, "active_s": [[0.0, seconds]]} for name in INSTRUMENTS[style]
        },
        "density_hz_by_bar": [4.0] * bars,
        "brightness_hz_by_bar": [800.0] * bars,
    }  # fmt: skip


def write_known(folder: Path, each: int, seconds: float) -> tuple[Path, Path]:
    """(corpus, prepared data) of `each` songs a style and split."""
    corpus, data = folder / "corpus", folder / "data"
    corpus.mkdir()
    data.mkdir()
    songs, position = [], 0
    with (data / "audio.i16").open("wb") as file:
        for number in range(2 * len(STYLES) * each):
            style, split = STYLES[number % 2], ("train", "valid")[number // 2 % 2]
            audio = np.round(np.clip(known_song(style, number, seconds), -1, 1) * 32767)
            file.write(audio.astype("<i2").tobytes())
            entry = {"name": f"song{number}.flac", "start": position, "samples": len(audio)}
            songs.append({**entry, "split": split, "style": style, "bpm": BPM[style]})
            (corpus / f"song{number}.json").write_text(json.dumps(known_truth(style, seconds)))
            position += len(audio)
    index = {"format": 1, "sample_rate_hz": RATE_HZ, "channels": 1, "songs": songs}
    (data / "index.json").write_text(json.dumps(index))
    return corpus, data


def write_store(folder: Path, corpus: Path, data: Path) -> Path:
    """A store of these songs: a token is the sixteenth, a feature row the style and noise."""
    store = folder / "store"
    store.mkdir()
    rng = np.random.default_rng(0)
    tokens, rows, places = {}, [], []
    for song in Songs(data).songs:
        truth = json.loads((corpus / song.name).with_suffix(".json").read_text())
        count = int(song.samples / RATE_HZ * TOKEN_HZ)
        tokens[song.name] = frame_labels(truth, count, TOKEN_HZ)["sixteenth"].astype(np.int16)
        noise = rng.normal(size=(count, 4))
        noise[:, 0] += 6 * (song.style == "jazz")
        places.append((song.name, count * len(rows), count, song.split))
        rows.append(noise)
    np.savez(store / TOKENS, **tokens)
    np.concatenate(rows).astype("<f2").tofile(store / FEATURES)
    index = {"rate_hz": TOKEN_HZ, "vocabulary": 16, "hidden": 4, "songs": places}
    (store / INDEX).write_text(json.dumps(index))
    return store


def untaught_judge(folder: Path) -> Path:
    """A run folder of `bench.judge` whose ear was taught nothing, so it is sure of nothing."""
    torch.manual_seed(0)
    torch.save({"ear": Ear().state_dict()}, folder / CHECKPOINT)
    return folder
