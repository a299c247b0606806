"""Building a corpus folder: songs in parallel, resumable after a kill, the same for every seed.

``OUT/songs/000123.flac`` is the mix, ``000123.stems/NAME.flac`` its stems, ``000123.json`` the
truth. The JSON is renamed into place last, so a song that has one is complete.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from model.corpus.chorales import STYLE as CHORALE
from model.corpus.chorales import Piece, compose_chorale, read_chorales
from model.corpus.composer import compose
from model.corpus.song import Song
from model.corpus.styles import STYLES
from model.corpus.synth import SAMPLE_RATE_HZ, Audio, Synth, find_synth, render
from model.corpus.truth import truth_of


@dataclass(frozen=True)
class Plan:
    """What to build and where."""

    out: Path
    songs: int
    seed: int = 0
    scores: Path | None = None
    stems: bool = True
    soundfont: str | None = None


def style_of(seed: int, index: int, styles: tuple[str, ...]) -> str:
    """Style of song `index`: every run of len(styles) songs holds each style once, shuffled."""
    block, place = divmod(index, len(styles))
    order = np.random.default_rng([seed, block, 0x571E]).permutation(len(styles))
    return styles[int(order[place])]


@lru_cache(maxsize=2)
def _chorales(folder: Path) -> list[Piece]:
    return read_chorales(folder)


def song_of(plan: Plan, index: int) -> Song:
    """Compose song `index` of a plan; it depends on the seed, the index and the scores only."""
    styles = (*STYLES, CHORALE) if plan.scores else tuple(STYLES)
    style = style_of(plan.seed, index, styles)
    if style == CHORALE and plan.scores:
        return compose_chorale(_chorales(plan.scores), plan.seed, index)
    return compose(style, plan.seed, index)


def _write_audio(path: Path, audio: Audio) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    soundfile.write(partial, audio, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    partial.replace(path)


def build_song(plan: Plan, index: int, synth: Synth) -> bool:
    """Make song `index` unless it is complete; True if it was made."""
    songs = plan.out / "songs"
    truth, folder = songs / f"{index:06d}.json", songs / f"{index:06d}.stems"
    if truth.exists() and (folder.is_dir() or not plan.stems):
        return False
    song = song_of(plan, index)
    rendering = render(synth, song)
    _write_audio(songs / f"{index:06d}.flac", rendering.mix)
    if plan.stems:
        partial = songs / f".{index:06d}.stems.{os.getpid()}"
        partial.mkdir(exist_ok=True)
        for name, audio in rendering.stems.items():
            _write_audio(partial / f"{name}.flac", audio)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    partial_truth = songs / f".{index:06d}.json.{os.getpid()}"
    partial_truth.write_text(json.dumps(truth_of(song, rendering), indent=1))
    partial_truth.replace(truth)
    return True


def _job(work: tuple[Plan, int, Synth]) -> bool:
    return build_song(*work)


def build(plan: Plan, jobs: int = 1) -> int:
    """Build every song of `plan` with `jobs` processes; how many were made this time.

    Raises SynthError (no FluidSynth, no SoundFont) and ValueError (no chorales in the scores).
    """
    synth = find_synth(plan.soundfont)
    if plan.scores:
        _chorales(plan.scores)
    (plan.out / "songs").mkdir(parents=True, exist_ok=True)
    work = [(plan, index, synth) for index in range(plan.songs)]
    with multiprocessing.get_context("spawn").Pool(max(1, jobs)) as pool:
        made = tqdm(pool.imap_unordered(_job, work), total=plan.songs, unit="song")
        return sum(made)
