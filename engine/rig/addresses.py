"""Every OSC address of the rig, in one table; docs/osc.md holds the same one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.spec import ControlSpec

PREFIX = "/perpetuo"
OF_THE_BUNDLE = ("steps", "top_k")
"""Controls whose range depends on the bundle."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address: NAME in it stands for the name of a control, scene or cue."""

    path: str
    arguments: str
    meaning: str


HEARD = (
    Address("/control/NAME", "f", "a fader: 0 … 1 over the control's range"),
    Address("/value/NAME", "f, i or s", "a control in its own unit; tonic and scale by name"),
    Address("/free/NAME", "", "leave an optional control to the music"),
    Address("/prompt", "s [f], and so on", "texts, each with its weight; without any: no prompt"),
    Address("/scene/NAME", "[f]", "recall a scene; 0, a button let go, does nothing"),
    Address("/cue/NAME", "[f]", "do what a cue says; 0 does nothing"),
    Address("/store/NAME", "[f]", "keep the present controls and prompts as this scene"),
    Address("/save/NAME", "[f]", "keep the exact musical state of now under this name"),
    Address("/restore/NAME", "[f]", "go on from the state of this name"),
    Address("/panic", "[f]", "silence now; 0: sound again"),
    Address("/hush", "[f]", "fade out as the next bar begins"),
    Address("/quantise", "s", "now, beat or bar: what changes wait for"),
    Address("/learn", "[s]", "the next MIDI knob moves this control; without one: stop learning"),
    Address("/record", "f", "1: record, 0: stop"),
    Address("/subscribe", "i", "send all that is below to this UDP port of the sender; 0: end it"),
    Address("/ping", "", "answered with /pong"),
)
"""What the rig understands."""

TOLD = (
    Address("/control/NAME", "f", "where a control stands, whenever it has changed"),
    Address("/value/NAME", "f or s", "the same in its own unit; \"free\" where it is free"),
    Address("/scene", "s", "the scene that was recalled"),
    Address("/state", "s", "the musical state that was restored"),
    Address("/beat", "i i", "a beat sounds: bar from 1, beat of the bar from 1"),
    Address("/meter/fill_ms", "f", "music ahead"),
    Address("/meter/load", "f", "cost of the last chunk against its length: 1 is too much"),
    Address("/meter/underruns", "i", "how often there was no music to play"),
    Address("/learned", "s i i", "control, controller and channel of a knob"),
    Address("/record", "i", "1 while it records"),
    Address("/note", "s", "a line about what happened"),
    Address("/error", "s", "a line about what was refused, and why"),
    Address("/pong", "", "the answer to /ping"),
)  # fmt: skip
"""What the rig tells its subscribers."""


def table(addresses: Iterable[Address]) -> str:
    """The addresses as a Markdown table."""
    rows = (f"| `{PREFIX}{one.path}` | {one.arguments} | {one.meaning} |" for one in addresses)
    return "\n".join(["| address | arguments | what it does |", "|---|---|---|", *rows])


def control_table(specs: Iterable[ControlSpec]) -> str:
    """The controls by name, with their ranges, as a Markdown table."""
    rows = (
        f"| `{one.name}` | {one.kind} | {_range(one)} | {'yes' if one.optional else ''} |"
        for one in specs
    )
    return "\n".join(["| name | kind | range | can be free |", "|---|---|---|---|", *rows])


def _range(spec: ControlSpec) -> str:
    if spec.name in OF_THE_BUNDLE:
        return "as the bundle says"
    return f"{spec.minimum:g} … {spec.maximum:g} {spec.unit}".rstrip()
