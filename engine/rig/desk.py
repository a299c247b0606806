"""The desk: carries out orders on the controls, now or as the beat asks, and tells what happened.

No socket, port or thread in it. Two threads call it, so it locks: the keeper's (`made`, between two
ticks, which makes a change land on an exact chunk) and the shell's (all the rest). Ideas and `hold`
wait on the side of what is made next: they reach the first chunk that begins on or after the beat.
The other hands wait on the side of what is played.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.controls import Controls
from engine.errors import ControlError, UsageError
from engine.prompts import Prompt
from engine.rig.agenda import Agenda, Side
from engine.rig.beats import USUAL_BPM, BeatClock
from engine.rig.orders import (
    Downbeat,
    Fire,
    Hush,
    Learned,
    Order,
    Panic,
    Quantise,
    Recall,
    Recalled,
    SetControls,
    SetPrompts,
    Store,
    Tell,
    Tempo,
    Value,
    Words,
)
from engine.rig.show import MOST_SCENES, NAME, Cue, Knob, Scene, Show, save_show
from engine.session import Floats

HUSH_S = 0.3
"""Length of the fade of a hush."""

Embed = Callable[[Sequence[Prompt]], Floats | None]
Tale = tuple[str | float, ...]
"""An OSC path and its arguments: what the desk has to tell."""

MOST_TALES = 256
MOST_PLACES = 512
"""Prompts whose places are remembered."""


class Desk:
    """A performer's hold on the controls of one stream."""

    def __init__(
        self, controls: Controls, sample_rate_hz: int, *, show: Show | None = None,
        show_path: Path | None = None, embed: Embed | None = None,
    ) -> None:  # fmt: skip
        """`embed` turns prompts into a place of the music-text space; None: it takes no prompts.

        UsageError where a scene or a knob asks for what the bundle does not have.
        """
        self.controls = controls
        self._probe = Controls(controls.specs.values())  # says what cannot be set
        self.show = show or Show()
        self.unit = self.show.quantise
        self.prompts: tuple[Words, ...] = ()
        self._path = show_path
        self._embed = embed
        self._rate_hz = sample_rate_hz
        self._lock = threading.RLock()
        self._agenda = Agenda()
        self._tales: list[Tale] = []
        self._unsaved: tuple[Show, str] | None = None
        self._places: dict[tuple[Words, ...], Floats | None] = {(): None}
        self._made = self._played = 0
        bpm = controls.snapshot().value("bpm", USUAL_BPM)
        self.clock = BeatClock(sample_rate_hz, bpm, self.show.beats_per_bar)
        self._check()
        self._plan_cues()

    # ---- what comes in ------------------------------------------------------------------------

    def take(self, order: Order) -> None:
        """Carry out an order, now or on its beat; what it cannot do is told."""
        if isinstance(order, SetPrompts):  # its words become a place outside of the lock
            order = self._placed(order) or SetControls({})
        with self._lock:
            try:
                self._take(order)
            except UsageError as error:
                self._tell("/error", str(error))
            unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None:
            self._save(*unsaved)

    def later(self, due_s: float, order: Order) -> None:
        """Carry out an order at a time of the monotonic clock."""
        with self._lock:
            try:
                self._agenda.at_time(due_s, order)
            except UsageError as error:
                self._tell("/error", str(error))

    def made(self, next_sample: int) -> None:
        """The next chunk to enter begins at this sample; called between two ticks."""
        with self._lock:
            self._made = next_sample
            self._reach("made", next_sample)
            bpm = self.controls.snapshot().value("bpm", self.clock.bpm)
            self.clock.tempo(bpm, next_sample)

    def played(self, sample: int, now_s: float) -> None:
        """This sample is played next; called some hundred times a second."""
        with self._lock:
            began, self._played = self._played, sample
            due = self._agenda.due_by(now_s)
            self._reach("played", sample)
            self._tell_beat(began, sample)
        for order in due:
            self.take(order)

    def tales(self) -> list[Tale]:
        """What there is to tell since the last time."""
        with self._lock:
            found, self._tales = self._tales, []
            return found

    # ---- orders -------------------------------------------------------------------------------

    def _take(self, order: Order) -> None:
        match order:
            case SetControls(values):
                self._set(values, self.unit)
            case SetPrompts():
                self._on("made", order, self.unit)
            case Recall(scene, unit):
                self._recall(scene, unit or self.unit)
            case Fire(name):
                cue = self._cue(name)
                self._recall(cue.scene, cue.unit or self.unit)
            case Panic(on):
                self._agenda.drop(Hush)
                self._set({"panic": float(on)}, "now")
            case Hush():
                self._on("played", order, "bar")
            case Quantise(unit):
                self.unit = unit
            case Tempo(bpm):
                if "bpm" in self.controls.specs:
                    self._set({"bpm": bpm}, "now")
                else:
                    self.clock.tempo(bpm, self._made)
            case Downbeat():
                self.clock.downbeat(self._played)
            case Store(scene):
                self._store(scene)
            case Learned():
                self._learned(order)
            case Tell(line):
                self._tell("/error", line)

    def _set(self, values: Mapping[str, Value], unit: str) -> None:
        """Each control on its own side; a value out of range refuses them all."""
        for side, part in self._sides(values):
            self._on(side, part, unit)

    def _on(self, side: Side, order: Order, unit: str) -> None:
        sample = self._made if side == "made" else self._played
        if unit == "now":
            self._do(order)
        else:
            self._agenda.at_beat(side, self.clock.next(unit, sample + 1), order)

    def _recall(self, name: str, unit: str) -> None:
        for side, part in self._parts(name):
            self._on(side, part, unit)

    def _do(self, order: Order) -> None:
        """What an order does when its moment has come."""
        match order:
            case SetControls(values) if values:
                self.controls.update(values)
            case SetPrompts(prompts):
                self.controls.set_prompt(self._places[prompts])
                self.prompts = prompts
            case Hush():
                self.controls.update({"fade": HUSH_S})
            case Recalled(scene):
                self._tell("/scene", scene)
            case Recall():
                self._take(order)

    def _reach(self, side: Side, sample: int) -> None:
        for order in self._agenda.due(side, sample, self.clock):
            try:
                self._do(order)
            except UsageError as error:
                self._tell("/error", str(error))

    def _parts(self, name: str) -> list[tuple[Side, Order]]:
        """What a scene does, on which side of the ring."""
        scene = self.show.scenes.get(name)
        if scene is None:
            known = ", ".join(self.show.scenes) or "none"
            raise UsageError(f"no scene {name!r:.40}; there are: {known}")
        parts = self._sides(scene.controls)
        if scene.prompts is not None:
            parts.append(("made", SetPrompts(scene.prompts)))
        return [*parts, ("made", Recalled(name))]

    def _sides(self, values: Mapping[str, Value]) -> list[tuple[Side, Order]]:
        """Controls, each on its own side; ControlError where one of them cannot be."""
        if values:
            self._probe.update(values)
        sides: tuple[Side, ...] = ("made", "played")
        split = {side: {key: values[key] for key in values if self._side(key) == side}
                 for side in sides}  # fmt: skip
        return [(side, SetControls(part)) for side, part in split.items() if part]

    def _side(self, name: str) -> Side:
        spec = self.controls.specs.get(name)
        return "made" if spec is None or spec.kind == "idea" or name == "hold" else "played"

    # ---- scenes, cues and knobs ---------------------------------------------------------------

    def _cue(self, name: str) -> Cue:
        for cue in self.show.cues:
            if cue.name == name:
                return cue
        known = ", ".join(cue.name for cue in self.show.cues) or "none"
        raise UsageError(f"no cue {name!r:.40}; there are: {known}")

    def _plan_cues(self) -> None:
        """Cues by time and by bar wait from the start, each part on its own side."""
        for cue in self.show.cues:
            parts: list[tuple[Side, Order]] = [("made", Recall(cue.scene, cue.unit))]
            for side, part in parts if cue.unit else self._parts(cue.scene):
                if cue.time_s is not None:
                    self._agenda.at_sample(side, round(cue.time_s * self._rate_hz), part)
                elif cue.bar is not None:
                    self._agenda.at_beat(side, self.clock.beat_of_bar(cue.bar), part)

    def _check(self) -> None:
        """Every scene can be recalled, every knob moves something; their prompts are placed."""
        for name, scene in self.show.scenes.items():
            try:
                self._sides(scene.controls)
                if scene.prompts is not None:
                    self._place(scene.prompts)
            except ControlError as error:
                raise UsageError(f"scene {name}: {error}") from None
        for knob in self.show.knobs:
            if knob.control not in self.controls.specs:
                known = ", ".join(self.controls.specs)
                raise UsageError(f"knob {knob.cc}: no control {knob.control!r:.40}; known: {known}")

    def _placed(self, order: SetPrompts) -> SetPrompts | None:
        try:
            self._place(order.prompts)
        except ControlError as error:
            with self._lock:
                self._tell("/error", str(error))
            return None
        return order

    def _place(self, prompts: tuple[Words, ...]) -> None:
        if prompts not in self._places:
            if self._embed is None:
                raise ControlError("this bundle takes no prompts")
            place = self._embed([Prompt(one.text, weight=one.weight) for one in prompts])
            if len(self._places) >= MOST_PLACES:
                staged = {scene.prompts for scene in self.show.scenes.values()}
                self._places = {key: one for key, one in self._places.items()
                                if not key or key in staged}  # fmt: skip
            self._places[prompts] = place

    def _store(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(f"scene {name!r:.40}: it takes 1 … 40 letters, digits, - and _")
        scenes = dict(self.show.scenes)
        if name not in scenes and len(scenes) >= MOST_SCENES:
            raise UsageError(f"scene {name}: there are {MOST_SCENES} already; store over one")
        now = self.controls.snapshot()
        ideas = {key: value for key, value in now.values.items()
                 if self.controls.specs[key].kind == "idea"}  # fmt: skip
        ours = _same(self._places.get(self.prompts), now.prompt)
        scenes[name] = Scene(ideas, self.prompts if ours and self._embed else None)
        less = "" if ours else " without its prompts, whose words others know,"
        self._keep(replace(self.show, scenes=scenes), f"scene {name} is stored{less}")

    def _learned(self, order: Learned) -> None:
        knob = Knob(order.control, order.cc, order.channel)
        others = [
            one for one in self.show.knobs
            if one.control != knob.control
            and (one.cc != knob.cc or one.channel not in (None, knob.channel))
        ]  # fmt: skip
        self._tell("/learned", knob.control, knob.cc, order.channel)
        self._keep(replace(self.show, knobs=(*others, knob)), f"{knob.control} is on a knob")

    def _keep(self, show: Show, line: str) -> None:
        """Take over a changed show, and have it written when the keeper need not wait for it."""
        self.show = show
        self._unsaved = show, line

    def _save(self, show: Show, line: str) -> None:
        try:
            if self._path is not None:
                save_show(show, self._path)
            kept = f" in {self._path}" if self._path else ", for this session: there is no --show"
            tale: Tale = ("/note", line + kept)
        except UsageError as error:
            tale = ("/error", str(error))
        with self._lock:
            self._tell(*tale)

    # ---- telling ------------------------------------------------------------------------------

    def _tell_beat(self, began: int, ended: int) -> None:
        beat = int(self.clock.beat_at(ended))
        if beat != int(self.clock.beat_at(began)):
            bar, inside = divmod(beat, self.clock.beats_per_bar)
            self._tell("/beat", bar + 1, inside + 1)

    def _tell(self, *tale: str | float) -> None:
        if len(self._tales) < MOST_TALES:
            self._tales.append(tale)


def _same(one: Floats | None, other: Floats | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
