"""What a style is, as data. `drums`, `parts` and `melody` play the little languages below.

One character is a sixteenth; a pattern is one bar (or two); spaces are for the eye.
drums     ``X`` accent, ``x`` stroke, ``o`` ghost, ``.`` nothing.
bass      ``1 3 5 7 8`` chord degree (8 the octave), ``a`` a semitone from the next root,
          ``w`` a walking step, ``-`` hold, ``.`` rest.
comp      ``X x`` the whole voicing, ``b`` its lowest note, ``-`` hold, ``.`` rest.
arpeggio  ``0..9`` index into the voicing (continued by octaves), ``-`` hold, ``.`` rest.
lead      ``x`` a note of the motif, ``-`` hold, ``.`` rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Drums = dict[str, str]


@dataclass(frozen=True)
class Style:
    """Everything a style fixes; the composer draws the rest from these narrow sets."""

    name: str
    bpm: tuple[int, int]
    modes: tuple[str, ...]
    progressions: dict[str, tuple[str, ...]]
    programs: dict[str, tuple[int, ...]]
    kits: tuple[int, ...]
    grooves: tuple[tuple[Drums, ...], ...]
    fills: tuple[Drums, ...]
    bass: tuple[str, ...]
    comp: tuple[str, ...]
    lead: tuple[str, ...]
    arpeggio: tuple[str, ...] = ()
    layers: dict[int, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    section_bars: tuple[int, ...] = (4, 8)
    swing: float = 0.5
    swing_unit: float = 0.5
    levels_db: dict[str, float] = field(default_factory=dict)
    reverb: int = 40
    timing_ms: float = 4.0
    leap: float = 0.15
    pentatonic: bool = False
    words: tuple[str, ...] = ()
