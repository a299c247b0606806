import numpy as np
import pytest

from engine.errors import ControlError
from engine.rig import places as module
from engine.rig.orders import Words
from engine.rig.places import Places

SLOW, FAST = (Words("slow"),), (Words("fast", 2.0),)


def test_a_place_is_found_once() -> None:
    asked = []

    def embed(prompts):
        asked.append([(one.text, one.weight) for one in prompts])
        return np.array([len(asked), 0], np.float32)

    places = Places(embed)
    places.find(SLOW)
    places.find(FAST)
    places.find(SLOW)
    assert asked == [[("slow", 1.0)], [("fast", 2.0)]]
    np.testing.assert_array_equal(places.of(FAST), [2, 0])
    assert places.holds(FAST, np.array([2, 0], np.float32))
    assert not places.holds(FAST, np.array([1, 0], np.float32))
    assert not places.holds((Words("never"),), None)


def test_no_prompt_has_no_place() -> None:
    places = Places(None)
    places.find(())
    assert places.of(()) is None
    assert places.holds((), None)
    assert not places.holds((), np.ones(1, np.float32))
    with pytest.raises(ControlError, match="takes no prompts"):
        places.find(SLOW)


def test_what_a_scene_may_ask_for_is_never_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_PLACES", 4)
    places = Places(lambda _: np.ones(1, np.float32))
    places.stage(SLOW)
    for number in range(20):
        places.find((Words(str(number)),))
    assert places.of(SLOW) is not None
    assert places.of(()) is None
    assert not places.holds((Words("0"),), np.ones(1, np.float32))
