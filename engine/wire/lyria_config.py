"""The music generation config of Lyria RealTime, in terms of our controls, and back.

Names are those of the published types in snake case. A field is taken to the control that means
the same, moved to the end of its range where that is shorter; whatever is not taken as it was
asked is said in a note, so that nothing is lost in silence. docs/lyria.md has the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.brief import FAMILIES, SCALES
from engine.spec import ControlSpec

Values = dict[str, float | None]

KEYS = (
    "C_MAJOR_A_MINOR", "D_FLAT_MAJOR_B_FLAT_MINOR", "D_MAJOR_B_MINOR", "E_FLAT_MAJOR_C_MINOR",
    "E_MAJOR_D_FLAT_MINOR", "F_MAJOR_D_MINOR", "G_FLAT_MAJOR_E_FLAT_MINOR", "G_MAJOR_E_MINOR",
    "A_FLAT_MAJOR_F_MINOR", "A_MAJOR_G_FLAT_MINOR", "B_FLAT_MAJOR_G_MINOR", "B_MAJOR_A_FLAT_MINOR",
)  # fmt: skip
"""Lyria's scales; the place of each is the tonic of its major key, C = 0."""

MODES = ("QUALITY", "DIVERSITY", "VOCALIZATION")
MUTES = ("mute_bass", "mute_drums")
MAJOR, MINOR = SCALES.index("major"), SCALES.index("minor")
RHYTHM = ("bass", "drums")


@dataclass(frozen=True)
class Number:
    """A number of the config: its published range, and our controls for it, the best first."""

    minimum: float
    maximum: float
    controls: tuple[str, ...]
    whole: bool = False


NUMBERS = {
    "temperature": Number(0.0, 3.0, ("focus", "temperature")),  # focus: of the token's choice
    "top_k": Number(1, 1000, ("top_k",), whole=True),
    "seed": Number(-(2**31), 2**31 - 1, ("seed",), whole=True),
    "guidance": Number(0.0, 6.0, ("guidance",)),
    "bpm": Number(60, 200, ("bpm",), whole=True),
    "density": Number(0.0, 1.0, ("density",)),
    "brightness": Number(0.0, 1.0, ("brightness",)),
}

FIELDS = (*NUMBERS, "scale", "music_generation_mode", "only_bass_and_drums", *MUTES)
"""In the order that they are read in: what comes later has the last word."""


@dataclass
class Asked:
    """What a config asks of the controls, and what is to be said about it."""

    values: Values = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_config(config: Mapping[str, Any], controls: Mapping[str, ControlSpec]) -> Asked:
    """Read a config, names in snake case, for these controls; never raises.

    A field that is null counts as left out. A field that is wrong or has no counterpart is noted
    and left out; the others are taken.
    """
    asked = Asked()
    unknown = sorted(set(config) - set(FIELDS))
    if unknown:
        asked.notes.append(f"not known and ignored: {', '.join(unknown)[:120]}")
    for name in FIELDS:
        if config.get(name) is None:
            continue
        try:
            taken = _read(name, config[name], controls, asked.notes)
            if asked.values.get("voices") == 1 and taken.get("voices") == 0:
                asked.notes.append(f"{name} leaves no room for the voices of VOCALIZATION")
            asked.values |= taken
        except ValueError as reason:
            asked.notes.append(str(reason))
    return _settled(asked)


def config_of(values: Mapping[str, float | None]) -> dict[str, Any]:
    """The values of our controls as a config in Lyria's JSON; what is free is left out."""
    config: dict[str, Any] = {}
    for name, number in NUMBERS.items():
        value = next((v for c in number.controls if (v := values.get(c)) is not None), None)
        if value is not None:
            config[camel(name)] = round(value) if number.whole else value
    key = _key_of(values.get("tonic"), values.get("scale"))
    if key is not None:
        config["scale"] = key
    others = [values.get(family) for family in FAMILIES if family not in RHYTHM]
    if all(value == 0 for value in others):
        config["onlyBassAndDrums"] = True
    config |= {camel(f"mute_{name}"): True for name in RHYTHM if values.get(name) == 0}
    if values.get("voices") == 1:
        config["musicGenerationMode"] = "VOCALIZATION"
    return config


