"""A small corpus with its truth, played by sines instead of FluidSynth: for the recipe's tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from model.corpus.composer import compose
from model.corpus.dataset import prepare
from model.corpus.song import Song
from model.corpus.styles import STYLES
from model.corpus.synth import SAMPLE_RATE_HZ, Rendering
from model.corpus.truth import truth_of

RATE_HZ = 8000


def played(song: Song) -> npt.NDArray[np.float32]:
    """Every note a decaying sine, every drum a click: float32[samples] at 8 kHz."""
    audio = np.zeros(round(song.duration_s * RATE_HZ) + RATE_HZ, np.float32)
    t = np.arange(RATE_HZ // 4) / RATE_HZ
    fall = np.exp(-12 * t)
    for part in song.parts:
        for note in part.notes:
            start = max(round(note.start * 60 / song.bpm * RATE_HZ), 0)
            hz = 3000.0 if part.drums else 440 * 2 ** ((note.pitch - 69) / 12)
            audio[start : start + len(t)] += 0.05 * np.sin(2 * np.pi * hz * t) * fall
    return np.tanh(audio[: round(song.duration_s * RATE_HZ)])


def truth_of_song(song: Song) -> dict[str, object]:
    """The truth of a song, without its rendering."""
    silent = np.full((round(song.duration_s * SAMPLE_RATE_HZ), 2), 1e-3, np.float32)
    stems = {part.name: silent for part in song.parts}
    return truth_of(song, Rendering(silent, stems, {part.name: 0.0 for part in song.parts}))


def write_corpus(folder: Path, count: int = 4) -> tuple[Path, Path]:
    """The corpus folder and the prepared one, of `count` songs in as many styles."""
    songs = folder / "corpus" / "songs"
    songs.mkdir(parents=True)
    for index, style in enumerate(list(STYLES)[:count]):
        song = compose(style, 3, index)
        soundfile.write(songs / f"{index:06d}.flac", played(song), RATE_HZ)
        (songs / f"{index:06d}.json").write_text(json.dumps(truth_of_song(song)))
    prepare(folder / "corpus", folder / "data", RATE_HZ, 1, 0.7)
    return folder / "corpus", folder / "data"
