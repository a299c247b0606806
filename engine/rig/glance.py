"""What a performer sees at a glance, gathered from all that plays; `engine.rig.panels` draws it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.controls import ControlSnapshot
from engine.generator import Block
from engine.rig.desk import Desk
from engine.rig.faders import to_fader
from engine.rig.feedback import NAMED
from engine.rig.view import Fader, View
from engine.spec import ControlSpec
from engine.status import RunnerStatus

MARKS = 256
LINES = 64


@dataclass(frozen=True, slots=True)
class _Mark:
    start: int
    index: int | None
    revision: int


class Glance:
    """Gathers a view; blocks and lines may come from any thread."""

    def __init__(self, desk: Desk, title: str, rate_hz: int) -> None:
        self._desk = desk
        self._title = title
        self._rate_hz = rate_hz
        self._marks: deque[_Mark] = deque(maxlen=MARKS)
        self._ideas = {name for name, spec in desk.controls.specs.items() if spec.kind == "idea"}
        self._before: ControlSnapshot | None = None
        self._newest = 0  # revision of the newest ideas
        self._heard: _Mark | None = None  # the first block that was made with them
        self._lines: deque[str] = deque(maxlen=LINES)
        self.scene = ""
        # Set by whoever plays:
        self.music: Callable[[], RunnerStatus] | None = None
        self.played: Callable[[], int] = lambda: 0
        self.underruns: Callable[[], int] = lambda: 0
        self.device: Callable[[], str] = lambda: ""
        self.states: Callable[[], list[str]] = lambda: []
        self.recording: Callable[[], str] = lambda: ""
        self.ring_s = 1.0

    def note(self, block: Block) -> None:
        """A block was put into the ring."""
        last = self._marks[-1] if self._marks else _Mark(0, None, 0)
        index, revision = block.index, block.control_revision
        if block.cover:
            self._marks.append(_Mark(block.position_samples, last.index, last.revision))
        else:
            self._marks.append(_Mark(block.position_samples, index, revision))

    def tell(self, line: str) -> None:
        """A line for people."""
        self._lines.append(line)

    def tale(self, path: str, *arguments: str | float) -> None:
        """What the desk has told."""
        if path in ("/scene", "/state"):
            self.scene = str(arguments[0]) if path == "/scene" else ""
            self._lines.append(f"{path[1:]} {arguments[0]}")

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines for people, the newest last."""
        return tuple(self._lines)

    @property
    def ready(self) -> bool:
        """True once something plays."""
        return self.music is not None

    @property
    def specs(self) -> Mapping[str, ControlSpec]:
        """The controls."""
        return self._desk.controls.specs

    def values(self) -> Mapping[str, float | None]:
        """How they stand."""
        return self._desk.controls.snapshot().values

    def view(self) -> View:
        """Everything, now."""
        assert self.music is not None, "nothing plays yet"
        desk, music, sample = self._desk, self.music(), self.played()
        now = desk.controls.snapshot()
        beat = max(0, int(desk.clock.beat_at(sample)))
        bar, inside = divmod(beat, desk.clock.beats_per_bar)
        marks = list(self._marks)
        sounding = next((mark for mark in reversed(marks) if mark.start <= sample), None)
        return View(
            title=self._title, played_s=sample / self._rate_hz, bar=bar + 1, beat=inside + 1,
            bpm=desk.clock.bpm, unit=desk.unit, music=music,
            fill_s=music.fill_samples / self._rate_hz, ring_s=self.ring_s,
            underruns=self.underruns(), revision=now.revision,
            sounding=sounding.revision if sounding else 0, heard_at_s=self._heard_at_s(now, marks),
            chunk=sounding.index if sounding else None, prompts=desk.words,
            faders=tuple(fader(spec, now.values) for spec in desk.controls.specs.values()),
            scenes=tuple(desk.show.scenes), scene=self.scene, states=tuple(self.states()),
            recording=self.recording(), device=self.device(),
            values=dict(now.values),
        )  # fmt: skip

    def _heard_at_s(self, now: ControlSnapshot, marks: list[_Mark]) -> float | None:
        """Where the newest ideas begin; hands are heard at once and do not count."""
        before, self._before = self._before, now
        if before is not None and self._asked_anew(before, now):
            self._newest, self._heard = now.revision, None
        if self._heard is None:
            self._heard = next((mark for mark in marks if mark.revision >= self._newest), None)
        return None if self._heard is None else self._heard.start / self._rate_hz

    def _asked_anew(self, before: ControlSnapshot, now: ControlSnapshot) -> bool:
        changed = any(before.values[name] != now.values[name] for name in self._ideas)
        return changed or before.prompt is not now.prompt


def fader(spec: ControlSpec, values: Mapping[str, float | None]) -> Fader:
    """How a control stands."""
    value = values[spec.name]
    if value is None:
        return Fader(spec.name, spec.kind, "free", None)
    switch = spec.whole and (spec.minimum, spec.maximum) == (0.0, 1.0)
    if spec.name in NAMED:
        shown = NAMED[spec.name][round(value)]
    elif switch:
        shown = "on" if value else "off"
    else:
        shown = f"{value:.0f}" if spec.whole else f"{value:.3g}"
    unit = f" {spec.unit}" if spec.unit and spec.unit != spec.name else ""
    return Fader(spec.name, spec.kind, shown + unit, to_fader(spec, value))
