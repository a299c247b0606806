"""A whole tick of many streams as one piece of work: passes, commit, decoding, nothing between.

Where a generator asks for one pass after the other, here the ladder itself is part of the work: T
passes with the ladder step between them, the commit into the rings, the decoder. On a GPU it is
captured once and launched once a tick. Rows of the batch are streams of their own, each with its
rings and states; what they share is the place in the ring and the position, which count up on the
device. A stream that joins begins with an empty ring: positions count only against each other.
A finished chunk is committed in a run of its own.

For a cached context and one chunk in flight, without guidance.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod

import torch
from torch import Tensor
from torch.func import vmap

from engine.angles import schedule
from engine.backends.torch.device import TorchGraph, captured, inferring
from engine.bundle import Bundle
from engine.errors import UsageError
from engine.session import Floats
from engine.tensors import StateSpec
from kernels.ladder import ladder_step

Tensors = dict[str, Tensor]


class TorchTick:
    """Static tensors of so many streams, and the work on them. `go` is one tick.

    Written before a tick: `noise` [B, 1, frames, dim], `tokens` [B, 1, n] and `brief` [B, 1, b].
    There after it: `latents` [B, 1, frames, dim] and `audio` [B, 1, channels, samples].
    """

    def __init__(
        self, bundle: Bundle, graphs: dict[str, TorchGraph], where: torch.device, *,
        streams: int = 1, steps: int | None = None,
    ) -> None:  # fmt: skip
        manifest = bundle.manifest
        if manifest.context.kind != "cached":
            raise UsageError("a tick in one piece needs a bundle with a cached context")
        self.streams, self.where = streams, where
        self._velocity, self._decoder = graphs["velocity"], graphs["decoder"]
        self._states = manifest.graphs["velocity"].states
        self._heard = manifest.graphs["decoder"].states
        self._keep = manifest.context.chunks
        self._period = manifest.graphs["velocity"].position_period or 1
        self._context_angle = manifest.context.angle
        self._angles = schedule(steps or manifest.ladder.steps).tolist()
        frames, dim = manifest.chunk_frames[0], manifest.latent.dim
        self.noise = self._zeros((streams, 1, frames, dim))
        self.latents = torch.zeros_like(self.noise)
        self.asked = self._asked(bundle, frames)
        self.filled = self._zeros((streams, self._keep))
        self._sees = torch.ones(streams, 1, 1, device=where)
        self._position = torch.zeros(1, dtype=torch.int64, device=where)
        self._slot = torch.zeros(1, dtype=torch.int64, device=where)
        self.rings = {spec.name: self._state(spec, (streams,)) for spec in self._states}
        self._decoding = {spec.name: self._state(spec, (streams, 1)) for spec in self._heard}
        samples = frames * manifest.latent.frame_samples
        self.audio = self._zeros((streams, 1, manifest.audio.channels, samples))
        self._pass = self._velocity.program(self._feeds(self.latents, self._full(1.0)))
        one = {name: state[0] for name, state in self._decoding.items()}
        self._decode = self._decoder.program({"latents": self.latents[0], **one})
        self.reset()
        if where.type == "cuda":
            self.go: Callable[[], None] = captured(self._work)
            self.reset()  # it has run to be captured
        else:
            self.go = inferring(self._work)

    @property
    def operators(self) -> int:
        """torch's calls of one tick: what would be launched one by one."""
        return len(self._angles) * (len(self._pass) + 1) + len(self._decode)

    def reset(self, streams: slice = slice(None)) -> None:
        """These streams begin anew; the others do not notice."""
        self.filled[streams] = 0.0
        for spec in self._states:
            self.rings[spec.name][streams] = spec.initial
        for spec in self._heard:
            self._decoding[spec.name][streams] = spec.initial

    def heard(self) -> Floats:
        """The audio of the last tick, float32[B, channels, samples]; waits for it."""
        audio: Floats = self.audio[:, 0].cpu().numpy()
        return audio

    def _work(self) -> None:
        z = self.noise
        for angle, lower in pairwise(self._angles):
            made = self._pass.run(self._feeds(z, self._full(angle)))["velocity"]
            z = ladder_step(z, made, self._turned(angle - lower))
        self.latents.copy_(z)
        self._commit(self._pass.run(self._feeds(z, self._full(self._context_angle))))
        self._play(z)

    def _commit(self, made: Tensors) -> None:
        for spec in self._states:
            assert spec.ring_axis is not None
            self.rings[spec.name].index_copy_(spec.ring_axis, self._slot, made[spec.next_name])
        self.filled.index_fill_(1, self._slot, 1.0)
        self._slot.add_(1).remainder_(self._keep)
        self._position.add_(1).remainder_(self._period)

    def _play(self, z: Tensor) -> None:
        """The decoder was exported for one row: it is mapped over the streams."""
        made = vmap(self._decode.run)({"latents": z, **self._decoding})
        self.audio.copy_(made["audio"])
        for name, state in self._decoding.items():
            state.copy_(made[name + "_next"])

    def _feeds(self, z: Tensor, angle: Tensor) -> Tensors:
        """Every chunk sees itself and what is filled; the one before it lies in the slot before."""
        before = (self._slot + self._keep - 1).remainder(self._keep)
        return {
            "latents": z, "angle": angle, "position": self._position.expand(self.streams, 1),
            "filled": self.filled[:, None], "sees": self._sees,
            "before": before.expand(self.streams, 1), **self.asked, **self.rings,
        }  # fmt: skip

    def _asked(self, bundle: Bundle, frames: int) -> Tensors:
        prompting = bundle.manifest.prompting
        if prompting is None:
            return {}
        shape = (self.streams, 1, frames // prompting.token_frames)
        tokens = torch.full(shape, prompting.vocabulary, dtype=torch.int64, device=self.where)
        return {"tokens": tokens, "brief": self._zeros((self.streams, 1, prompting.brief_size))}

    def _full(self, angle: float) -> Tensor:
        return torch.full((self.streams, 1), angle, device=self.where)

    def _turned(self, turn: float) -> Tensor:
        return torch.full(self.noise.shape[:-1], turn, device=self.where)

    def _zeros(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, device=self.where)

    def _state(self, spec: StateSpec, rows: tuple[int, ...]) -> Tensor:
        """A state of every stream: rows in the place of its first axis."""
        own = spec.resolve({"batch": 1})[1:]
        return torch.full((*rows, *own), spec.initial, device=self.where)


def bytes_of(tick: TorchTick) -> int:
    """Memory that one stream keeps on the device."""
    kept = [*tick.rings.values(), *tick._decoding.values()]
    return sum(prod(state.shape) * state.element_size() for state in kept) // tick.streams
