"""One tick: noise enters the window, passes bring a chunk to its end, the decoder plays it.

Chunks are numbered from the first that is generated, 0; those of a take have negative numbers.
Every way to continue is the same loop: while no chunk is finished, let chunks enter as far as the
ladder has room, then take T/J passes. Where a bundle takes prompts, the planner writes the semantic
tokens of a chunk when it enters; with what is asked then they stay its plan to the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from engine.angles import Table, schedule
from engine.bearings import Bearings
from engine.bundle import Bundle
from engine.context import open_context
from engine.controls import ControlSnapshot
from engine.decoder import open_decoder
from engine.drawing import Ahead, Dice
from engine.errors import BundleError, UsageError
from engine.guard import round_off
from engine.listener import Listener
from engine.lockstep import Ticking, alone
from engine.planner import Planner
from engine.session import Backend, Floats
from engine.slots import Slots
from engine.spec import LadderSpec
from engine.window import UNPLANNED, Chunk, Plan, Rungs, Tokens, Window, noise

WARM_S = 2.0
"""Seconds of the past that the decoder hears before it goes on."""


@dataclass(frozen=True, slots=True)
class Block:
    """The audio of one chunk, and how it was made."""

    audio: Floats  # float32[samples, channels]
    index: int  # of its chunk
    position_samples: int  # of its first sample in the stream
    control_revision: int  # that its chunk entered with
    rungs: Rungs  # (chunk index, angle) of the window when it was finished
    stage_s: Mapping[str, float]  # plan, passes, commit, decode, other
    steps: int  # T of the ladder
    passes: int  # taken in this tick
    peak: float  # before peaks were rounded off
    latents: Floats  # float32[frames, dim]
    cover: bool = False  # the present music held, not newly made
    plan: Plan = UNPLANNED  # what its chunk was asked to be


class Generator:
    """A stream of blocks from one bundle. Not thread-safe: one thread owns it.

    `ladder` sets the depth, and the steps where no control of that name does; `seed` is added to
    the control of that name; `angles` makes the table of a number of steps; `slots` are shared with
    other streams. Its chunks are of the bundle's default size: `Bundle.at` chooses another.
    """

    def __init__(
        self, bundle: Bundle, backend: Backend, *, ladder: LadderSpec | None = None, seed: int = 0,
        angles: Callable[[int], Table] = schedule, slots: Slots | None = None,
    ) -> None:  # fmt: skip
        manifest = bundle.manifest
        missing = set(manifest.conditions) - ({"tokens", "brief"} if manifest.prompting else set())
        if missing:
            names = ", ".join(sorted(missing))
            raise BundleError(f"bundle {manifest.name} needs {names}: this engine has none to give")
        self.bundle = bundle
        self.ladder = ladder or manifest.ladder
        self.seed = seed
        self._angles = angles
        self.chunk_frames = manifest.chunk_frames[0]
        self.chunk_samples, self.chunk_s = manifest.chunk_samples, manifest.chunk_s
        self._decoder = open_decoder(bundle, backend, self.chunk_frames)
        self._context = open_context(bundle, backend, self.chunk_frames, self.ladder.depth, slots)
        fills = self._context.fills
        capacity = self._context.keep + (1 if fills else self.ladder.depth)
        if self.ladder.depth > capacity:
            raise UsageError(f"a window of {capacity} chunks cannot hold {self.ladder.depth}")
        self._window = Window(
            capacity, self.chunk_frames, manifest.latent.dim, manifest.context.angle
        )
        self._listener = Listener(bundle, backend, self.chunk_frames)
        self._planner = Planner(bundle, backend, seed) if manifest.prompting else None
        self._plan_s = 0.0
        size, dice = (self.chunk_frames, manifest.latent.dim), Dice()
        self._noise = Ahead(lambda seed, index: noise(seed, index, *size, dice))
        self._seed_now = seed
        self.prime(None)

    # ---- where the music starts -------------------------------------------------------------

    def prime(self, audio: Floats | None) -> None:
        """Start anew: behind the end of a take, or from nothing.

        audio float32[samples, channels] at the bundle's rate. As many whole chunks of its end as
        the context holds are looked back on; a take shorter than one chunk is mirrored to fill
        one. TakeError for audio that is empty, not finite, or of the wrong shape.
        """
        if audio is None:
            self.resume(self._empty(), 0)
            return
        heard = self._listener.listen(audio, self._context.keep)
        self.resume(heard.latents, 0, heard.plans, heard.tokens, sound=heard.sound)

    def resume(
        self, latents: Floats, next_index: int, plans: Sequence[Plan] = (),
        tokens: Tokens | None = None, bearings: Bearings | None = None,
        sound: Floats | None = None,
    ) -> None:  # fmt: skip
        """Go on behind finished chunks float32[n, frames, dim]; the next one has `next_index`.

        `plans` are theirs, one each, where the bundle takes prompts; `tokens` are all that the
        planner is to look back on, where they are more than those of the plans; `bearings` are the
        planner's of before, `sound` is a take's place in the joint space.
        """
        plans = plans or [self._listener.unplanned] * latents.shape[0]
        first = max(0, latents.shape[0] - self._context.keep)
        latents, plans = latents[first:], plans[first:]
        first = next_index - latents.shape[0]
        self._steps = self.ladder.steps
        self._table = self._angles(self._steps)
        self._next = self._trusted = next_index
        self._context.reset()
        self._context.commit(latents, first, plans)
        self._window.clear()
        for k, (chunk, plan) in enumerate(zip(latents, plans, strict=True)):
            self._window.append(chunk, first + k, 0, 0.0, 0, plan)
        self._rungs = self._window.rungs()
        self._warm(latents)
        if self._planner is not None:
            known = self._listener.planned(plans) if tokens is None else tokens
            self._planner.prime(known, next_index * self._listener.chunk_tokens, bearings, sound)

    def recover(self) -> None:
        """After a block that must not be played, or a tick that failed: go on without it.

        What is in flight is given up; the chunks of blocks before it are looked back on again.
        """
        planner = self._planner
        tokens = planner.past(self._trusted * self._listener.chunk_tokens) if planner else None
        bearings = planner.bearings if planner else None
        self.resume(self.history(), self._next, self.plans(), tokens, bearings)

    def forget(self) -> None:
        """Start anew from nothing, whatever is in flight; chunks keep their numbers."""
        self.resume(self._empty(), self._next)

    def history(self) -> Floats:
        """The finished chunks known to be good, float32[n, frames, dim], oldest first."""
        return self._window.latents_of(self._good)

    def plans(self) -> list[Plan]:
        """The plans of these chunks."""
        return [chunk.plan for chunk in self._good]

    @property
    def _good(self) -> list[Chunk]:
        return [chunk for chunk in self._window.finished if chunk.index < self._trusted]

    @property
    def lead(self) -> Floats:
        """What was decoded of the past, float32[samples, channels]: the music that goes on."""
        return self._lead

    @property
    def rungs(self) -> Rungs:
        """(chunk index, angle) of the window after the last pass; any thread may look."""
        return self._rungs

    # ---- the tick ---------------------------------------------------------------------------

    def tick(self, controls: ControlSnapshot, steps: int | None = None) -> Block:
        """The next block. `steps` overrides the control of that name."""
        return alone(self.ticking(controls, steps))

    def ticking(self, controls: ControlSnapshot, steps: int | None = None) -> Ticking[Block]:
        """The same, giving up every pass to whoever runs it (`engine.lockstep`)."""
        began_s = perf_counter()
        self._trusted, self._next = self._next, self._next + 1
        self._plan_s = 0.0
        self._change_ladder(round(controls.value("steps", self.ladder.steps)), steps)
        passes = 0
        while (chunk := self._finished()) is None:
            self._admit(controls)
            passes += yield from self._descend()
        passed_s = perf_counter()
        audio = self._decoder.decode(chunk.latents)
        decoded_s = perf_counter()
        peak = round_off(audio)
        if math.isfinite(peak):  # else the latents may not be looked back on
            self._context.commit(chunk.latents[None], self._trusted, [chunk.plan])
        committed_s = perf_counter()
        stage_s = {
            "plan": self._plan_s,
            "passes": passed_s - began_s - self._plan_s,
            "decode": decoded_s - passed_s,
            "commit": committed_s - decoded_s,
            "other": perf_counter() - committed_s,
        }
        return Block(
            audio, self._trusted, self._trusted * self.chunk_samples,
            chunk.revision, self._rungs, stage_s, self._steps, passes, peak, chunk.latents,
            plan=chunk.plan,
        )  # fmt: skip

    def rest(self) -> None:
        """There is time before the next tick: throw the dice of the chunk that enters then."""
        self._context.rest()
        self._noise.throw(self._seed_now, self._entering())
        if self._planner is not None:
            self._planner.rest(self._listener.chunk_tokens)

    def _change_ladder(self, asked: int, override: int | None) -> None:
        steps = self.ladder.rounded(override or asked)
        if steps != self._steps:
            self._window.relabel(self._steps, steps)
            self._table = self._angles(steps)
            self._steps = steps

    def _finished(self) -> Chunk | None:
        """The chunk that this tick is to play, if it is finished; it is among the newest."""
        for chunk in reversed(self._window.chunks):
            if chunk.index == self._trusted:
                return chunk if not chunk.rung else None
        return None

    def _admit(self, controls: ControlSnapshot) -> None:
        """Noise enters: one chunk if the ladder has room, or all that fill a window at once."""
        window = self._window
        flying = len(window.flying)
        if len(window.chunks) == window.capacity and flying < self.ladder.depth:
            window.drop()
        room = window.capacity - len(window.chunks)
        entering = room if self._context.fills else min(room, 1, self.ladder.depth - flying)
        for _ in range(entering):
            self._enter(controls)

    def _entering(self) -> int:
        """The number of the next chunk that enters."""
        chunks = self._window.chunks
        return max(chunks[-1].index + 1, self._trusted) if chunks else self._trusted

    def _enter(self, controls: ControlSnapshot) -> None:
        window, index = self._window, self._entering()
        self._seed_now = self.seed + round(controls.value("seed", 0))
        z = self._noise.take(self._seed_now, index)
        z *= controls.value("temperature", 1.0)
        plan = self._planned(controls)
        window.append(z, index, self._steps, float(self._table[0]), controls.revision, plan)

    def _planned(self, controls: ControlSnapshot) -> Plan:
        """What the next chunk is to be, from the controls of now."""
        if self._planner is None:
            return UNPLANNED
        began_s = perf_counter()
        plan = self._planner.plan(self._listener.chunk_tokens, controls)
        self._plan_s += perf_counter() - began_s
        return plan

    def _descend(self) -> Ticking[int]:
        """T/J passes."""
        passes = self._steps // self.ladder.depth
        yield from self._context.descend(self._window, self._table, passes)
        self._rungs = self._window.rungs()
        return passes

    # ---- the past ---------------------------------------------------------------------------

    def _empty(self) -> Floats:
        return np.zeros((0, self.chunk_frames, self.bundle.manifest.latent.dim), np.float32)

    def _warm(self, latents: Floats) -> None:
        """Let the decoder hear the end of the past, so that the join is seamless."""
        self._decoder.reset()
        self._lead = np.zeros((0, self.bundle.manifest.audio.channels), np.float32)
        heard = latents[max(0, latents.shape[0] - round(WARM_S / self.chunk_s)) :]
        if heard.shape[0]:
            self._lead = np.concatenate([self._decoder.decode(chunk) for chunk in heard])
        round_off(self._lead)
