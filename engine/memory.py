"""The musical state of a stream, whole: from it the music goes on to the very same samples.

What finished chunks leave behind could be computed again from their latents, but several of them
at once round otherwise than one after the other. So everything is kept as it stands: the window
with its plans, the rings of the networks, the tokens looked back on, the ideas and the prompt.
This is the one module that reaches into the parts of a generator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from engine.asked import LONG_AGO
from engine.bearings import Bearings
from engine.clock import Clock
from engine.controls import Controls, ControlSnapshot
from engine.errors import UsageError
from engine.generator import Generator
from engine.planner import Planner
from engine.session import Array
from engine.window import Plan, Window

FORMAT = 1

NOT_THIS = np.zeros(0, np.float32)
"""A prompt that no stream has."""

Words = tuple[tuple[str, float], ...]
"""Prompts as texts and weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """A musical state: `about` is plain JSON, `arrays` everything else, by name."""

    about: Mapping[str, Any]
    arrays: Mapping[str, Array]
    source: str = ""  # the file it was read from

    @property
    def seed(self) -> int:
        """That of the generator, without the control of that name."""
        return int(self.about["seed"])

    @property
    def words(self) -> Words | None:
        """The prompts as they were asked for; None where they are not known as words."""
        known = self.about["prompts"]
        return None if known is None else tuple((text, weight) for text, weight in known)

    @property
    def print(self) -> str:
        """A finger-print of the whole."""
        found = sha256(json.dumps(self.about, sort_keys=True).encode())
        for name in sorted(self.arrays):
            found.update(name.encode() + np.ascontiguousarray(self.arrays[name]).tobytes())
        return found.hexdigest()


def remember(generator: Generator, controls: ControlSnapshot, words: Words | None = None) -> Memory:
    """The state between two ticks, copied; only the thread that may tick may ask.

    `controls` are those of the next tick, `words` the prompts in them where they are known.
    """
    planner = generator._planner
    arrays = {name: array.copy() for name, array in _rings(generator).items()}
    if planner is not None and planner._unread:  # nothing is in its rings yet
        arrays |= {
            f"planner.{name}": np.zeros_like(ring) for name, ring in planner.writer.states.items()
        }
    arrays |= _of_window(generator._window) | _of_plans(generator)
    if planner is not None:
        arrays["planner.past"] = np.array(planner._past, np.int64)
        if planner.bearings.sound is not None:
            arrays["planner.sound"] = np.array(planner.bearings.sound)
    if controls.prompt is not None:
        arrays["prompt"] = np.array(controls.prompt)
    return Memory(_about(generator, controls, words), arrays)


def recall(memory: Memory, generator: Generator, controls: Controls) -> None:
    """Bring generator and controls to where they were; hands stay where they are.

    To be called between two ticks, by the thread that may tick. UsageError in one line, and
    nothing is changed, where the state is another bundle's or another ladder's.
    """
    check(memory, generator)
    ideas = _ideas(memory, generator, controls)
    controls.update(ideas)
    controls.set_prompt(memory.arrays.get("prompt"))
    for name, ring in _rings(generator).items():
        ring[...] = memory.arrays[name]
    _fill_window(memory, generator)
    if generator._planner is not None:
        _turn_planner(memory, generator._planner, controls.snapshot())


def check(memory: Memory, generator: Generator) -> None:
    """UsageError where a state does not fit: bundle, sizes of chunk and ladder, every array."""
    saved, manifest = memory.about, generator.bundle.manifest
    played = saved["bundle"]
    if played["hash"] != generator.bundle.hash:
        raise UsageError(
            f"the state is of bundle {played['name']} {played['version']} ({played['hash'][:12]}…)"
            f", this is {manifest.name} {manifest.version} ({generator.bundle.hash[:12]}…): "
            "name that one with --bundle"
        )
    for name, here, option in (
        ("chunk_frames", generator.chunk_frames, "--chunk"),
        ("depth", generator.ladder.depth, "--depth"),
    ):
        if saved[name] != here:
            raise UsageError(
                f"the state was made with {option} {saved[name]}, this stream has {here}"
            )
    _check_arrays(memory.arrays, generator)


