"""Reading JSON objects with distrust: every wrong field is named by its place in the manifest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from engine.errors import BundleError

T = TypeVar("T")


class Fields:
    """The fields of one JSON object; `place` says where it stands, for the error."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            raise BundleError(f"{place} is {_short(value)}, expected an object")
        self.values: Mapping[str, Any] = value
        self.place = place

    def has(self, key: str) -> bool:
        """True if the field is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, choices: tuple[str, ...] = ()) -> str:
        """A text, one of `choices` if there are any."""
        value = self._of(key, str)
        if choices and value not in choices:
            raise self._wrong(key, value, "one of " + ", ".join(choices))
        return value

    def whole(self, key: str, minimum: int = 1) -> int:
        """A whole number of at least `minimum`."""
        value = self._of(key, int)
        if isinstance(value, bool) or value < minimum:
            raise self._wrong(key, value, f"a whole number from {minimum} up")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        if not math.isfinite(value):
            raise self._wrong(key, value, "a finite number")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        return self._of(key, bool) if self.has(key) else False

    def items(self, key: str) -> list[Any]:
        """A list."""
        return self._of(key, list)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(key, values, "a list of texts")
        return tuple(values)

    def wholes(self, key: str, minimum: int = 1) -> tuple[int, ...]:
        """A list of whole numbers of at least `minimum`."""
        values = self.items(key)
        if any(type(value) is not int or value < minimum for value in values):
            raise self._wrong(key, values, f"a list of whole numbers from {minimum} up")
        return tuple(values)

    def inner(self, key: str) -> Fields:
        """An object inside this one."""
        return Fields(self.values.get(key), f"{self.place}.{key}")

    def each(self, key: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """What `read` makes of every object of a list."""
        items = enumerate(self.items(key))
        return tuple(read(Fields(item, f"{self.place}.{key}[{i}]")) for i, item in items)

    def by_name(self, read: Callable[[Fields], T]) -> dict[str, T]:
        """What `read` makes of every field, each an object, by name."""
        return {key: read(self.inner(key)) for key in self.values}

    def _of(self, key: str, kind: type[T]) -> T:
        value = self.values.get(key)
        if not isinstance(value, kind):
            raise self._wrong(key, value, f"a {kind.__name__}")
        return value

    def _wrong(self, key: str, value: object, expected: str) -> BundleError:
        found = _short(value) if key in self.values else "missing"
        return BundleError(f"{self.place}.{key} is {found}, expected {expected}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
