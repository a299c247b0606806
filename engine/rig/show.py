"""The show file: scenes, the cues that recall them, and which knob moves what.

    {"show": 1,
     "quantise": "bar", "beats_per_bar": 4,
     "scenes": {"calm": {"controls": {"bpm": 80, "tonic": "A"},
                         "prompts": [{"text": "slow ambient pads", "weight": 1}]}},
     "cues": [{"name": "opening", "scene": "calm", "at": {"time_s": 0}},
              {"name": "drop", "scene": "calm", "quantise": "bar",
               "at": {"midi": {"note": 36, "channel": 1}}}],
     "knobs": [{"control": "density", "cc": 20, "channel": 1}]}

A cue may `save` or `restore` a musical state by its name, in the place of a scene.

`at` is one of `time_s` (seconds of music), `bar` (from 1), `osc` (an address) and `midi` (a note);
without it a cue waits for its name. A program change recalls the scene of that number, from 0, in
the order of the file. Fields that are not known are named and ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.rig.orders import UNITS, Recall, Restore, Save, Value, Words
from engine.rig.sheet import Sheet

FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
MOST_SCENES = 128
"""As many as there are programs of MIDI."""

MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scene:
    """Controls and prompts under a name; what is not named stays as it is, None: no change."""

    controls: Mapping[str, Value] = field(default_factory=dict)
    prompts: tuple[Words, ...] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A key of a MIDI keyboard; channel 1 … 16, None: any."""

    note: int
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """Recalls a scene, or saves or restores a state: at its moment, or when its name is called."""

    name: str
    scene: str = ""
    unit: str | None = None
    time_s: float | None = None
    bar: int | None = None
    osc: str | None = None
    note: Note | None = None
    save: str | None = None
    restore: str | None = None

    @property
    def order(self) -> Recall | Save | Restore:
        """What it does."""
        if self.save is not None:
            return Save(self.save)
        if self.restore is not None:
            return Restore(self.restore, self.unit)
        return Recall(self.scene, self.unit)


@dataclass(frozen=True, slots=True)
class Knob:
    """A MIDI controller that moves a control; channel 1 … 16, None: any."""

    control: str
    cc: int
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """Everything in a show file."""

    scenes: Mapping[str, Scene] = field(default_factory=dict)
    cues: tuple[Cue, ...] = ()
    knobs: tuple[Knob, ...] = ()
    quantise: str = "now"
    beats_per_bar: int = 4

    def only_called(self) -> Show:
        """With cues that act when they are called: their own moments are over."""
        return replace(self, cues=tuple(replace(one, time_s=None, bar=None) for one in self.cues))

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `read_show` reads it back equal."""
        return {
            "show": FORMAT,
            "quantise": self.quantise,
            "beats_per_bar": self.beats_per_bar,
            "scenes": {name: _scene_json(scene) for name, scene in self.scenes.items()},
            "cues": [_cue_json(cue) for cue in self.cues],
            "knobs": [_without_none(control=k.control, cc=k.cc, channel=k.channel)
                      for k in self.knobs],
        }  # fmt: skip


def load_show(path: Path) -> tuple[Show, list[str]]:
    """The show of a file and notes about it; UsageError in one line, with line and column."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is over {MOST_BYTES // 2**20} MiB: it is no show file")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"show file {path} cannot be read: {reason}") from None
    return read_show(text, str(path))


def read_show(text: str, place: str = "show") -> tuple[Show, list[str]]:
    """The show, and a line for every field that is not known; UsageError for what is wrong."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{place}, line {error.lineno}, column {error.colno}: {error.msg}; mend the JSON there"
        ) from None
    except RecursionError:
        raise UsageError(f"{place}: it nests too deeply to be a show file") from None
    sheet = Sheet(value, place)
    if sheet.whole("show", 1, 1000, FORMAT) != FORMAT:
        raise UsageError(f"{place}.show is {value['show']}, this version reads {FORMAT}")
    scenes = sheet.inner("scenes", {})
    show = Show(
        {name: _scene(scenes.inner(_name(name, scenes.place))) for name in scenes.names()},
        tuple(_cue(one, number) for number, one in enumerate(sheet.each("cues"), 1)),
        tuple(_knob(one) for one in sheet.each("knobs")),
        sheet.choice("quantise", UNITS, "now"),
        sheet.whole("beats_per_bar", 1, 32, 4),
    )
    _check(show, place)
    return show, sheet.unknown()


def save_show(show: Show, path: Path) -> None:
    """Write the file whole or not at all; UsageError where it cannot be written."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(json.dumps(show.to_json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(f"show file {path} cannot be written: {error.strerror}") from None


