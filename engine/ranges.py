"""Options that are numbers in a range, for argparse: what is not is refused in one line."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number from `least` to `most`."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r:.40} is no whole number from {least} to {most}"
            )
        return number

    return read


def number(least: float, most: float, unit: str = "") -> Callable[[str], float]:
    """Reads a number from `least` to `most`, of a unit that is named where it is not."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            kind = f"number of {unit}" if unit else "number"
            raise argparse.ArgumentTypeError(
                f"{text!r:.40} is no {kind} from {least:g} to {most:g}"
            )
        return value

    return read


count = whole(1, 1000)
part = number(0.0, 1.0)
seconds = number(0.001, 1e6, "seconds")
"""For what has no bounds of its own."""
