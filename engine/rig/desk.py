"""The desk: carries out orders on the controls, now or as the beat asks, and tells what happened.

No socket, port or thread in it. Two threads call it, so it locks: the keeper's (`made`, between two
ticks, which makes a change land on an exact chunk) and the shell's (all the rest). Ideas and `hold`
wait on the side of what is made next: they reach the first chunk that begins on or after the beat.
The other hands wait on the side of what is played.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from engine.controls import Controls
from engine.errors import ControlError, UsageError
from engine.memory import Memory
from engine.rig.agenda import Agenda, Side
from engine.rig.beats import USUAL_BPM, BeatClock
from engine.rig.memories import Memories
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
    Restore,
    Save,
    SetControls,
    SetPrompts,
    Store,
    Tell,
    Tempo,
    Turn,
    Value,
    Words,
)
from engine.rig.places import Embed, Places
from engine.rig.show import MOST_SCENES, NAME, Cue, Knob, Scene, Show, save_show
from engine.session import Floats

HUSH_S = 0.3
"""Length of the fade of a hush."""

Tale = tuple[str | float, ...]
"""An OSC path and its arguments: what the desk has to tell."""

MOST_TALES = 256


class Desk:
    """A performer's hold on the controls of one stream."""

    def __init__(
        self, controls: Controls, sample_rate_hz: int, *, show: Show | None = None,
        show_path: Path | None = None, embed: Embed | None = None,
        memories: Memories | None = None,
    ) -> None:  # fmt: skip
        """`embed` turns prompts into a place of the music-text space; None: it takes no prompts.

        `memories` keeps musical states; None: nothing is saved here.

        UsageError where a scene or a knob asks for what the bundle does not have.
        """
        self.controls = controls
        self._probe = Controls(controls.specs.values())  # says what cannot be set
        self.show = show or Show()
        self.unit = self.show.quantise
        self.prompts: tuple[Words, ...] = ()
        self.prompted: Callable[[tuple[Words, ...]], None] = lambda _: None
        """Told of prompts that were set here."""
        self._memories = memories
        self._path = show_path
        self._places = Places(embed)
        self._rate_hz = sample_rate_hz
        self._lock = threading.RLock()
        self._agenda = Agenda()
        self._tales: list[Tale] = []
        self._unsaved: tuple[Show, str] | None = None
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
                self._take(self._cue(name).order)
            case Save(state):
                self._kept().begin_save(state, self.words, self._tell_later)
            case Restore(state, unit):
                self._restore(state, unit)
            case Turn(unit=unit):
                self._on("made", order, unit or self.unit)
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
                self.controls.set_prompt(self._places.of(prompts))
                self._prompted(prompts)
            case Hush():
                self.controls.update({"fade": HUSH_S})
            case Recalled(scene):
                self._tell("/scene", scene)
            case Turn(state, Memory() as memory):
                self._turn(state, memory)
            case Recall() | Save() | Restore():
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
            for side, part in self._parts_of(cue):
                if cue.time_s is not None:
                    self._agenda.at_sample(side, round(cue.time_s * self._rate_hz), part)
                elif cue.bar is not None:
                    self._agenda.at_beat(side, self.clock.beat_of_bar(cue.bar), part)

    def _parts_of(self, cue: Cue) -> list[tuple[Side, Order]]:
        """What a cue does at its very moment, or begins to wait for then."""
        if cue.scene and not cue.unit:
            return self._parts(cue.scene)
        if cue.restore and not cue.unit:
            return [("made", Restore(cue.restore, "now"))]
        return [("made", cue.order)]

    def _check(self) -> None:
        """Every scene can be recalled, every knob moves something; their prompts are placed."""
        for cue in self.show.cues:
            if self._memories is None and (cue.save or cue.restore):
                raise UsageError(f"cue {cue.name} needs a place for states: --states FOLDER")
        for name, scene in self.show.scenes.items():
            try:
                self._sides(scene.controls)
                if scene.prompts is not None:
                    self._places.stage(scene.prompts)
            except ControlError as error:
                raise UsageError(f"scene {name}: {error}") from None
        for knob in self.show.knobs:
            if knob.control not in self.controls.specs:
                known = ", ".join(self.controls.specs)
                raise UsageError(f"knob {knob.cc}: no control {knob.control!r:.40}; known: {known}")

    def _placed(self, order: SetPrompts) -> SetPrompts | None:
        try:
            self._places.find(order.prompts)
        except ControlError as error:
            with self._lock:
                self._tell("/error", str(error))
            return None
        return order

    def _store(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(f"scene {name!r:.40}: it takes 1 … 40 letters, digits, - and _")
        scenes = dict(self.show.scenes)
        if name not in scenes and len(scenes) >= MOST_SCENES:
            raise UsageError(f"scene {name}: there are {MOST_SCENES} already; store over one")
        now = self.controls.snapshot()
        ideas = {key: value for key, value in now.values.items()
                 if self.controls.specs[key].kind == "idea"}  # fmt: skip
        ours = self._places.holds(self.prompts, now.prompt)
        scenes[name] = Scene(ideas, self.prompts if ours and self._places.embed else None)
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

    # ---- musical states -----------------------------------------------------------------------

    @property
    def words(self) -> tuple[tuple[str, float], ...] | None:
        """Texts and weights of what plays; None where somebody else knows them."""
        with self._lock:
            known = self._places.holds(self.prompts, self.controls.snapshot().prompt)
            return tuple((one.text, one.weight) for one in self.prompts) if known else None

    @property
    def next_sample(self) -> int:
        """Where the next chunk to enter begins in the music."""
        return self._made

    def heard_prompts(self, prompts: tuple[Words, ...], place: Floats | None) -> None:
        """Somebody else has set these prompts, which are at this place."""
        with self._lock:
            self._places.keep(prompts, place)
            self.prompts = prompts

    def turn(self, name: str, memory: Memory) -> int:
        """Go on from a state that fits, as quantised; the sample of the music where it begins."""
        with self._lock:
            self._take(Turn(name, memory))
            made, now = self._made, self.unit == "now"
            return made if now else self.clock.sample_of(self.clock.next(self.unit, made + 1), made)

    def _kept(self) -> Memories:
        if self._memories is None:
            raise UsageError("no place for musical states: begin with --states FOLDER")
        return self._memories

    def _restore(self, name: str, unit: str | None) -> None:
        def then(memory: Memory) -> None:
            self.take(Turn(name, memory, unit))

        self._kept().begin_load(name, then, self._tell_later)

    def _turn(self, name: str, memory: Memory) -> None:
        self._kept().recall(memory, lambda error: self._tell_later("/error", str(error)))
        prompts = tuple(Words(text, weight) for text, weight in memory.words or ())
        place = memory.arrays.get("prompt")
        if place is None or prompts:
            self._places.keep(prompts, place)
            self._prompted(prompts)
        self._tell("/state", name)

    def _prompted(self, prompts: tuple[Words, ...]) -> None:
        self.prompts = prompts
        self.prompted(prompts)

    # ---- telling ------------------------------------------------------------------------------

    def _tell_beat(self, began: int, ended: int) -> None:
        beat = int(self.clock.beat_at(ended))
        if beat != int(self.clock.beat_at(began)):
            bar, inside = divmod(beat, self.clock.beats_per_bar)
            self._tell("/beat", bar + 1, inside + 1)

    def _tell_later(self, *tale: str | float) -> None:
        """From any thread."""
        with self._lock:
            self._tell(*tale)

    def _tell(self, *tale: str | float) -> None:
        if len(self._tales) < MOST_TALES:
            self._tales.append(tale)
