"""One tick in time: its stages, and every run of a graph in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from bench.witness import Witness
from engine.bundle import Bundle
from engine.controls import Controls, ControlSnapshot
from engine.generator import Generator
from engine.session import Backend

TICKS = 21
WARM = 3


@dataclass(frozen=True)
class Span:
    """From one moment of a tick to another, in ms from its beginning."""

    name: str
    from_ms: float
    to_ms: float


@dataclass(frozen=True)
class Timeline:
    """A tick that took as long as half of them do."""

    tick_ms: float
    stages: tuple[Span, ...]
    graphs: tuple[Span, ...]


def watch_ticks(bundle: Bundle, backend: Backend) -> Timeline:
    """The median of some warm ticks from nothing, with the default controls."""
    witness = Witness(backend)
    generator = Generator(bundle, witness)
    controls = Controls(bundle.manifest.controls).snapshot()
    ticks = [_watch(generator, witness, controls) for _ in range(WARM + TICKS)][WARM:]
    return sorted(ticks, key=lambda tick: tick.tick_ms)[len(ticks) // 2]


def _watch(generator: Generator, witness: Witness, controls: ControlSnapshot) -> Timeline:
    witness.calls.clear()
    began_s = perf_counter()
    block = generator.tick(controls)
    tick_ms = 1e3 * (perf_counter() - began_s)
    graphs = tuple(
        Span(call.graph, ms, ms + 1e3 * call.seconds)
        for call in witness.calls
        for ms in [1e3 * (call.began_s - began_s)]
    )
    return Timeline(tick_ms, stage_spans(block.stage_s), graphs)


def stage_spans(stage_s: Mapping[str, float]) -> tuple[Span, ...]:
    """The stages one after the other, as they come in a tick of one chunk in flight."""
    spans, at_ms = [], 0.0
    for name, seconds in stage_s.items():
        spans.append(Span(name, at_ms, at_ms + 1e3 * seconds))
        at_ms += 1e3 * seconds
    return tuple(spans)
