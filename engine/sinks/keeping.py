"""Musical states saved and restored by listeners: one after the other, beside the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from engine.errors import UsageError
from engine.wire.actions import KeepState, Send, refuse

MOST_WAITING = 8

log = logging.getLogger(__name__)

Reply = Callable[[Send], None]


class Keeper(Protocol):
    """What keeps states; `engine.rig.keeper.Keeper` is one. Both wait for disks."""

    def save(self, name: str) -> int:
        """Keep what plays now; where in the music that was. UsageError says why it cannot be."""
        ...

    def restore(self, name: str) -> int:
        """Go on from there soon; the sample of the music where it begins."""
        ...


class Keeping:
    """Takes what listeners ask for to the keeper."""

    def __init__(self, keeper: Keeper | None) -> None:
        """None: nothing is kept here."""
        self._keeper = keeper
        self._waiting: list[tuple[KeepState, Reply, Callable[[int], Send]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def able(self) -> bool:
        """True where states are kept."""
        return self._keeper is not None

    def ask(self, wanted: KeepState, reply: Reply, done: Callable[[int], Send]) -> None:
        """Do it soon; `done` makes the answer from the sample of the music where it counts.

        `reply` is called exactly once, unless this is closed before.
        """
        if len(self._waiting) >= MOST_WAITING:
            reply(refuse(wanted, f"{MOST_WAITING} states wait already; ask again", "rate_limited"))
            return
        self._waiting.append((wanted, reply, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while self._waiting:
            wanted, reply, done = self._waiting.pop(0)
            try:
                sample = await asyncio.to_thread(self._do, wanted)
            except UsageError as error:
                reply(refuse(wanted, str(error)))
            except Exception:  # whatever breaks there must not stop the feed
                log.exception("a state could not be kept")
                reply(refuse(wanted, "that broke something here; the music plays on", "failed"))
            else:
                reply(done(sample))

    def _do(self, wanted: KeepState) -> int:
        assert self._keeper is not None
        keep = self._keeper.save if wanted.deed == "save" else self._keeper.restore
        return keep(wanted.state)
