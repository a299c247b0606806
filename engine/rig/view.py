"""What is on the performer's screen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.status import RunnerStatus


@dataclass(frozen=True, slots=True)
class Fader:
    """A control as it stands: its name, its value in words, its place 0 … 1, None where free."""

    name: str
    kind: str
    shown: str
    place: float | None


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the screen."""

    title: str
    played_s: float
    bar: int
    beat: int  # of the bar, from 1
    bpm: float
    unit: str
    music: RunnerStatus
    fill_s: float
    ring_s: float  # the most that is kept ahead
    underruns: int
    revision: int
    sounding: int  # the revision of the ideas that sound
    heard_at_s: float | None  # where the newest ideas begin to sound; None: not made yet
    chunk: int | None  # that sounds
    prompts: tuple[tuple[str, float], ...] | None  # None: known to somebody else
    faders: tuple[Fader, ...]
    scenes: tuple[str, ...]
    scene: str
    states: tuple[str, ...]
    recording: str
    device: str
    lines: tuple[str, ...]
