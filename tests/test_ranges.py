"""Options in a range: both ends belong to it, everything else is refused in one line."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from engine import ranges


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("+7", 7), ("9", 9)])
def test_whole_numbers_are_read(text: str, number: int) -> None:
    assert ranges.whole(0, 9)(text) == number


@pytest.mark.parametrize("text", ["-1", "10", "1.5", "", "+-5", "1_0", "²", "nan", "9" * 5000])
def test_what_is_no_whole_number_in_the_range_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"is no whole number from 0 to 9$") as refused:
        ranges.whole(0, 9)(text)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize("text", ["-0.1", "1.1", "", "nan", "inf", "a second"])
def test_what_is_no_number_in_the_range_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"is no number of seconds from 0 to 1$"):
        ranges.number(0.0, 1.0, "seconds")(text)
    assert ranges.part("0") == 0.0 and ranges.part("1e0") == 1.0
