"""What serve, play and render share: from options to music that is about to begin."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from engine.backends import open_backend
from engine.bundle import Bundle, default_bundle_path
from engine.commands.wishes import read_recording, read_wishes
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.manifest import Manifest
from engine.memory import Memory, recall
from engine.prompts import Prompt, Prompts
from engine.rig.states import load_state
from engine.session import Backend, Floats
from engine.slots import Slots, shared_slots
from engine.spec import LadderSpec

SWITCH_S = 0.0005
"""Python's thread switching interval while music plays: its 5 ms would delay an audio callback."""

SPARE_ROWS = 2
"""For streams that are over but not yet gone."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Music about to begin. `spare` makes another generator like the first.

    `prompts` embeds prompts, None where the bundle takes none; `prompted` are set already.
    """

    bundle: Bundle
    generator: Generator
    controls: Controls
    take: Floats  # float32[samples, channels] at the bundle's rate; empty where there is none
    spare: Callable[[], Generator]
    prompts: Prompts | None
    prompted: Sequence[Prompt]
    another: Callable[[], Generator]  # like `spare`, but on the same backend: the weights are there
    state: str = ""  # finger-print of the musical state that it goes on from
    backend: str = ""  # its name
    shared: bool = False  # do those of `another` take passes together with it?


def open_stream(given: Namespace) -> Stream:
    """Load the bundle, read the take and stand ready to go on from its end."""
    bundle = _bundle(given)
    memory = _state(given)
    bundle = bundle.at(given.chunk or bundle.manifest.chunk_frames[0])
    manifest = bundle.manifest
    wanted = read_wishes(given, manifest)
    ladder = choose_ladder(manifest.ladder, given.steps, given.depth)
    controls = Controls(manifest.controls)
    take = _take(given, manifest)

    def make(backend: Backend | None = None, slots: Slots | None = None) -> Generator:
        backend = backend or open_backend(given.backend, bundle, threads=given.threads)
        return Generator(bundle, backend, ladder=ladder, seed=given.seed, slots=slots)

    backend = open_backend(given.backend, bundle, threads=given.threads)
    slots = _slots(given, bundle, backend)
    generator = make(backend, slots)
    if memory is not None:
        recall(memory, generator, controls)
    elif take.shape[0]:
        generator.prime(take)
    if given.steps is not None:
        controls.set("steps", ladder.steps)
    if wanted.controls:
        controls.update(wanted.controls)
    prompts = Prompts(bundle, backend) if manifest.prompting else None
    if prompts is not None and wanted.prompts:
        controls.set_prompt(prompts.embed(wanted.prompts))
    return Stream(
        bundle, generator, controls, take, make, prompts,
        wanted.prompts or _prompted(memory), lambda: make(backend, slots),
        memory.print if memory else "", backend.name, slots is not None,
    )  # fmt: skip


def _slots(given: Namespace, bundle: Bundle, backend: Backend) -> Slots | None:
    """Rows that the house and its sessions share, and some for streams that take over."""
    places = getattr(given, "sessions", 0)
    rows = places + 1 + SPARE_ROWS if places and given.batch > 1 else 1
    return shared_slots(bundle, backend, rows)


def choose_ladder(usual: LadderSpec, steps: int | None, depth: int | None) -> LadderSpec:
    """The bundle's ladder with other steps or another depth; UsageError if they do not fit."""
    steps = steps or usual.steps
    fewer = tuple(few for few in usual.fallback_steps if few < steps)
    return LadderSpec(steps, depth or usual.depth, fewer)


def _bundle(given: Namespace) -> Bundle:
    """The bundle that was asked for; the stand-in brings its own."""
    if given.backend == "standin" and given.bundle is None:
        from engine.backends import standin

        rate_hz, channels = getattr(given, "standin_audio", (24000, 1))
        return standin.bundle(prompting=True, sample_rate_hz=rate_hz, channels=channels)
    return Bundle.open(given.bundle or default_bundle_path())


def _state(given: Namespace) -> Memory | None:
    """The musical state to go on from; seed, chunk and depth are its own then."""
    if given.state is None:
        return None
    if given.take is not None:
        raise UsageError("--from and --state: the music goes on from one of them, leave one out")
    memory = load_state(given.state)
    given.seed = memory.seed
    given.chunk = given.chunk or memory.about["chunk_frames"]
    given.depth = given.depth or memory.about["depth"]
    return memory


def leave_beginning(given: Namespace) -> None:
    """For a stream that goes on from what was played: of a state, only seed and sizes stay."""
    with suppress(UsageError):  # its file is gone: it is as if nothing had been asked
        _state(given)
    given.take = given.state = None


def _prompted(memory: Memory | None) -> list[Prompt]:
    """The prompts of a state, where they are words."""
    return [Prompt(text, weight=weight) for text, weight in (memory and memory.words) or ()]


def _take(given: Namespace, manifest: Manifest) -> Floats:
    audio = manifest.audio
    if given.take is None:
        return np.zeros((0, audio.channels), np.float32)
    return read_recording(given.take, manifest)
