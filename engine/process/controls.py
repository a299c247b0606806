"""The controls of a stream for several processes: newest value wins, whoever sets it.

The values lie on a board that outlives engine and feed. A change takes the board's lock, which the
system lets go of when a process dies; so hands work while there is no engine, and a new engine goes
on with what was set.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.controls import Controls, ControlSnapshot
from engine.errors import ControlError
from engine.process.house import House
from engine.session import Floats
from engine.spec import ControlSpec

PATIENCE_S = 0.5
LOOK_S = 0.0005


class SharedControls(Controls):
    """Controls on the house's board."""

    def __init__(
        self, specs: Iterable[ControlSpec], house: House, start: ControlSnapshot | None = None,
        embedding: int | None = None,
    ) -> None:  # fmt: skip
        """Go on with what the board holds; `start` is put there if it is empty.

        `embedding` is the length of this bundle's prompts; those of another bundle are left out.
        """
        super().__init__(specs)
        self._embedding = embedding
        self._board = house.controls
        self._file = house.memory.fd
        self._defaults = self._snapshot
        self._seen = 0
        self._looking = threading.Lock()
        with self._alone():
            if not self._board.count:
                self._snapshot = start or self._snapshot

    def snapshot(self) -> ControlSnapshot:
        """The present values; never changes afterwards."""
        if self._board.count != self._seen:
            with self._looking:
                self._look()
        return self._snapshot

    def update(self, values: Mapping[str, float | str | None]) -> int:
        """As Controls.update, between all processes."""
        with self._alone():
            return super().update(values)

    def set_prompt(self, embedding: Floats | None) -> int:
        """As Controls.set_prompt, between all processes."""
        with self._alone():
            return super().set_prompt(embedding)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Change `_snapshot` while no other process and no other thread does."""
        with self._looking, _locked(self._file):
            self._look()
            before = self._snapshot
            yield
            if self._snapshot is not before or not self._board.count:
                self._board.publish(_written(self._snapshot))
                self._seen = self._board.count

    def _look(self) -> None:
        if self._seen != (count := self._board.count):
            self._snapshot = self._read(self._board.read())
            self._seen = count

    def _read(self, said: Mapping[str, Any]) -> ControlSnapshot:
        """What a board says, in the controls of this bundle; what it does not have is left out."""
        values = dict(self._defaults.values)
        for name in values.keys() & said["values"].keys():
            try:
                values[name] = self._checked(name, said["values"][name])
            except ControlError:  # of another bundle, whose range is another
                continue
        prompt = _place(said["prompt"])
        if prompt is not None and self._embedding not in (None, prompt.shape[0]):
            prompt = None
        return ControlSnapshot(said["revision"], MappingProxyType(values), prompt)


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the lock of a file; ControlError if another process keeps it."""
    give_up_s = monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if monotonic() > give_up_s:
                raise ControlError("the controls are held by a process that stands still") from None
            sleep(LOOK_S)
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def _written(now: ControlSnapshot) -> dict[str, object]:
    prompt = None if now.prompt is None else now.prompt.tolist()
    return {"revision": now.revision, "values": dict(now.values), "prompt": prompt}


def _place(said: list[float] | None) -> Floats | None:
    if said is None:
        return None
    place = np.asarray(said, np.float32)
    place.setflags(write=False)
    return place
