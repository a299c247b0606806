import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends import standin
from engine.decoder import StreamDecoder


def latents(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 8)).astype(np.float32)


def decoder(channels: int = 1, usual: int = 16) -> StreamDecoder:
    bundle = standin.bundle(channels=channels)
    return StreamDecoder(bundle, standin.StandIn(bundle), usual)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(1, 2))
def test_pieces_of_any_size_give_the_whole(sizes: list[int], channels: int) -> None:
    z = latents(sum(sizes))
    whole = decoder(channels, usual=sum(sizes)).decode(z)
    stream = decoder(channels)
    pieces = [stream.decode(piece) for piece in np.split(z, np.cumsum(sizes)[:-1])]
    assert [piece.shape for piece in pieces] == [(480 * size, channels) for size in sizes]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_a_long_stream_does_not_drift_from_the_whole() -> None:
    z = latents(1600)
    stream = decoder()
    pieces = np.concatenate([stream.decode(piece) for piece in np.split(z, 100)])
    np.testing.assert_allclose(pieces, decoder(usual=1600).decode(z), atol=1e-4)


def test_a_reset_is_a_new_beginning() -> None:
    stream = decoder()
    first = stream.decode(latents(16))
    assert not np.array_equal(stream.decode(latents(16)), first)
    stream.reset()
    np.testing.assert_array_equal(stream.decode(latents(16)), first)


@pytest.mark.parametrize("frames", [16, 5])
def test_a_block_is_new_memory_for_whoever_keeps_it(frames: int) -> None:
    stream = decoder()
    first = stream.decode(latents(frames))
    kept = first.copy()
    stream.decode(latents(frames, seed=1))
    np.testing.assert_array_equal(first, kept)
    assert first.flags.c_contiguous
    assert first.dtype == np.float32
