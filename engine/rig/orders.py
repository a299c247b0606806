"""What a performer can ask of the desk, wherever it comes from: OSC, MIDI or a cue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNITS = ("now", "beat", "bar")
"""When a change is made: at once, or as the next beat or bar begins."""

Value = float | str | None


@dataclass(frozen=True, slots=True)
class Words:
    """One prompt in words, and its weight."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SetControls:
    """Set these controls; None frees an optional one."""

    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class SetPrompts:
    """Ask for these prompts instead of those before; none is no prompt."""

    prompts: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall a scene of the show, on the beat or bar if one is named; None: as the desk is set."""

    scene: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Recalled:
    """A scene was recalled: say so."""

    scene: str


@dataclass(frozen=True, slots=True)
class Fire:
    """Do what a cue of the show says, now."""

    cue: str


@dataclass(frozen=True, slots=True)
class Store:
    """Keep the present controls and prompts as a scene, and write the show file."""

    scene: str


@dataclass(frozen=True, slots=True)
class Save:
    """Keep the exact musical state under this name, now."""

    state: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Go on from the state of this name, on the beat or bar if one is named."""

    state: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Go on from a state that was read; `memory` is an `engine.memory.Memory`."""

    state: str
    memory: object
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Panic:
    """Silence now, or sound again. Never waits for a beat."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class Hush:
    """Fade out as the next bar begins."""


@dataclass(frozen=True, slots=True)
class Quantise:
    """From now on changes wait for this: now, beat or bar."""

    unit: str


@dataclass(frozen=True, slots=True)
class Downbeat:
    """A bar begins here: MIDI start."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """The bpm of a MIDI clock."""

    bpm: float


@dataclass(frozen=True, slots=True)
class Learn:
    """The next knob that moves is for this control; None: stop learning."""

    control: str | None


@dataclass(frozen=True, slots=True)
class Learned:
    """A knob was bound to a control; channel 1 … 16."""

    control: str
    cc: int
    channel: int


@dataclass(frozen=True, slots=True)
class Record:
    """Start or stop to record."""

    on: bool


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Send feedback to this UDP port of whoever asks."""

    port: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer pong."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Say this line to the performer; nothing was changed."""

    line: str


Order = (
    SetControls | SetPrompts | Recall | Recalled | Fire | Store | Save | Restore | Turn | Panic
    | Hush | Quantise | Downbeat | Tempo | Learn | Learned | Record | Subscribe | Ping | Tell
)  # fmt: skip
