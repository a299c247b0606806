"""How a token is drawn: Gumbel noise, and the greatest of what logits, favour and noise add up to.

Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator, Philox

from engine.session import Floats

BLOCK_TOKENS = 8
"""Tokens whose noise is made at once."""
_LEAST = np.float32(1e-30)


def token_noise(seed: int, first: int, count: int, size: int) -> Floats:
    """Gumbel noise float32[count, size] of the tokens from `first` on.

    That of each token is a function of seed and token index alone. Another part of the generator's
    range than that of the chunks' noise.
    """
    whole = range(first // BLOCK_TOKENS, (first + count - 1) // BLOCK_TOKENS + 1)
    blocks = np.concatenate([_block(seed, index, size) for index in whole])
    start = first % BLOCK_TOKENS
    noise: Floats = blocks[start : start + count]
    return noise


def _block(seed: int, index: int, size: int) -> Floats:
    key = np.array([seed % 2**64, index % 2**64], np.uint64)
    counter = np.array([0, 0, 0, 1], np.uint64)
    drawn = Generator(Philox(key=key, counter=counter)).standard_exponential(
        (BLOCK_TOKENS, size), np.float32
    )
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
