import numpy as np
import pytest

from engine.backends import standin
from engine.backends.sine import BLOCKS, PLACE_PERIOD, Sine, key, place_of


@pytest.fixture
def sine() -> Sine:
    return Sine(standin.bundle().manifest)


def decoder_states(level: float = 0.0) -> dict[str, np.ndarray]:
    return {
        "phase": np.zeros((1, 1), np.float32),
        "level": np.full((1, 1), level, np.float32),
        "overlap": np.zeros((1, 1, 480), np.float32),
    }


def cached_feeds(chunks: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "latents": rng.standard_normal((1, chunks, 16, 8)).astype(np.float32),
        "angle": np.linspace(0.3, 1.5, chunks, dtype=np.float32)[None],
        "position": 9 + np.arange(chunks)[None],
        "filled": np.array([[[1, 1, 0, 1, 1, 0]] * chunks], np.float32),
        "sees": np.tril(np.ones((1, chunks, chunks), np.float32)),
        "before": np.array([[4, *range(6, 5 + chunks)]]),
        "keys": rng.standard_normal((1, BLOCKS, 6, 8)).astype(np.float32),
        "places": place_of(np.arange(6))[None].astype(np.float32),
        "tail": rng.standard_normal((1, 6, 2, 8)).astype(np.float32),
    }


def test_the_pitch_of_a_tone_survives_encoding_and_decoding(sine: Sine, take: np.ndarray) -> None:
    latents = sine.encoder({"audio": take[:24000].T[None]})["latents"]
    audio = sine.decoder({"latents": latents, **decoder_states()})["audio"][0, 0]
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.shape[0])))
    assert abs(np.argmax(spectrum) - 330) < 30


def test_pitch_and_level_follow_the_latents(sine: Sine) -> None:
    z = np.zeros((1, 50, 8), np.float32)
    loud = sine.decoder({"latents": z + np.eye(8, dtype=np.float32)[1], **decoder_states()})
    soft = sine.decoder({"latents": z - np.eye(8, dtype=np.float32)[1], **decoder_states()})
    assert loud["audio"].std() > 1.5 * soft["audio"].std()
    assert np.abs(loud["audio"]).max() < 0.5


@pytest.mark.parametrize(
    "name", ["latents", "angle", "position", "filled", "before", "keys", "places", "tail"]
)
def test_the_cached_velocity_depends_on_everything(sine: Sine, name: str) -> None:
    feeds = cached_feeds()
    before = sine.cached_velocity(feeds)["velocity"]
    changes = {
        "position": feeds["position"] + 3,
        "filled": 1 - feeds["filled"],
        "before": feeds["before"] - 1,
    }
    changed = {**feeds, name: changes.get(name, feeds[name] * 0.5)}
    assert np.abs(sine.cached_velocity(changed)["velocity"] - before).max() > 1e-3


def test_slots_that_are_not_filled_are_not_seen(sine: Sine) -> None:
    feeds = cached_feeds()
    before = sine.cached_velocity(feeds)["velocity"]
    feeds["keys"][:, :, [2, 5]] = np.nan
    np.testing.assert_array_equal(sine.cached_velocity(feeds)["velocity"], before)


def test_the_order_of_the_slots_does_not_matter(sine: Sine) -> None:
    feeds = cached_feeds()
    order = [3, 1, 5, 0, 4, 2]
    turned = {
        **feeds, "keys": feeds["keys"][:, :, order], "places": feeds["places"][:, order],
        "tail": feeds["tail"][:, order], "filled": feeds["filled"][:, :, order],
        "before": np.array([[order.index(4)]]),
    }  # fmt: skip
    for name in ("velocity", "keys_next", "tail_next"):
        np.testing.assert_allclose(
            sine.cached_velocity(turned)[name], sine.cached_velocity(feeds)[name], atol=1e-6
        )


def test_the_tail_of_what_is_not_seen_is_silence(sine: Sine) -> None:
    feeds = cached_feeds()
    feeds["before"][:] = 2  # a slot that is not filled
    before = sine.cached_velocity(feeds)["velocity"]
    feeds["tail"][:, 2] += 1.0
    np.testing.assert_array_equal(sine.cached_velocity(feeds)["velocity"], before)


def test_rows_know_nothing_of_each_other(sine: Sine) -> None:
    rows = [cached_feeds(2, seed) for seed in (0, 1, 2)]
    rows[1]["filled"][:] = 0.0
    both = sine.cached_velocity({name: np.concatenate([row[name] for row in rows])
                                 for name in rows[0]})  # fmt: skip
    for i, row in enumerate(rows):
        for name, value in sine.cached_velocity(row).items():
            np.testing.assert_array_equal(both[name][i : i + 1], value)


def test_chunks_in_flight_see_only_those_they_are_told_of(sine: Sine) -> None:
    feeds = cached_feeds(3)
    before = sine.cached_velocity(feeds)["velocity"]
    feeds["latents"][0, 1] += 1.0
    after = sine.cached_velocity(feeds)["velocity"]
    np.testing.assert_array_equal(after[0, 0], before[0, 0])
    assert np.abs(after[0, 2] - before[0, 2]).max() > 1e-3


def test_positions_repeat_after_the_period() -> None:
    np.testing.assert_allclose(
        place_of(np.arange(3)), place_of(np.arange(3) + PLACE_PERIOD), atol=1e-12
    )


def test_keys_forget_what_is_noise() -> None:
    z = np.ones((1, 16, 8))
    z[:, -1] = 0
    assert np.abs(key(z, np.array([np.pi / 2]), 0)).max() < 1e-12
    assert np.abs(key(z, np.array([0.0]), 0)).min() > 0.5


def test_the_window_velocity_looks_both_ways() -> None:
    sine = Sine(standin.bundle(kind="window").manifest)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1, 96, 8)).astype(np.float32)
    angle = np.full((1, 96), 0.4, np.float32)
    before = sine.window_velocity({"latents": z, "angle": angle})["velocity"]
    z[0, 48] += 3.0
    change = np.abs(sine.window_velocity({"latents": z, "angle": angle})["velocity"] - before)
    assert change[0, 40].max() > 1e-3
    assert change[0, 56].max() > 1e-3
