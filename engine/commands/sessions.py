"""`perpetuo serve --sessions N`: the house's stream and those of conductors, from one pool."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from engine.commands import version
from engine.commands.stream import Stream
from engine.controls import Controls, ControlSnapshot
from engine.generator import Generator
from engine.pool import Pool, workers
from engine.sinks.broadcast import Programme
from engine.sinks.feed import BlockLog
from engine.sinks.sessions import Opened, Opener
from engine.spec import ControlSpec


def open_pool(given: Namespace, stream: Stream) -> Pool:
    """Places for the house and for so many sessions, on one backend."""
    generator = stream.generator
    return Pool(
        stream.another, chunk_s=generator.chunk_s, slots=1 + given.sessions, ring_s=given.ring,
        threads=workers(given.threads), margin_s=given.margin,
        batch=given.batch if stream.shared else 1,
    )  # fmt: skip


def opener(pool: Pool, stream: Stream) -> Opener:
    """Begins streams as the house's began: from the same take, with the same wishes.

    Only the seed is their own. Steps go no further than the house's, so that nobody takes the time
    of all the others.
    """
    began, house = stream.controls.snapshot(), stream.generator
    specs = [_bounded(spec, house.ladder.steps) for spec in stream.controls.specs.values()]

    def make() -> Generator:
        generator = stream.another()
        if stream.take.shape[0]:
            generator.prime(stream.take)
        return generator

    def begin(seed: int) -> Opened:
        controls, blocks = _controls(specs, began, seed), BlockLog()
        runner = pool.join(controls, on_block=blocks.note, make=make)
        programme = Programme(
            ring=runner.ring, blocks=blocks, controls=controls, status=runner.status,
            bundle=stream.bundle, version=version(), chunk_samples=house.chunk_samples,
            depth=house.ladder.depth, prompts=stream.prompts, prompted=stream.prompted,
            start_anew=runner.start_anew,
        )  # fmt: skip
        return Opened(programme, lambda: pool.leave(runner))

    return begin


def _bounded(spec: ControlSpec, steps: int) -> ControlSpec:
    if spec.name != "steps":
        return spec
    return replace(spec, maximum=float(steps), default=min(spec.default, float(steps)))


def _controls(specs: list[ControlSpec], began: ControlSnapshot, seed: int) -> Controls:
    """Controls that stand where the house's stood at its beginning, but for the seed."""
    controls = Controls(specs)
    if began.prompt is not None:
        controls.set_prompt(began.prompt)
    controls.update({**began.values, "seed": seed})
    return controls
