"""Many prompted streams of one bundle, played in step as fast as they go, heard now and then."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from bench.asks import Wish
from bench.features import embed_all
from bench.playing import Format
from bench.spectra import Array, level_db
from bench.steering import Steerer
from engine.backends import Backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Generator
from engine.lockstep import together
from engine.session import Floats
from engine.slots import shared_slots

MINUTE_S = 60.0
STRETCH_S = 44.0
"""Of each minute that is looked at, from its beginning."""


@dataclass(frozen=True)
class Minute:
    """What a minute of a stream was like: features [clips, 82], and its level in dB."""

    features: Array
    level_db: float

    @classmethod
    def of(cls, audio: Array, rate_hz: int) -> Minute:
        """As it is heard."""
        return cls(embed_all([audio], rate_hz)[0], level_db(audio))


Minutes = dict[int, Minute]
"""The minutes that were looked at, numbered from 1."""


@dataclass(frozen=True)
class Asked:
    """One stream: its seed, and what it is asked for once."""

    seed: int
    wish: Wish


class Streams:
    """Streams that share each run of a pass if they can; each plays as it would alone."""

    def __init__(self, bundle: Bundle, backend: Backend, asked: Sequence[Asked]) -> None:
        manifest, steerer = bundle.manifest, Steerer(bundle, backend)
        slots = shared_slots(bundle, backend, len(asked))
        self._generators = [
            Generator(bundle, backend, seed=one.seed, slots=slots) for one in asked
        ]  # fmt: skip
        self._controls = [Controls(manifest.controls) for _ in asked]
        for controls, one in zip(self._controls, asked, strict=True):
            steerer.ask(controls, one.wish)
        self._format = Format(bundle)
        self._chunk_s = manifest.chunk_s

    def hear(self, minutes: Sequence[int], until_s: float = math.inf) -> list[Minutes]:
        """What each was like in these minutes, or as many of them as end before `until_s`."""
        rate_hz, found = self._format.rate_hz, [Minutes() for _ in self._generators]
        for minute in range(1, max(minutes) + 1):
            if monotonic() > until_s:
                break
            looked_at = minute in minutes
            heard = self._play(STRETCH_S, looked_at)
            for own, audio in zip(found, heard, strict=False):  # none where nothing is kept
                own[minute] = Minute.of(audio[: round(STRETCH_S * rate_hz)], rate_hz)
            if minute < max(minutes):
                self._play(MINUTE_S - STRETCH_S, False)
            said = f"minute {minute} of {max(minutes)}, {len(found)} streams"
            print(said, file=sys.stderr, flush=True)
        return found

    def _play(self, seconds: float, keep: bool) -> list[Array]:
        """The next seconds of each, as measured; none where they are not kept."""
        made: list[list[Floats]] = [[] for _ in self._generators]
        for _ in range(math.ceil(seconds / self._chunk_s - 1e-6)):
            both = zip(self._generators, self._controls, strict=True)
            ticks = together(one.ticking(controls.snapshot()) for one, controls in both)
            for blocks, block in zip(made, ticks, strict=True):
                if isinstance(block, Exception):
                    raise block
                if keep:
                    blocks.append(block.audio)
        return [self._format.measured(np.concatenate(blocks)) for blocks in made if blocks]