def _check(show: Show, place: str) -> None:
    """Names that lead nowhere, and those that lead to two places."""
    if len(show.scenes) > MOST_SCENES:
        raise UsageError(f"{place}.scenes: {len(show.scenes)} of them, at most {MOST_SCENES}")
    names = [cue.name for cue in show.cues]
    for cue in show.cues:
        if cue.scene and cue.scene not in show.scenes:
            known = ", ".join(show.scenes) or "none"
            raise UsageError(
                f"{place}: cue {cue.name} names scene {cue.scene!r:.60}; known: {known}"
            )
        if names.count(cue.name) > 1:
            raise UsageError(f"{place}: two cues are called {cue.name}; give one another name")


def _scene(sheet: Sheet) -> Scene:
    controls = sheet.inner("controls", {})
    prompts = None
    if sheet.has("prompts"):
        prompts = tuple(
            Words(one.text("text"), one.number("weight", 0.0, 100.0, 1.0))
            for one in sheet.each("prompts")
        )
    return Scene({name: controls.value(name) for name in controls.names()}, prompts)


def _cue(sheet: Sheet, number: int) -> Cue:
    name = _name(sheet.text("name", f"cue{number}"), sheet.place)
    at = sheet.inner("at", {})
    ways = [way for way in ("time_s", "bar", "osc", "midi") if at.has(way)]
    if len(ways) > 1:
        raise UsageError(f"{at.place} names {' and '.join(ways)}: a cue has one moment")
    deeds = [deed for deed in ("save", "restore") if sheet.has(deed)]
    if deeds and (len(deeds) > 1 or sheet.has("scene")):
        raise UsageError(f"{sheet.place} names two of scene, save and restore: a cue does one")
    return Cue(
        name,
        "" if deeds else sheet.text("scene"),
        sheet.choice("quantise", UNITS) if sheet.has("quantise") else None,
        at.number("time_s", 0.0, 1e7) if at.has("time_s") else None,
        at.whole("bar", 1, 10**7) if at.has("bar") else None,
        _address(at) if at.has("osc") else None,
        _note(at.inner("midi")) if at.has("midi") else None,
        *(_name(sheet.text(deed), sheet.place) if deed in deeds else None
          for deed in ("save", "restore")),
    )  # fmt: skip


def _address(at: Sheet) -> str:
    address = at.text("osc")
    if not address.startswith("/") or len(address) > 200:
        raise UsageError(f"{at.place}.osc is {address!r:.60}, it takes an address such as /drop")
    return address


def _note(sheet: Sheet) -> Note:
    return Note(sheet.whole("note", 0, 127), _channel(sheet))


def _knob(sheet: Sheet) -> Knob:
    return Knob(sheet.text("control"), sheet.whole("cc", 0, 119), _channel(sheet))


def _channel(sheet: Sheet) -> int | None:
    return sheet.whole("channel", 1, 16) if sheet.has("channel") else None


def _name(name: str, place: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(f"{place}: name {name!r:.60}, it takes 1 … 40 letters, digits, - and _")
    return name


def _scene_json(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = {"controls": dict(scene.controls)}
    if scene.prompts is not None:
        found["prompts"] = [{"text": one.text, "weight": one.weight} for one in scene.prompts]
    return found


def _cue_json(cue: Cue) -> dict[str, Any]:
    note = cue.note and _without_none(note=cue.note.note, channel=cue.note.channel)
    at = _without_none(time_s=cue.time_s, bar=cue.bar, osc=cue.osc, midi=note)
    return _without_none(
        name=cue.name, scene=cue.scene or None, save=cue.save, restore=cue.restore,
        quantise=cue.unit, at=at or None,
    )  # fmt: skip


def _without_none(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
