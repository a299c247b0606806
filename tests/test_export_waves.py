"""Tables of sinusoids come apart into small factors; others stay whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from export.waves import as_waves
from model.presets import LIVE, AutoencoderPreset
from model.synthesis import Clock


def sinusoids(rows: int, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    turns, starts = rng.uniform(0, 3, (2, rows, 1))
    levels = rng.uniform(0, 1, (rows, 1))
    return (levels * np.cos(turns * np.arange(columns) + starts)).astype(np.float32)


@settings(max_examples=5, deadline=None)
@given(st.sampled_from([480, 960, 1000]), st.integers(0, 2**31))
def test_sinusoids_are_a_product_of_two_small_tables(columns: int, seed: int) -> None:
    table = sinusoids(200, columns, seed)
    factors = as_waves(table)
    assert factors is not None
    left, right = factors
    assert left.size + right.size < table.size / 5
    assert np.abs((left @ right).reshape(table.shape) - table).max() < 6e-7


def test_the_oscillators_of_the_decoder_are_one() -> None:
    size = LIVE.autoencoder
    assert isinstance(size, AutoencoderPreset)
    clock = Clock(size.sample_rate_hz, size.hop_samples, 2, 1, size.oscillators_per_octave,
                  size.octaves)  # fmt: skip
    basis = clock.basis(size.fft_samples).numpy()
    factors = as_waves(basis)
    assert factors is not None
    product = (factors[0] @ factors[1]).reshape(basis.shape)
    assert np.abs(product - basis).max() < 3e-7 * np.abs(basis).max()


def test_what_is_no_table_of_sinusoids_stays_whole() -> None:
    rng = np.random.default_rng(0)
    table = sinusoids(200, 960, 0)
    assert as_waves(rng.standard_normal((200, 960)).astype(np.float32)) is None
    assert as_waves(sinusoids(8, 960, 0)) is None, "too small to be worth it"
    assert as_waves(sinusoids(500, 211, 0)) is None, "a prime number cannot be cut"
    table[7, 300] += 0.01
    assert as_waves(table) is None
