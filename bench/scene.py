"""A stretch of music as far as it can be asked for: as it was heard, or as it was composed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.ear import Judge
from bench.music import chroma, scale_tonic, tempo_bpm
from bench.percussion import drums_heard
from engine.brief import FAMILIES, SCALES
from engine.harmony import notes_of
from model.corpus.labels import STYLE_NAMES, Labels

SOUNDS, SILENT = 0.5, 0.05
"""Shares of a stretch: an instrument is there from the first on, and not there up to the second."""
NO_NOTES = -1


@dataclass(frozen=True)
class Scene:
    """What there is to be reached."""

    style: str
    families: Mapping[str, bool | None]  # None: neither there nor not there
    drums: bool | None  # by onset energy
    bpm: float
    notes: int  # tonic of the major scale that has the notes of the key; NO_NOTES where it changes


def heard(
    judged: npt.ArrayLike, whole: npt.ArrayLike, rate_hz: int, judge: Judge
) -> Scene:  # fmt: skip
    """By the judge and the drums' onsets in `judged` (4 s), by pulse and chroma in `whole`."""
    verdict = judge.hear(judged, rate_hz)
    return Scene(
        verdict.style,
        {name: verdict.sounds(name) for name in FAMILIES},
        drums_heard(judged, rate_hz),
        tempo_bpm(whole, rate_hz),
        scale_tonic(chroma(whole, rate_hz).mean(axis=0)),
    )


def composed(
    labels: Labels, rate_hz: float, start_s: float, judged_s: float, whole_s: float
) -> Scene:
    """The same by the truth of a song: `labels` at `rate_hz`, of the stretch from `start_s` on."""
    first = round(start_s * rate_hz)
    judged = slice(first, first + round(judged_s * rate_hz))
    whole = slice(first, first + round(whole_s * rate_hz))
    shares = labels["families"][judged].mean(axis=0)
    families = {name: _there(share) for name, share in zip(FAMILIES, shares, strict=True)}
    keys = {
        notes_of(int(tonic), SCALES[scale])
        for tonic, scale in zip(labels["tonic"][whole], labels["scale"][whole], strict=True)
    }
    return Scene(
        STYLE_NAMES[labels["style"][first]],
        families,
        families["drums"],
        float(np.median(labels["bpm"][whole])),
        keys.pop() if len(keys) == 1 else NO_NOTES,
    )


def _there(share: float) -> bool | None:
    return True if share >= SOUNDS else False if share <= SILENT else None