def camel(name: str) -> str:
    """The name in camelCase, as it is in JSON."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """The name in snake_case; both spellings are allowed in JSON."""
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)


# ---- one field ------------------------------------------------------------------------------


def _read(
    name: str, value: object, controls: Mapping[str, ControlSpec], notes: list[str]
) -> Values:
    """The controls that a field sets; ValueError says what is wrong with it."""
    if name in NUMBERS:
        return _number(name, value, controls, notes)
    if name == "scale":
        wanted = _scale(value)
    elif name == "music_generation_mode":
        wanted = _mode(value)
    else:
        wanted = _flag(name, value)
    if not wanted.keys() <= controls.keys():
        raise ValueError(f"{name} has no counterpart in this bundle")
    return wanted


def _number(
    name: str, value: object, controls: Mapping[str, ControlSpec], notes: list[str]
) -> Values:
    number = NUMBERS[name]
    kind = "whole numbers " if number.whole else ""
    takes = f"{name} is {value!r:.40}, it takes {kind}{number.minimum:g} … {number.maximum:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(takes)
    if not number.minimum <= value <= number.maximum or (number.whole and value != int(value)):
        raise ValueError(takes)
    control = next((controls[one] for one in number.controls if one in controls), None)
    if control is None:
        raise ValueError(f"{name} has no counterpart in this bundle")
    if name == "seed":
        return {"seed": float(int(value) % 2**31)}
    near = min(max(float(value), control.minimum), control.maximum)
    if near != value and name != "top_k":  # more candidates than there are: all of them
        ends = f"{control.minimum:g} … {control.maximum:g}"
        notes.append(f"{name} {value:g} is set to {near:g}, this bundle has {ends}")
    return {control.name: near}


def _flag(name: str, value: object) -> Values:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r:.40}, it takes true or false")
    if not value:
        return {}
    if name == "only_bass_and_drums":
        return {family: float(family in RHYTHM) for family in FAMILIES}
    return {name.removeprefix("mute_"): 0.0}


def _scale(value: object) -> Values:
    """Of the two keys that a scale names, the major one."""
    name = str(value).upper()
    if name == "SCALE_UNSPECIFIED":
        return {}
    if name not in KEYS:
        raise ValueError(f"scale is {value!r:.40}, it takes {KEYS[0]} … {KEYS[-1]}")
    return {"tonic": float(KEYS.index(name)), "scale": float(MAJOR)}


def _mode(value: object) -> Values:
    name = str(value).upper()
    if name in ("MUSIC_GENERATION_MODE_UNSPECIFIED", "QUALITY"):
        return {}
    if name not in MODES:
        raise ValueError(f"music_generation_mode is {value!r:.40}, it takes {', '.join(MODES)}")
    if name == "DIVERSITY":
        raise ValueError("music_generation_mode DIVERSITY has no counterpart: raise temperature")
    return {"voices": 1.0}


def _settled(asked: Asked) -> Asked:
    """Settle what contradicts itself: silence is not to be asked for by accident."""
    wanted = [value for name in FAMILIES if (value := asked.values.get(name)) is not None]
    if len(wanted) == len(FAMILIES) and not any(wanted):
        asked.notes.append("only_bass_and_drums with both muted leaves nothing to play: ignored")
        asked.values = {n: v for n, v in asked.values.items() if n not in FAMILIES or n in RHYTHM}
    return asked


def _key_of(tonic: float | None, scale: float | None) -> str | None:
    """Lyria's name for a key, None for those that it has none for."""
    if tonic is None or scale is None or scale not in (MAJOR, MINOR):
        return None
    return KEYS[round(tonic + 3 * (scale == MINOR)) % 12]  # a minor key is that of 3 semitones up