def _rings(generator: Generator) -> dict[str, Array]:
    """The arrays that networks keep between their runs, themselves."""
    found = {f"decoder.{name}": ring for name, ring in generator._decoder._states.items()}
    context, planner = generator._context, generator._planner
    if not context.fills:  # a cached one, wherever its rings lie
        arrays = context.arrays()  # type: ignore[attr-defined]
        found |= {f"context.{name}": array for name, array in arrays.items()}
    if planner is not None:
        found |= {f"planner.{name}": ring for name, ring in planner.writer.states.items()}
        found["planner.filled"] = planner.writer.filled
    return found


def _about(generator: Generator, controls: ControlSnapshot, words: Words | None) -> dict[str, Any]:
    manifest, planner = generator.bundle.manifest, generator._planner
    ideas = [spec.name for spec in manifest.controls if spec.kind == "idea"]
    if controls.prompt is None:
        words = ()
    return {
        "state": FORMAT,
        "bundle": {"name": manifest.name, "version": manifest.version,
                   "hash": generator.bundle.hash},
        "chunk_frames": generator.chunk_frames,
        "depth": generator.ladder.depth,
        "steps": generator._steps,
        "next": generator._next,
        "seed": generator.seed,
        "ideas": {name: controls.values[name] for name in ideas},
        "prompts": None if words is None else [list(one) for one in words],
        "planner": None if planner is None else _of_planner(planner, controls),
    }  # fmt: skip


def _of_planner(planner: Planner, controls: ControlSnapshot) -> dict[str, Any]:
    """Where the tokens stand, and since which one this is asked; `turned` where the next tick
    finds another prompt than the last.
    """
    bearings = planner.bearings
    clock, key = bearings.clock, bearings.key
    return {
        "index": planner._index, "last": planner._last, "unread": planner._unread,
        "fresh": planner._fresh, "turned": controls.prompt is not planner._prompt,
        "asked": planner.asked.asked_since(controls, planner._index + 1),
        "since": bearings.since, "key": None if key is None else list(key),
        "clock": None if clock is None else [clock.bpm, clock.start, clock.rate_hz],
    }  # fmt: skip


def _of_window(window: Window) -> dict[str, Array]:
    """Its chunks, a row each, but for their plans."""
    chunks = window.chunks
    return {
        "window.latents": window.latents_of(chunks),
        "window.angles": np.array([chunk.angle for chunk in chunks], np.float64),
        "window.rung": np.array([chunk.rung for chunk in chunks], np.int64),
        "window.index": np.array([chunk.index for chunk in chunks], np.int64),
        "window.revision": np.array([chunk.revision for chunk in chunks], np.int64),
    }


def _of_plans(generator: Generator) -> dict[str, Array]:
    """Tokens [n, k], briefs [n, b] and guidance [n] of the window's chunks."""
    plans, free = [chunk.plan for chunk in generator._window.chunks], generator._listener.unplanned
    tokens = np.array([plan.tokens for plan in plans], np.int64)
    brief = np.array([plan.brief for plan in plans], np.float32)
    return {
        "plans.tokens": tokens.reshape(len(plans), free.tokens.shape[0]),
        "plans.brief": brief.reshape(len(plans), free.brief.shape[0]),
        "plans.guidance": np.array([plan.guidance for plan in plans], np.float64),
    }


def _ideas(memory: Memory, generator: Generator, controls: Controls) -> dict[str, float | None]:
    """The controls to set. The seed counts from that of this generator, so that noise is kept."""
    ideas: dict[str, float | None] = dict(memory.about["ideas"])
    seed = memory.seed + round(ideas.get("seed") or 0) - generator.seed
    if seed < 0:
        raise UsageError(
            f"the state's seed is {seed + generator.seed}, this stream began with --seed "
            f"{generator.seed}: begin with a lower one"
        )
    ideas["seed"] = float(seed)
    unknown = [name for name in ideas if name not in controls.specs]
    if unknown:
        raise UsageError(f"the state sets {unknown[0]!r:.40}, which this bundle does not have")
    probe = Controls(controls.specs.values())  # ControlError names what is out of range
    probe.update(ideas)
    probe.set_prompt(memory.arrays.get("prompt"))
    return ideas


