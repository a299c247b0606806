"""How a runner goes, in figures: for status lines, screens, pages and metrics. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.window import Rungs


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """A snapshot for status lines, pages and metrics."""

    fill_samples: int = 0
    shortfall_samples: int = 0
    ticks: int = 0
    deadline_misses: int = 0
    holds: int = 0  # chunks held because not even the fewest passes fit
    replaced_blocks: int = 0  # NaN, Inf, DC, over level, or a failed tick
    cover_blocks: int = 0  # chunks of held music, for whatever reason
    workers_replaced: int = 0
    last_tick_s: float = 0.0
    budget_s: float = 0.0  # the length of a chunk
    real_time_factor: float = 0.0  # mean of the last ticks / budget
    lead_s: float = 0.0  # how long before it is due the next block is begun
    margin_s: float = 0.0  # of that, what is kept in hand beyond the tail of the ticks
    spare_s: float = 0.0  # the least that was left of it when one of the last blocks was there
    begins_s: float = 0.0  # when the next chunk is begun, on the monotonic clock; 0: unknown
    busy: bool = False  # a chunk is being made, with the controls that held when it began
    steps: int = 0  # of the last block
    revision: int = 0  # of the controls that made the last block
    rungs: Rungs = ()  # the window now
    last_error: str = ""
