import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import Controls, ControlSnapshot, default_controls
from engine.hands import Hands
from engine.spec import LadderSpec

RATE = 24000


def set_to(**values: float) -> ControlSnapshot:
    controls = Controls(default_controls(LadderSpec(10, 1)))
    controls.update(values)
    return controls.snapshot()


def heard(hands: Hands, seconds: float, snapshot: ControlSnapshot, block: int = 512) -> np.ndarray:
    """What a level of 1 becomes."""
    blocks = []
    for _ in range(round(seconds * RATE / block)):
        audio = np.ones((block, 2), np.float32)
        hands.process(audio, snapshot)
        np.testing.assert_array_equal(audio[:, 0], audio[:, 1])
        blocks.append(audio[:, 0])
    return np.concatenate(blocks)


def test_hands_at_rest_change_nothing() -> None:
    audio = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32)
    before = audio.copy()
    Hands(RATE).process(audio, set_to())
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize(
    ("values", "level"),
    [({"gain_db": -6.0}, 10 ** (-6 / 20)), ({"mute": 1}, 0.0), ({"panic": 1}, 0.0)],
)
def test_a_hand_arrives_within_50_ms_and_without_a_click(
    values: dict[str, float], level: float
) -> None:
    factor = heard(Hands(RATE), 0.1, set_to(**values))
    assert factor[RATE // 20] == pytest.approx(level, abs=1e-6)
    assert np.abs(np.diff(factor)).max() <= 1.01 / (0.005 * RATE)


def test_panic_is_quicker_than_mute() -> None:
    assert heard(Hands(RATE), 0.05, set_to(panic=1))[round(0.005 * RATE)] == 0
    assert heard(Hands(RATE), 0.05, set_to(mute=1))[round(0.005 * RATE)] > 0.5


def test_a_fade_takes_its_time_and_stays_out() -> None:
    hands = Hands(RATE)
    factor = heard(hands, 3.0, set_to(fade=2.0))
    assert factor[RATE] == pytest.approx(0.5, abs=1e-3)
    assert (factor[2 * RATE + 100 :] == 0).all()
    back = heard(hands, 0.1, set_to(fade=0.0))
    assert back[-1] == 1.0
    assert np.abs(np.diff(back)).max() < 1.01 / (0.05 * RATE)


@given(st.lists(st.tuples(st.floats(-60, 6), st.booleans(), st.booleans()), max_size=12))
def test_any_playing_of_the_hands_is_smooth(turns: list[tuple[float, bool, bool]]) -> None:
    hands = Hands(RATE)
    parts = [
        heard(hands, 0.01, set_to(gain_db=gain, mute=mute, panic=panic), block=60)
        for gain, mute, panic in turns
    ]
    factor = np.concatenate([[1.0], *parts])
    assert np.abs(np.diff(factor)).max(initial=0.0) <= 2.01 / (0.005 * RATE)


def test_a_block_longer_than_the_scratch_is_processed_in_parts() -> None:
    hands = Hands(RATE)
    audio = np.ones((10000, 1), np.float32)
    hands.process(audio, set_to(fade=1.0))
    np.testing.assert_allclose(audio[:, 0], 1 - np.arange(1, 10001) / RATE, atol=1e-4)
    assert hands.level == pytest.approx(1 - 10000 / RATE, abs=1e-4)
