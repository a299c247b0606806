"""Truth frame by frame: what a network that listens may be asked to hear, and the brief.

From the JSON beside a song (`model.corpus.truth`) to arrays on a grid of frames; frame i stands
for the time (i + 0.5) / rate_hz.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.brief import (
    BRIGHTNESS_HZ,
    DENSITY_HZ,
    FAMILIES,
    SCALES,
    TONICS,
    Wishes,
    brief_of,
    level_of,
)
from model.corpus.styles import STYLES

Labels = dict[str, npt.NDArray[Any]]

STYLE_NAMES = (*STYLES, "chorale")
SIXTEENTHS = 16
"""Places in a bar that are told apart; a bar of three beats has twelve."""
NO_CHORD = -1

_OF_FAMILY = {
    "drums": ("drums",),
    "bass": ("double bass", "bass guitar", "fretless bass", "slap bass", "synth bass",
             "bass synth", "tuba"),
    "keys": ("piano", "electric piano", "clavinet"),
    "organ": ("drawbar organ", "percussive organ", "church organ", "harmonica"),
    "mallets": ("celesta", "vibraphone", "kalimba", "crystal synth"),
    "guitar": ("nylon guitar", "steel guitar", "jazz guitar", "clean guitar", "muted guitar",
               "harp"),
    "strings": ("violin", "cello", "strings", "slow strings", "synth strings"),
    "voices": ("choir",),
    "brass": ("trumpet", "trombone", "french horn", "brass section", "synth brass"),
    "winds": ("alto saxophone", "tenor saxophone", "oboe", "bassoon", "clarinet", "flute",
              "pan flute"),
    "synth_lead": ("square synth", "saw synth", "calliope synth", "polysynth"),
    "pad": ("warm pad", "space pad", "halo pad"),
}  # fmt: skip
_FAMILY = {name: family for family, names in _OF_FAMILY.items() for name in names}


def family_of(instrument: str) -> str:
    """The family (`engine.brief.FAMILIES`) of an instrument of the corpus."""
    return _FAMILY[instrument]


def frame_labels(truth: dict[str, Any], frames: int, rate_hz: float) -> Labels:
    """What holds at each of `frames` frames.

    sixteenth, root (0…11, C = 0; NO_CHORD), quality (0 minor, 1 major, 2 neither), energy (0…3),
    style, tonic, scale: int64 [frames]; families float32 [frames, 12]; bpm, density, brightness
    (0…1): float32 [frames].
    """
    at_s = (np.arange(frames) + 0.5) / rate_hz
    beats = at_s * truth["bpm"] / 60
    bar = np.clip((beats // truth["beats_per_bar"]).astype(int), 0, truth["bars"] - 1)
    beat = np.clip(beats.astype(int), 0, len(truth["chords"]) - 1)
    chords = np.array([_chord(symbol) for symbol in truth["chords"]], np.int64)[beat]
    keys = [(TONICS.index(key["tonic"]), SCALES.index(key["mode"])) for key in truth["keys"]]
    key = np.array(keys, np.int64)[_places([k["start_s"] for k in truth["keys"]], at_s)]
    energy = np.array([section["energy"] for section in truth["sections"]], np.int64)
    starts = [section["start_s"] for section in truth["sections"]]
    return {
        "sixteenth": (4 * (beats % truth["beats_per_bar"])).astype(np.int64),
        "root": chords[:, 0],
        "quality": chords[:, 1],
        "energy": energy[_places(starts, at_s)],
        "style": np.full(frames, STYLE_NAMES.index(truth["style"])),
        "tonic": key[:, 0],
        "scale": key[:, 1],
        "families": _families(truth, at_s),
        "bpm": np.full(frames, truth["bpm"], np.float32),
        "density": _levels(truth["density_hz_by_bar"], DENSITY_HZ)[bar],
        "brightness": _levels(truth["brightness_hz_by_bar"], BRIGHTNESS_HZ)[bar],
    }


def control_rows(labels: Labels) -> npt.NDArray[np.float32]:
    """The brief's controls for every frame, all of them told: float32 [frames, CONTROLS_SIZE]."""
    told = [labels[name] for name in ("bpm", "tonic", "scale", "density", "brightness")]
    facts = np.column_stack([*told, labels["families"]])
    different, place = np.unique(facts, axis=0, return_inverse=True)
    rows = np.stack([brief_of(None, 0, _wishes(row.tolist())) for row in different])
    return rows[place.reshape(-1)]


def _wishes(facts: list[float]) -> Wishes:
    bpm, tonic, scale, density, brightness, *families = facts
    sounding = {name: on > 0.5 for name, on in zip(FAMILIES, families, strict=True)}
    return Wishes(bpm, int(tonic), int(scale), density, brightness, sounding)


def _chord(symbol: str) -> tuple[int, int]:
    """Root and quality of a letter symbol such as Dbm7 or F#/C."""
    name = symbol[:2] if symbol[:2] in TONICS else symbol[:1]
    if name not in TONICS:
        return NO_CHORD, 2
    tail = symbol[len(name) :].split("/")[0]
    minor = tail.startswith("m") and not tail.startswith("maj")
    neither = tail.startswith(("dim", "sus", "5", "7sus")) or tail.startswith("h7")
    return TONICS.index(name), 2 if neither else 0 if minor else 1


def _places(starts: list[float], at_s: npt.NDArray[np.floating[Any]]) -> list[int]:
    """Which of the stretches that begin at `starts` each time falls into."""
    return [max(bisect_right(starts, t) - 1, 0) for t in at_s]


def _families(
    truth: dict[str, Any], at_s: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.float32]:
    sounding = np.zeros((len(at_s), len(FAMILIES)), np.float32)
    for stem in truth["stems"].values():
        column = FAMILIES.index(family_of(stem["instrument"]))
        for start, end in stem["active_s"]:
            sounding[(at_s >= start) & (at_s < end), column] = 1.0
    return sounding


def _levels(by_bar: list[float], ends: tuple[float, float]) -> npt.NDArray[np.float32]:
    """0…1 for each bar, smoothed over its two neighbours."""
    padded = np.pad(np.asarray(by_bar, np.float64), 1, mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return np.array([level_of(value, ends) for value in smooth], np.float32)
