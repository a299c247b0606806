"""What is asked of the music on the command line: prompts and musical controls."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.brief import FAMILIES, SCALES, TONICS
from engine.commands import say
from engine.controls import NAMES
from engine.errors import ControlError, TakeError, UsageError
from engine.manifest import Manifest
from engine.prompts import Prompt, check_recording
from engine.session import Floats


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts, and the controls to set: None where nothing is asked."""

    prompts: list[Prompt] = field(default_factory=list)
    controls: dict[str, float | str | None] = field(default_factory=dict)


def read_wishes(given: Namespace, manifest: Manifest) -> Asked:
    """From the options; UsageError in one line, also where the bundle takes no prompts."""
    controls = _controls(given)
    if manifest.prompting is None:
        if controls or given.prompts or given.weights:
            raise UsageError(
                f"bundle {manifest.name} {manifest.version} takes no words and no musical wishes "
                "yet: leave them out, or start from a recording with --from"
            )
        return Asked()
    return Asked(_prompts(given.prompts, given.weights, manifest), controls)


def read_recording(path: Path, manifest: Manifest, *, prompt: bool = False) -> Floats:
    """A recording at the bundle's rate, float32[samples, channels], saying what was done to it.

    TakeError for what is no audio, and where it is to be a `prompt` and says nothing.
    """
    from engine.takes import read_take

    take = read_take(path, manifest.audio.sample_rate_hz, manifest.audio.channels)
    if prompt:
        try:
            check_recording(take.audio, manifest.audio)
        except ControlError as error:
            raise TakeError(f"{path}: {error}") from None
    for note in take.notes:
        say(f"{path}: {note}")
    return take.audio


def _prompts(
    asked: Sequence[str | Path], weights: Sequence[float], manifest: Manifest
) -> list[Prompt]:
    """Each with its weight in the same order, 1 where there are fewer weights."""
    if len(weights) > len(asked):
        raise UsageError(f"--weight: {len(weights)} of them for {len(asked)} prompts")
    full = [*weights, *[1.0] * (len(asked) - len(weights))]
    return [
        Prompt(audio=read_recording(what, manifest, prompt=True), weight=weight)
        if isinstance(what, Path)
        else Prompt(what, weight=weight)
        for what, weight in zip(asked, full, strict=True)
    ]


def _controls(given: Namespace) -> dict[str, float | str | None]:
    names = ("bpm", "density", "brightness", "guidance")
    wanted: dict[str, float | str | None] = {
        name: value for name in names if (value := getattr(given, name)) is not None
    }
    if given.key is not None:
        wanted.update(_key(given.key))
    return wanted | _families(given.play, given.without)


def _key(text: str) -> dict[str, int]:
    """Tonic and scale of a key such as "A minor"; either may be left out."""
    found: dict[str, int] = {}
    for word in text.lower().split():
        name = next((name for name, known in NAMES.items() if word in known), None)
        if name is None or name in found:
            found = {}
            break
        found[name] = NAMES[name][word]
    if not found:
        raise UsageError(
            f"--key is {text!r:.40}, it takes a tonic ({', '.join(TONICS)}) and a scale "
            f'({", ".join(SCALES)}), as in "A minor"'
        )
    return found


def _families(play: Sequence[str], without: Sequence[str]) -> dict[str, float]:
    """Instruments to play and not to play."""
    for option, names in (("--with", play), ("--without", without)):
        for name in names:
            if name not in FAMILIES:
                raise UsageError(f"{option} is {name!r:.40}, it takes one of {', '.join(FAMILIES)}")
    both = set(play) & set(without)
    if both:
        raise UsageError(f"--with and --without both name {', '.join(sorted(both))}")
    return dict.fromkeys(play, 1.0) | dict.fromkeys(without, 0.0)
