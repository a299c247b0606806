"""How a contender is timed, and what it hands back. Needs neither torch nor the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

UNIT_S = 0.32
"""What a decoder is given at a time: a chunk of the shipped bundle, to the nearest whole frame."""

MUSIC, DECODER = "music", "decoder"


@dataclass(frozen=True)
class Task:
    """What a contender is asked for."""

    seconds: float  # of audio in one whole call
    threads: int
    patience_s: float  # after that much measuring nothing is repeated any more
    bundle: Path


@dataclass(frozen=True)
class Measured:
    """One row. Costs are in seconds of wall clock, one entry a repetition."""

    name: str
    kind: str  # MUSIC: makes music; DECODER: only turns codes or latents into sound
    what: str  # was run, in a few words
    rate_hz: int
    million_parameters: float
    threads: int
    unit_s: float  # audio of the smallest piece it is asked for
    unit_costs_s: Sequence[float]  # of such a piece, once it plays
    first_audio_s: Sequence[float]  # from a loaded model, asked anew, to the first sample
    real_time_factors: Sequence[float]  # work a second of audio, in its best way to work
    steered_units: int | None  # pieces until a change of prompt comes out; None: takes no prompt
    loaded_mb: float = field(default=float("nan"))  # resident, before it was asked for anything
    peak_mb: float = field(default=float("nan"))  # resident, at most


def repeat(
    act: Callable[[], object], patience_s: float, *, least: int = 1, most: int = 50, warm: int = 1
) -> list[float]:
    """Seconds that `act` takes: `least` times, then while `patience_s` holds another, up to `most`.

    `warm` runs before are not counted, but use up patience.
    """
    began_s = perf_counter()
    for _ in range(warm):
        act()
    costs_s: list[float] = []
    while len(costs_s) < most:
        started_s = perf_counter()
        next_s = max(costs_s, default=0.0)
        if len(costs_s) >= least and started_s - began_s + next_s > patience_s:
            break
        act()
        costs_s.append(perf_counter() - started_s)
    return costs_s


@dataclass(frozen=True)
class Decoder:
    """Anything that makes audio of latent frames: `decode(frames)` runs it on that many."""

    name: str
    what: str
    decode: Callable[[int], object]
    rate_hz: int
    frame_samples: int
    million_parameters: float
    unit_frames: int | None = None  # None: as many as come nearest to UNIT_S

    @property
    def frame_s(self) -> float:
        """Audio of one frame."""
        return self.frame_samples / self.rate_hz

    def measured(self, task: Task, loaded_mb: float) -> Measured:
        """Small pieces, then whole calls of `task.seconds`; half of the patience each."""
        unit = self.unit_frames or max(1, round(UNIT_S / self.frame_s))
        whole = max(unit, round(task.seconds / self.frame_s))
        half_s = task.patience_s / 2
        units_s = repeat(lambda: self.decode(unit), half_s, least=3, most=200)
        wholes_s = repeat(lambda: self.decode(whole), half_s, least=1, most=20)
        return Measured(
            name=self.name, kind=DECODER, what=self.what, rate_hz=self.rate_hz,
            million_parameters=self.million_parameters, threads=task.threads,
            unit_s=unit * self.frame_s, unit_costs_s=units_s, first_audio_s=units_s,
            real_time_factors=[cost / (whole * self.frame_s) for cost in wholes_s],
            steered_units=None, loaded_mb=loaded_mb,
        )  # fmt: skip
