"""Songs of the corpus in other keys: a name with its distance, and the truth that goes with it.

A variant is named after its song: ``songs/000000.flac~+2`` is two semitones higher. Audio is not
rendered again; what listens shifts its grid of pitches (`model.semantic`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.brief import TONICS

MARK = "~"


def variant(name: str, semitones: int) -> str:
    """The name of a song, so many semitones higher."""
    return f"{name}{MARK}{semitones:+d}" if semitones else name


def song_of(name: str) -> tuple[str, int]:
    """The song and the semitones of a name."""
    song, _, semitones = name.partition(MARK)
    return song, int(semitones or 0)


def truth_beside(corpus: Path | None, name: str) -> dict[str, Any] | None:
    """The truth of a song or of a variant, if its JSON lies in the corpus."""
    song, semitones = song_of(name)
    path = corpus / Path(song).with_suffix(".json") if corpus else None
    if path is None or not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return transposed(found, semitones) if semitones else found


def transposed(truth: dict[str, Any], semitones: int) -> dict[str, Any]:
    """The truth of the same song in another key; captions and tags stay as they were written."""
    keys = [{**key, "tonic": _higher(key["tonic"], semitones)} for key in truth["keys"]]
    chords = [
        "/".join(_higher(part, semitones) for part in symbol.split("/"))
        for symbol in truth["chords"]
    ]
    return {**truth, "keys": keys, "chords": chords}


def _higher(symbol: str, semitones: int) -> str:
    """A note or chord symbol, its letter moved."""
    name = symbol[:2] if symbol[:2] in TONICS else symbol[:1]
    if name not in TONICS:
        return symbol
    return TONICS[(TONICS.index(name) + semitones) % 12] + symbol[len(name) :]
