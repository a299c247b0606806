import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import default_controls, prompting_controls
from engine.rig.faders import from_fader, to_fader
from engine.spec import ControlSpec, LadderSpec

SPECS = (*default_controls(LadderSpec(10)), *prompting_controls(512))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_both_ends_and_the_way_back(spec: ControlSpec) -> None:
    assert from_fader(spec, 0.0) == spec.minimum
    assert from_fader(spec, 1.0) == spec.maximum
    assert to_fader(spec, spec.minimum) == 0.0
    assert to_fader(spec, spec.maximum) == 1.0
    assert to_fader(spec, None) == to_fader(spec, spec.default)


@given(st.floats(-2, 3), st.sampled_from(SPECS))
def test_every_place_is_a_value_that_the_control_takes(place: float, spec: ControlSpec) -> None:
    value = from_fader(spec, place)
    assert spec.minimum <= value <= spec.maximum
    assert not spec.whole or value == int(value)
    step = 0.5 / (spec.maximum - spec.minimum) if spec.whole else 1e-9
    assert abs(to_fader(spec, value) - min(max(place, 0.0), 1.0)) <= step + 1e-9


def test_a_control_with_one_value_stands_at_zero() -> None:
    assert to_fader(ControlSpec("one", "idea", 3, 3, 3, ""), 3) == 0.0
