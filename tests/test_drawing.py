from __future__ import annotations

import numpy as np
import pytest

from engine.drawing import BLOCK_TOKENS, Ahead, choose, token_noise

NOTHING = np.zeros(3, np.float32)


def drawn(seed: int, count: int, logits: np.ndarray, focus: float, top_k: int = 3) -> list[int]:
    return [choose(logits, NOTHING, focus * row, top_k) for row in token_noise(seed, 0, count, 3)]


def test_noise_is_that_of_one_token_of_one_seed_however_it_is_asked_for() -> None:
    whole = token_noise(1, -7, 40, 5)
    assert whole.shape == (40, 5) and whole.dtype == np.float32
    for first, count in ((-7, 1), (-1, 2), (0, BLOCK_TOKENS), (3, 20), (32, 1)):
        part = token_noise(1, first, count, 5)
        np.testing.assert_array_equal(part, whole[first + 7 : first + 7 + count])
    assert not np.array_equal(token_noise(1, 5, 1, 8), token_noise(1, 6, 1, 8))
    assert not np.array_equal(token_noise(1, 5, 1, 8), token_noise(1, 5 + BLOCK_TOKENS, 1, 8))
    assert not np.array_equal(token_noise(1, 5, 1, 8), token_noise(2, 5, 1, 8))
    assert np.isfinite(token_noise(2**31, -7, 3, 4096)).all()


def test_what_is_thrown_ahead_is_made_once_and_given_away() -> None:
    made = []
    ahead = Ahead(lambda seed, index: made.append((seed, index)) or np.full(2, seed + index))
    ahead.throw(1, 5)
    ahead.throw(1, 5)
    thrown = ahead.take(1, 5)
    thrown += 100
    assert ahead.take(1, 5).tolist() == [6, 6]
    ahead.throw(1, 6)
    assert ahead.take(2, 6).tolist() == [8, 8]
    assert made == [(1, 5), (1, 5), (1, 6), (2, 6)]


def test_noise_is_gumbel_s() -> None:
    noise = token_noise(3, 0, 64, 1024)
    assert noise.mean() == pytest.approx(np.euler_gamma, abs=0.02)
    assert noise.std() == pytest.approx(np.pi / 6**0.5, abs=0.02)


def test_focus_zero_takes_the_likeliest() -> None:
    assert set(drawn(0, 20, np.array([0.0, 2.0, 1.0], np.float32), 0.0)) == {1}


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = np.log(np.array([0.6, 0.3, 0.1], np.float32))
    often = np.bincount(drawn(1, 4000, logits, 1.0))
    np.testing.assert_allclose(often / 4000, [0.6, 0.3, 0.1], atol=0.03)
    assert np.bincount(drawn(1, 4000, logits, 2.0))[2] > 1.5 * often[2]


@pytest.mark.parametrize("top_k", [1, 2])
def test_top_k_leaves_the_others_out(top_k: int) -> None:
    said = set(drawn(2, 200, np.array([0.1, 0.3, 0.2], np.float32), 1.5, top_k))
    assert said == ({1, 2} if top_k == 2 else {1})


def test_what_is_favoured_counts_among_the_likeliest() -> None:
    lean = np.array([1.0, 0.0, 0.0], np.float32)
    assert choose(np.array([0.1, 0.3, 0.2], np.float32), lean, 9 * NOTHING, 1) == 0
