"""Reading JSON that people wrote by hand: each wrong field is named, unknown ones are noted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import UsageError
from engine.rig.orders import Value

_NONE: Any = object()


class Sheet:
    """The fields of one object; `place` says where it stands. Remembers what was asked for."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            raise UsageError(f"{place} is {value!r:.60}, it takes an object")
        self.place = place
        self._values: Mapping[str, Any] = value
        self._known: set[str] = set()
        self._inner: list[Sheet] = []

    def has(self, key: str) -> bool:
        """True if the field is there and not null."""
        self._known.add(key)
        return self._values.get(key) is not None

    def names(self) -> list[str]:
        """All names in it; none of them is unknown then."""
        self._known.update(self._values)
        return list(self._values)

    def text(self, key: str, usual: str = _NONE) -> str:
        """A text that is not empty."""
        value = self._value(key, usual)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, "a text")
        return value

    def choice(self, key: str, choices: tuple[str, ...], usual: str = _NONE) -> str:
        """One of some texts."""
        value = self._value(key, usual)
        if value not in choices:
            raise self._wrong(key, "one of " + ", ".join(choices))
        return str(value)

    def whole(self, key: str, least: int, most: int, usual: int = _NONE) -> int:
        """A whole number."""
        value = self._value(key, usual)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key, f"a whole number {least} … {most}")
        return value

    def number(self, key: str, least: float, most: float, usual: float = _NONE) -> float:
        """A number."""
        value = self._value(key, usual)
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not math.isfinite(value) or not least <= value <= most:
            raise self._wrong(key, f"a number {least:g} … {most:g}")
        return float(value)

    def value(self, key: str) -> Value:
        """What a control may be set to; its range is the control's to check."""
        value = self._value(key, None)
        if value is None or isinstance(value, str):
            return value
        return self.number(key, -1e12, 1e12) if not isinstance(value, bool) else float(value)

    def inner(self, key: str, usual: object = _NONE) -> Sheet:
        """An object inside this one."""
        return self._note(Sheet(self._value(key, usual), f"{self.place}.{key}"))

    def each(self, key: str) -> Iterator[Sheet]:
        """The objects of a list; none where it is missing."""
        items = self._value(key, [])
        if not isinstance(items, list):
            raise self._wrong(key, "a list")
        for number, item in enumerate(items):
            yield self._note(Sheet(item, f"{self.place}.{key}[{number}]"))

    def unknown(self) -> list[str]:
        """A line for every field, here and inside, that nobody asked for."""
        here = [f"{self.place}.{key} is not known: ignored" for key in self._values
                if key not in self._known]  # fmt: skip
        return here + [line for inner in self._inner for line in inner.unknown()]

    def _note(self, inner: Sheet) -> Sheet:
        self._inner.append(inner)
        return inner

    def _value(self, key: str, usual: Any) -> Any:
        self._known.add(key)
        value = self._values.get(key)
        if value is None and usual is not _NONE:
            return usual
        return value

    def _wrong(self, key: str, expected: str) -> UsageError:
        found = f"{self._values[key]!r:.60}" if key in self._values else "missing"
        return UsageError(f"{self.place}.{key} is {found}, it takes {expected}")
