"""MIDI without ports: messages and the time go in, orders come out.

A message is what mido makes of the bytes. Of a knob only the moves count that catch the control
where it stands (pick-up takeover): a knob that stands elsewhere moves nothing until it comes by.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.rig.faders import from_fader, to_fader
from engine.rig.orders import (
    Downbeat,
    Fire,
    Learned,
    Order,
    Panic,
    Recall,
    SetControls,
    Tell,
    Tempo,
)
from engine.rig.show import Cue, Knob
from engine.spec import ControlSpec

SOUND_OFF, NOTES_OFF = 120, 123
MOST_CC = 127
FIRST_MODE_CC = 120
"""From here on controllers are channel mode messages, not knobs."""

CATCH = 1.5 / MOST_CC
"""A knob has caught its control when it is as near as this."""

PER_QUARTER = 24
CLOCKS = 2 * PER_QUARTER + 1
"""MIDI clocks that a tempo is measured over: two beats."""

GAP_S = 0.5
"""A clock that pauses for so long begins anew."""

LEAST_CHANGE = 0.004
"""A tempo is told when it is so much another: half a beat in 120."""


@dataclass
class _Turn:
    """Where a knob stands, and whether it moves its control."""

    place: float | None = None
    caught: bool = False
    seen: float | None = None  # where the control stood when the knob last moved


class MidiReader:
    """Reads messages. Not thread-safe."""

    def __init__(
        self, specs: Mapping[str, ControlSpec], knobs: Iterable[Knob] = (),
        scenes: Sequence[str] = (), cues: Iterable[Cue] = (),
    ) -> None:  # fmt: skip
        self.knobs = list(knobs)
        self.scenes = list(scenes)
        self._cues = list(cues)
        self._specs = specs
        self._turns: dict[Knob, _Turn] = {}
        self._learning: str | None = None
        self._clock = TempoMeter()

    def learn(self, control: str | None) -> None:
        """Bind the next knob that moves to this control; None: bind nothing."""
        self._learning = control

    def read(self, message: Any, values: Mapping[str, float | None], now_s: float) -> list[Order]:
        """What a message asks for, when the controls stand at `values`."""
        match message.type:
            case "control_change":
                return self._controller(message.control, message.value, message.channel + 1, values)
            case "program_change":
                return [self._program(message.program)]
            case "note_on" if message.velocity:
                return self._note(message.note, message.channel + 1)
            case "clock":
                bpm = self._clock.tick(now_s)
                return [] if bpm is None else [Tempo(bpm)]
            case "start":
                self._clock.reset()
                return [Downbeat()]
            case "stop":
                self._clock.reset()
        return []

    def _controller(
        self, cc: int, value: int, channel: int, values: Mapping[str, float | None]
    ) -> list[Order]:
        if cc in (SOUND_OFF, NOTES_OFF):
            return [Panic()]
        if cc >= FIRST_MODE_CC:
            return []
        if self._learning is not None:
            return self._learned(Knob(self._learning, cc, channel), value, values)
        found: list[Order] = []
        for knob in self.knobs:
            if knob.cc == cc and knob.channel in (None, channel) and knob.control in self._specs:
                found += self._turned(knob, value / MOST_CC, values)
        return found

    def _learned(self, knob: Knob, value: int, values: Mapping[str, float | None]) -> list[Order]:
        """A new knob, in the place of what it or its control were bound to before."""
        self.knobs = [
            one for one in self.knobs
            if one.control != knob.control
            and (one.cc != knob.cc or one.channel not in (None, knob.channel))
        ] + [knob]  # fmt: skip
        self._learning = None
        self._turns[knob] = _Turn(caught=True)
        return [Learned(knob.control, knob.cc, knob.channel or 0),
                *self._turned(knob, value / MOST_CC, values)]  # fmt: skip

    def _turned(self, knob: Knob, place: float, values: Mapping[str, float | None]) -> list[Order]:
        spec = self._specs[knob.control]
        turn = self._turns.setdefault(knob, _Turn())
        value = values.get(knob.control)
        stands = to_fader(spec, value)
        before = turn.place
        if turn.caught and before is not None:
            # Where it was sent to, or still where it was (it waits for its beat): nobody else moved
            # it. Whole controls stand where they were rounded to.
            sent = to_fader(spec, from_fader(spec, before))
            turn.caught = value is None or abs(sent - stands) <= CATCH or stands == turn.seen
        turn.caught = turn.caught or value is None or _met(before, place, stands)
        turn.place, turn.seen = place, stands
        return [SetControls({knob.control: from_fader(spec, place)})] if turn.caught else []

    def _program(self, number: int) -> Order:
        if number < len(self.scenes):
            return Recall(self.scenes[number])
        return Tell(f"program {number}: the show has {len(self.scenes)} scenes, from 0")

    def _note(self, note: int, channel: int) -> list[Order]:
        return [
            Fire(cue.name) for cue in self._cues
            if cue.note and cue.note.note == note and cue.note.channel in (None, channel)
        ]  # fmt: skip


class TempoMeter:
    """The bpm of a MIDI clock: 24 ticks a quarter note, measured over two beats."""

    def __init__(self) -> None:
        self._ticks_s: deque[float] = deque(maxlen=CLOCKS)
        self._since = 0
        self._told: float | None = None

    def reset(self) -> None:
        """Measure anew, and tell again."""
        self._ticks_s.clear()
        self._since = 0
        self._told = None

    def tick(self, now_s: float) -> float | None:
        """One clock; the bpm where it is known and another than was told, once a beat at most."""
        if self._ticks_s and not 0 <= now_s - self._ticks_s[-1] <= GAP_S:
            self.reset()
        self._ticks_s.append(now_s)
        self._since += 1
        if len(self._ticks_s) <= PER_QUARTER or self._since < PER_QUARTER:
            return None
        bpm = 60.0 / PER_QUARTER / max(_slope(self._ticks_s), 1e-6)
        if self._told is not None and abs(bpm / self._told - 1.0) < LEAST_CHANGE:
            return None
        self._told, self._since = bpm, 0
        return round(bpm, 2)


def _slope(values: Sequence[float]) -> float:
    """Least squares: what a value grows by from one to the next; late ticks hardly move it."""
    count = len(values)
    middle, first = (count - 1) / 2, values[0]
    above = sum((k - middle) * (value - first) for k, value in enumerate(values))
    return above / sum((k - middle) ** 2 for k in range(count))


def _met(before: float | None, place: float, stands: float) -> bool:
    """True where a knob is at the place or has gone across it."""
    if abs(place - stands) <= CATCH:
        return True
    return before is not None and min(before, place) <= stands <= max(before, place)