def _fill_window(memory: Memory, generator: Generator) -> None:
    about, arrays, window = memory.about, memory.arrays, generator._window
    window.clear()
    parts = ("plans.tokens", "plans.brief", "plans.guidance")
    plans = [
        Plan(np.array(tokens), np.array(brief), float(guidance))
        for tokens, brief, guidance in zip(*(arrays[part] for part in parts), strict=True)
    ]
    names = ("index", "rung", "angles", "revision")
    columns = (arrays[f"window.{name}"].tolist() for name in names)
    for chunk in zip(arrays["window.latents"], *columns, plans, strict=True):
        window.append(*chunk)
    generator._steps = about["steps"]
    generator._table = generator._angles(generator._steps)
    generator._next = generator._trusted = about["next"]
    generator._rungs = window.rungs()
    generator._lead = generator._lead[:0]


def _turn_planner(memory: Memory, planner: Planner, controls: ControlSnapshot) -> None:
    saved, sound = memory.about["planner"], memory.arrays.get("planner.sound")
    clock, key = saved["clock"], saved["key"]
    bearings = Bearings(
        saved["since"], Clock(*clock) if clock else None, (key[0], key[1]) if key else None, sound
    )
    planner.prime(memory.arrays["planner.past"], saved["index"] + 1, bearings)
    planner._last, planner._unread, planner._fresh = saved["last"], saved["unread"], saved["fresh"]
    planner._prompt = NOT_THIS if saved["turned"] else controls.prompt
    planner.asked.recall(controls, saved.get("asked", LONG_AGO))


def _check_arrays(arrays: Mapping[str, Array], generator: Generator) -> None:
    """Every array is there, of the shape and kind that it has here, and finite."""
    for name, (shape, dtype) in _wanted(arrays, generator).items():
        found = arrays.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            there = "missing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise UsageError(f"the state's {name} is {there}, here it is {dtype}{list(shape)}")
    spoilt = [name for name, one in arrays.items()
              if one.dtype.kind == "f" and not np.isfinite(one).all()]  # fmt: skip
    if spoilt:
        raise UsageError(f"the state's {spoilt[0]} holds numbers that are not finite")
    prompting = generator.bundle.manifest.prompting
    for name in ("plans.tokens", "planner.past", "context.waiting.tokens"):
        tokens = arrays.get(name)
        if prompting is None or tokens is None or not tokens.size:
            continue
        if not 0 <= tokens.min() <= tokens.max() <= prompting.vocabulary:
            raise UsageError(f"the state's {name} holds tokens that this bundle does not have")


def _wanted(
    arrays: Mapping[str, Array], generator: Generator
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and kind of every array of a state with as many chunks and tokens as this one has."""
    window = generator._window
    live = _rings(generator) | _of_window(window) | _of_plans(generator)
    sized = {"window.index": window.capacity}
    if generator._planner is not None:
        most = generator._planner._past.maxlen or 0
        live["planner.past"], sized["planner.past"] = np.zeros(0, np.int64), most
        for name in {"prompt", "planner.sound"} & arrays.keys():
            live[name] = np.zeros(generator._planner.prompting.embedding, np.float32)
    counts = {name: _count(arrays, name, most) for name, most in sized.items()}

    def shape(name: str, array: Array) -> tuple[int, ...]:
        if name == "planner.past":
            return (counts[name],)
        rows = name.startswith(("window.", "plans."))
        return (counts["window.index"], *array.shape[1:]) if rows else array.shape

    return {name: (shape(name, array), array.dtype) for name, array in live.items()}


def _count(arrays: Mapping[str, Array], name: str, most: int) -> int:
    """Rows of an array of which there may be fewer than `most`."""
    array = arrays.get(name)
    rows = 0 if array is None or not array.ndim else array.shape[0]
    if rows > most:
        raise UsageError(f"the state's {name} has {rows} rows, here there is room for {most}")
    return rows
