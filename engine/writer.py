"""The language model and its rings: a past is read at once, new tokens are written in runs.

What a token leaves behind in the model is kept in rings whose slot is token index modulo context.
The graph `language` reads any number of tokens, `write` chooses a whole run of them by itself;
where a bundle has none, or only the likeliest may be chosen, `language` goes token by token.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from engine.asked import Asked
from engine.bundle import Bundle
from engine.clock import CLOCK_SIZE
from engine.drawing import choose
from engine.errors import BundleError
from engine.later import Later
from engine.session import Array, Backend, Floats
from engine.tensors import StateSpec
from engine.window import Tokens

SLICE_TOKENS = 128
"""Tokens of the past that the language model reads at once."""


class Writer:
    """One stream's language model. Not thread-safe."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        prompting, graphs = bundle.manifest.prompting, bundle.manifest.graphs
        assert prompting is not None, "a writer needs a bundle with prompting"
        self.context, self.vocabulary = prompting.language_context, prompting.vocabulary
        self.session = backend.session("language")
        self._write = backend.session("write") if "write" in graphs else None
        self.specs = graphs["language"].states
        self._period = graphs["language"].position_period or 1
        self._states: dict[str, Array] = {
            spec.name: np.zeros(spec.resolve({}), spec.dtype) for spec in self.specs
        }
        self._rings = self.by_token(self._states)
        self._later = Later()
        self._filled = np.zeros((1, self.context), np.float32)
        self._position = np.zeros(1, np.int64)
        self._brief = np.zeros((1, prompting.brief_size), np.float32)
        self._prefix = np.zeros(graphs["language"].input("prefix").resolve({}), np.float32)
        self._runs: dict[int, Run] = {}
        self._step = Step(self)

    def ask(self, asked: Asked) -> None:
        """What is asked from now on."""
        self._brief[0] = asked.brief
        self._prefix[...] = asked.prefix

    def read(self, tokens: Tokens, first: int, clock: Floats) -> None:
        """These tokens int64[n] and no others, the first at the index `first`; clock [n, K]."""
        for spec in self.specs:
            self.states[spec.name].fill(spec.initial)
        self.filled.fill(0.0)
        for start in range(0, tokens.shape[0], SLICE_TOKENS):
            part = tokens[start : start + SLICE_TOKENS]
            self._position[0] = (first + start) % self._period
            feeds = self.feeds | {"filled": self.filled, "tokens": part[None],
                                  "clock": clock[None, start : start + SLICE_TOKENS]}  # fmt: skip
            left = self.by_token(self.session.run(feeds), left=True)
            self._keep(left, first + start, part.shape[0])

    def write(
        self, last: int, first: int, clock: Floats, lean: Floats, noise: Floats, top_k: int
    ) -> Tokens:
        """The tokens int64[n] behind the last one, whose index is `first`.

        clock [n, K], noise [n, V] and lean [n | 1, V] are theirs. BundleError for logits that
        are not finite.
        """
        if self._write is None or top_k < self.vocabulary:
            return self.write_by_steps(last, first, clock, lean, noise, top_k)
        self._later.settle()
        count = clock.shape[0]
        if count not in self._runs:
            self._runs[count] = Run(self, count)
        run = self._runs[count]
        self._position[0] = first % self._period
        run.token[0, 0], run.clock[0] = last, clock
        np.add(lean, noise, out=run.favour[0])
        run.look_back(self.filled, first)
        run.go()
        sound(run.out["logits"])
        self._later.put_off(partial(self._keep, run.left, first, count))
        tokens: Tokens = run.out["tokens"][0].copy()
        return tokens

    def write_by_steps(
        self, last: int, first: int, clock: Floats, lean: Floats, noise: Floats, top_k: int
    ) -> Tokens:
        """The same, token by token."""
        self._later.settle()
        step, tokens = self._step, []
        lean = np.broadcast_to(lean, noise.shape)
        for k in range(clock.shape[0]):
            self._position[0] = (first + k) % self._period
            step.token[0, 0], step.clock[0, 0] = last, clock[k]
            step.go()
            sound(step.out["logits"])
            self._keep(step.left, first + k, 1)
            last = choose(step.out["logits"][0, 0], lean[k], noise[k], top_k)
            tokens.append(last)
        return np.array(tokens, np.int64)

    def rest(self) -> None:
        """There is time to keep what the last run left."""
        self._later.settle()

    @property
    def states(self) -> dict[str, Array]:
        """The rings by name; to be read, or written between two runs."""
        self._later.settle()
        return self._states

    @property
    def filled(self) -> Floats:
        """float32[1, L], 1 for a slot that holds a token; to be used as the rings are."""
        self._later.settle()
        return self._filled

    @property
    def feeds(self) -> dict[str, Array]:
        """What every run reads."""
        return {"brief": self._brief, "position": self._position, "prefix": self._prefix,
                **self.states}  # fmt: skip

    def leaving(self, spec: StateSpec, count: int) -> Array:
        """Room for what `count` tokens leave behind in one ring."""
        shape = list(spec.resolve({}))
        shape[spec.ring_axis or 0] = count
        return np.zeros(shape, spec.dtype)

    def by_token(self, arrays: dict[str, Array], left: bool = False) -> list[Array]:
        """The states among these, or what is left for them, with the axis of tokens in front."""
        return [
            np.moveaxis(arrays[spec.next_name if left else spec.name], spec.ring_axis or 0, 0)
            for spec in self.specs
        ]

    def _keep(self, left: list[Array], first: int, count: int) -> None:
        """Into the rings, what tokens from the index `first` on leave behind."""
        slot = first % self.context
        slots: slice | Tokens = slice(slot, slot + count)
        if slot + count > self.context:
            slots = np.arange(slot, slot + count) % self.context
        for ring, new in zip(self._rings, left, strict=True):
            ring[slots] = new
        self._filled[0, slots] = 1.0


