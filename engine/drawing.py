"""Dice that fall the same for the same seed and place, and how a token is drawn with them.

Gumbel noise, and the greatest of what logits, favour and noise add up to. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.random import Generator, Philox

from engine.session import Floats


class Dice:
    """A counter-based generator (Philox) that is set to a key before it draws.

    One that is made anew for every key asks the system for randomness it does not use. Not
    thread-safe: one for each stream.
    """

    def __init__(self) -> None:
        self._bits = Philox(key=np.zeros(2, np.uint64))
        self._state = self._bits.state
        self._generator = Generator(self._bits)

    def at(self, seed: int, index: int, part: int = 0) -> Generator:
        """At the beginning of what belongs to this seed and index, in one of 2⁶⁴ parts."""
        state = self._state
        state["state"]["key"][:] = seed % 2**64, index % 2**64
        state["state"]["counter"][:] = 0, 0, 0, part
        state["buffer_pos"], state["has_uint32"] = 4, 0
        self._bits.state = state
        return self._generator


T = TypeVar("T")


class Ahead(Generic[T]):
    """What may be made before it is wanted, a throw of dice above all: `make` of its arguments
    and nothing else, which compare by their values.

    Not thread-safe.
    """

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._place: tuple[Hashable, ...] | None = None
        self._thrown: T | None = None

    def throw(self, *place: Hashable) -> None:
        """This one will be wanted next."""
        if place != self._place:
            self._thrown = self._make(*place)
            self._place = place

    def take(self, *place: Hashable) -> T:
        """What was thrown for this, or is now; whoever takes it may write over it."""
        self.throw(*place)
        thrown, self._thrown, self._place = self._thrown, None, None
        assert thrown is not None
        return thrown


BLOCK_TOKENS = 8
"""Tokens whose noise is made at once."""
_LEAST = np.float32(1e-30)


def token_noise(seed: int, first: int, count: int, size: int, dice: Dice | None = None) -> Floats:
    """Gumbel noise float32[count, size] of the tokens from `first` on.

    That of each token is a function of seed and token index alone. Another part of the generator's
    range than that of the chunks' noise.
    """
    whole = range(first // BLOCK_TOKENS, (first + count - 1) // BLOCK_TOKENS + 1)
    dice = dice or Dice()
    blocks = np.concatenate([_block(dice.at(seed, index, 1), size) for index in whole])
    start = first % BLOCK_TOKENS
    noise: Floats = blocks[start : start + count]
    return noise


def _block(dice: Generator, size: int) -> Floats:
    drawn = dice.standard_exponential((BLOCK_TOKENS, size), np.float32)
    return -np.log(np.maximum(drawn, _LEAST))  # minus the log of an exponential is Gumbel's


def choose(logits: Floats, lean: Floats, noise: Floats, top_k: int) -> int:
    """The greatest of logits + (lean + noise), float32[V] each, of the `top_k` likeliest without
    noise. Noise times a temperature draws at it: argmax(l / f + g) = argmax(l + f·g).
    """
    scores = logits + (lean + noise)
    if top_k < scores.shape[0]:
        said = logits + lean
        scores[said < np.partition(said, -top_k)[-top_k]] = -np.inf
    return int(scores.argmax())
