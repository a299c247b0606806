"""What is on the performer's screen, and how it travels to another process. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from engine.spec import ControlSpec
from engine.status import RunnerStatus

MOST_STATES = 32
"""Names of states that travel."""


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
    values: Mapping[str, float | None] = field(default_factory=dict)  # of the controls

    def to_json(self) -> dict[str, Any]:
        """All of it; of the states the first."""
        return asdict(self) | {"states": self.states[:MOST_STATES]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> View:
        """What `to_json` gave, after a journey as JSON."""
        music = said["music"] | {"rungs": tuple((n, angle) for n, angle in said["music"]["rungs"])}
        prompts = said["prompts"]
        flat = {key: tuple(said[key]) for key in ("scenes", "states")}
        return cls(**{
            **said, **flat, "music": RunnerStatus(**music),
            "prompts": None if prompts is None else tuple((text, x) for text, x in prompts),
            "faders": tuple(Fader(**one) for one in said["faders"]),
        })  # fmt: skip


class Sight(Protocol):
    """What a screen looks at: the music of this process, or of another."""

    @property
    def ready(self) -> bool:
        """True while something plays."""
        ...

    @property
    def specs(self) -> Mapping[str, ControlSpec]:
        """The controls."""
        ...

    @property
    def lines(self) -> Sequence[str]:
        """Lines for people, the newest last."""
        ...

    def values(self) -> Mapping[str, float | None]:
        """How they stand, what was asked last included."""
        ...

    def view(self) -> View:
        """Everything, now; only while it is ready."""
        ...

    def tell(self, line: str) -> None:
        """A line for people."""
        ...
