import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BundleError
from engine.fields import Fields

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def test_a_wrong_field_is_named_by_its_place() -> None:
    fields = Fields({"audio": {"channels": "two"}}, "manifest")
    with pytest.raises(BundleError, match=r"manifest\.audio\.channels is 'two'"):
        fields.inner("audio").whole("channels")


def test_a_missing_field_is_called_missing() -> None:
    with pytest.raises(BundleError, match=r"manifest\.name is missing"):
        Fields({}, "manifest").text("name")


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "1", None])
def test_numbers_are_finite_numbers(value: object) -> None:
    with pytest.raises(BundleError):
        Fields({"x": value}, "m").number("x")


def test_whole_numbers_have_a_least_value() -> None:
    assert Fields({"x": 0}, "m").whole("x", 0) == 0
    with pytest.raises(BundleError, match="from 1 up"):
        Fields({"x": 0}, "m").whole("x")


@given(anything)
def test_nothing_but_bundle_errors_comes_out(value: object) -> None:
    for read in ("text", "whole", "number", "items", "texts", "wholes", "inner"):
        for found in (value, {"x": value}):
            try:
                getattr(Fields(found, "m"), read)("x")
            except BundleError as error:
                assert "\n" not in str(error)
