"""The brief: what is asked of the music, as one vector for the networks.

It is the prompt's place in the joint music-text space, followed by the musical controls. Training
writes it from what is known of a song, the engine from what the player asks. Every group may be
left free: then it is all zeros. Tempo, density and brightness are spread over the two nearest of
a row of centres, so that what lies between them is heard as lying between them. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = ("major", "minor", "dorian", "mixolydian")
FAMILIES = (
    "drums", "bass", "keys", "organ", "mallets", "guitar", "strings", "voices", "brass",
    "winds", "synth_lead", "pad",
)  # fmt: skip
"""Instruments that can be asked for or forbidden."""

BPM_RANGE = (40.0, 220.0)
BPM_CENTRES = tuple(50.0 * 2 ** (k / 12) for k in range(25))
"""50 to 200 bpm, twelve to the octave."""
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Centres of density and brightness, which run from 0 to 1."""
DENSITY_HZ = (1.0, 30.0)
"""Note onsets a second that density 0 and 1 stand for."""
BRIGHTNESS_HZ = (150.0, 3000.0)
"""Spectral centroid that brightness 0 and 1 stand for."""

GROUPS = ("bpm", "tonic", "scale", "density", "brightness", *FAMILIES)
"""The parts of a brief behind the prompt, in order."""

CONTROLS_SIZE = len(BPM_CENTRES) + len(TONICS) + len(SCALES) + 2 * len(LEVELS) + 2 * len(FAMILIES)


def control_groups() -> tuple[slice, ...]:
    """Where each of GROUPS stands in the controls' part."""
    sizes = [len(BPM_CENTRES), len(TONICS), len(SCALES), len(LEVELS), len(LEVELS)]
    ends = np.cumsum([*sizes, *(2 for _ in FAMILIES)])
    starts = [0, *ends[:-1]]
    return tuple(slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked; None, and a family that is not named, is left free."""

    bpm: float | None = None
    tonic: int | None = None  # 0 is C
    scale: int | None = None  # place in SCALES
    density: float | None = None  # 0 sparse … 1 busy
    brightness: float | None = None  # 0 dark … 1 bright
    families: Mapping[str, bool] = field(default_factory=dict)  # True: play, False: do not


def brief_size(prompt_size: int) -> int:
    """Length of the vector: the prompt's part, then the controls'."""
    return prompt_size + CONTROLS_SIZE


def brief_of(prompt: Floats | None, prompt_size: int, wishes: Wishes) -> Floats:
    """float32[brief_size]: `prompt` float32[prompt_size] of length 1, or None, and the wishes."""
    row = np.zeros(brief_size(prompt_size), np.float32)
    if prompt is not None:
        row[:prompt_size] = prompt
    place = prompt_size
    if wishes.bpm is not None:
        low, high = BPM_CENTRES[0], BPM_CENTRES[-1]
        octave = math.log2(min(max(wishes.bpm, low), high) / low)
        _spread(row[place:], octave * 12, len(BPM_CENTRES))
    place += len(BPM_CENTRES)
    for value, names in ((wishes.tonic, TONICS), (wishes.scale, SCALES)):
        if value is not None:
            row[place + value] = 1.0
        place += len(names)
    for level in (wishes.density, wishes.brightness):
        if level is not None:
            _spread(row[place:], min(max(level, 0.0), 1.0) * (len(LEVELS) - 1), len(LEVELS))
        place += len(LEVELS)
    for family, wanted in wishes.families.items():
        row[place + 2 * FAMILIES.index(family) + (not wanted)] = 1.0
    return row


def instruments_said(playing: Sequence[str], alone: bool = False) -> str:
    """As "with drums and bass", or, if no other may play, "only drums and bass"; of FAMILIES."""
    return f"{'only' if alone else 'with'} {' and '.join(spoken(name) for name in playing)}"


def spoken(family: str) -> str:
    """One of FAMILIES in words: "synth lead"."""
    return family.replace("_", " ")


def level_of(value: float, ends: Sequence[float]) -> float:
    """0…1: where a figure stands between two ends, by its logarithm."""
    low, high = ends
    octaves = math.log2(max(value, 1e-9) / low) / math.log2(high / low)
    return min(max(octaves, 0.0), 1.0)


def _spread(row: Floats, place: float, count: int) -> None:
    """Weight 1 over the two centres beside `place`."""
    left = min(int(place), count - 2)
    row[left] = 1.0 - (place - left)
    row[left + 1] = place - left
