"""The live bundle on this device: one stream on every backend, and as many streams as keep time.

A backend is driven by the engine's own generator, tick by tick. Many streams are a batch in which
a whole tick (passes, commit, decoding) is one CUDA graph, launched once; a count of streams is kept
up where p99.9 of its ticks is done within a chunk.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from bench.gpu_clock import Clock
from bench.timing import Tail
from engine.backends import open_backend
from engine.backends.torch.device import TorchDevice
from engine.backends.torch.tick import TorchTick, bytes_of
from engine.bundle import Bundle, default_bundle_path
from engine.controls import Controls
from engine.errors import PerpetuoError
from engine.generator import Generator
from engine.session import Backend

BACKENDS = ("ort", "torch", "torch-half", "ort-cuda", "ort-tensorrt", "tensorrt", "tensorrt-half")
MOST_STREAMS = 8192
TICKS, HOST_TICKS = 1000, 200

Say = Callable[[str], None]


@dataclass(frozen=True)
class OneStream:
    """The engine's own generator on a backend; `why` where it could not play."""

    backend: str
    on: str = ""
    first_audio_s: float = float("nan")
    tick_s: Tail | None = None
    chunk_s: float = 1.0
    why: str = ""

    @property
    def real_time_factor(self) -> float:
        """Work a second of audio."""
        return self.tick_s.mean / self.chunk_s if self.tick_s else float("nan")


@dataclass(frozen=True)
class ManyStreams:
    """A batch of streams, a tick in one piece."""

    streams: int
    tick_s: Tail
    host_s: Tail  # of launching a tick, with the device idle
    chunk_s: float
    operators: int
    state_bytes: int  # of one stream

    @property
    def in_time(self) -> bool:
        """p99.9 of the ticks within a chunk."""
        return self.tick_s.p999 <= self.chunk_s


def one_stream(
    bundle: Bundle, clock: Clock, ticks: int, names: Sequence[str], say: Say
) -> list[OneStream]:
    """Every backend that loads; for the others, why not."""
    return [_one(bundle, clock, ticks, name, say) for name in names]


def _one(bundle: Bundle, clock: Clock, ticks: int, name: str, say: Say) -> OneStream:
    say(f"live bundle, one stream on {name}")
    try:
        backend = opened(name, bundle, clock, say)
        generator = Generator(bundle, backend)
        controls = Controls(bundle.manifest.controls).snapshot()
        for _ in range(2):
            generator.tick(controls)
        generator.prime(None)
        began_s = perf_counter()
        generator.tick(controls)
        first_s = perf_counter() - began_s
        spent = clock.seconds(lambda: generator.tick(controls), ticks, patience_s=20.0)
    except (PerpetuoError, RuntimeError) as error:
        return OneStream(name, why=" ".join(str(error).split())[:200])
    on = ", ".join(backend.providers())
    return OneStream(name, on, first_s, Tail.of(spent), generator.chunk_s)


def opened(name: str, bundle: Bundle, clock: Clock, say: Say) -> Backend:
    """The backend; torch where it is asked to work, which without a GPU is the processor."""
    if name == "torch" and not clock.gpu:
        from engine.backends.torch import TorchBackend

        return TorchBackend(bundle, device="cpu")
    return open_backend(name, bundle, say=say)


def many_streams(
    bundle: Bundle, clock: Clock, say: Say, *, most: int = MOST_STREAMS, ticks: int = TICKS
) -> list[ManyStreams]:
    """Counts of streams, doubling until one is late or memory or time runs out, then between."""
    device = TorchDevice(bundle, clock.where.type)
    found: list[ManyStreams] = []
    for streams in _search(found, most):
        if clock.left_s < 20.0:
            say("the time for this is over")
            break
        say(f"live bundle, {streams} streams in one graph")
        gc.collect()  # the last ones go, with their graph's memory
        try:
            found.append(_many(bundle, device, clock, streams, ticks))
        except (PerpetuoError, torch.OutOfMemoryError) as error:
            say(f"{streams} streams: {' '.join(str(error).split())[:120]}")
            break
    return found


def _search(found: list[ManyStreams], most: int) -> Iterator[int]:
    """1, 4, 16 …, and between the last in time and the first that is late, three times."""
    streams = 1
    while streams <= most:
        yield streams
        if not found[-1].in_time:
            break
        streams *= 4
    for _ in range(3):
        fine = max((row.streams for row in found if row.in_time), default=0)
        late = min((row.streams for row in found if not row.in_time), default=0)
        if late - fine < 2 or not fine:
            return
        yield (fine + late) // 2


def _many(
    bundle: Bundle, device: TorchDevice, clock: Clock, streams: int, ticks: int
) -> ManyStreams:
    tick = TorchTick(bundle, device.graphs, device.where, streams=streams)
    noise = torch.randn(tick.noise.shape)
    noise = noise.pin_memory() if clock.gpu else noise

    def whole() -> None:
        tick.noise.copy_(noise, non_blocking=True)
        tick.go()

    spent = clock.seconds(whole, ticks, patience_s=min(25.0, clock.left_s / 4))
    host = clock.queued_s(whole, HOST_TICKS if clock.gpu else 2)
    chunk_s = bundle.manifest.chunk_s
    return ManyStreams(
        streams, Tail.of(spent), Tail.of(host), chunk_s, tick.operators, bytes_of(tick)
    )


def shipped(path: Path | None) -> Bundle:
    """The bundle that is played."""
    return Bundle.open(path or default_bundle_path())