def sound(logits: Floats) -> None:
    """BundleError where they are not finite, float32[1, n, V].

    One is asked for all: every product mixes what is not finite into everything behind it.
    """
    if not math.isfinite(logits[0, -1, 0]):
        raise BundleError("language: its logits are not finite; the bundle is damaged")


class Run:
    """The arrays of a run of n tokens through `write`, bound once."""

    def __init__(self, writer: Writer, count: int) -> None:
        assert writer._write is not None
        self.token = np.zeros((1, 1), np.int64)
        self.clock = np.zeros((1, count, CLOCK_SIZE), np.float32)
        self.favour = np.zeros((1, count, writer.vocabulary), np.float32)
        self._filled = np.zeros((1, count, writer.context), np.float32)
        self._later, self._earlier = np.tril_indices(count, -1)
        feeds: dict[str, Array] = {
            "token": self.token, "clock": self.clock, "favour": self.favour,
            "filled": self._filled, **writer.feeds,
        }  # fmt: skip
        self.out: dict[str, Array] = {
            "logits": np.zeros_like(self.favour), "tokens": np.zeros((1, count), np.int64)
        }  # fmt: skip
        self.out |= {spec.next_name: writer.leaving(spec, count) for spec in writer.specs}
        self.left = writer.by_token(self.out, left=True)
        self.go = writer._write.bind(feeds, self.out)

    def look_back(self, filled: Floats, first: int) -> None:
        """A token does not see in the ring whose slots those before it in the run will take."""
        slots = (first + self._earlier) % filled.shape[1]
        self._filled[0] = filled[0]
        self._filled[0, self._later, slots] = 0.0


class Step:
    """The arrays of a run of one token through `language`, bound once."""

    def __init__(self, writer: Writer) -> None:
        self.token = np.zeros((1, 1), np.int64)
        self.clock = np.zeros((1, 1, CLOCK_SIZE), np.float32)
        feeds: dict[str, Array] = {
            "tokens": self.token, "clock": self.clock, "filled": writer.filled, **writer.feeds
        }  # fmt: skip
        self.out: dict[str, Array] = {"logits": np.zeros((1, 1, writer.vocabulary), np.float32)}
        self.out |= {spec.next_name: writer.leaving(spec, 1) for spec in writer.specs}
        self.left = writer.by_token(self.out, left=True)
        self.go = writer.session.bind(feeds, self.out)
