"""Saving and restoring musical states beside the music.

Reading and writing files is done by a thread of its own. A state is copied, and put back, by the
thread that keeps the ring filled, between two ticks: a few milliseconds, and no disk.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.memory import Memory, Words, check, recall, remember
from engine.rig.states import States

WAIT_S = 20.0
"""A tick that takes longer than this is stuck."""

MOST_WAITING = 8

Errand = Callable[[Generator], bool]
"""Done between two ticks with the generator; True where the music goes on from elsewhere."""

Tell = Callable[[str, str], None]
"""Takes a path of OSC and a line for people."""

log = logging.getLogger(__name__)


class Memories:
    """The states of one stream. `between_ticks` is set by whoever plays."""

    def __init__(self, states: States, generator: Generator, controls: Controls) -> None:
        """`generator` is one like that which plays: what fits into it fits into the stream."""
        self.states = states
        self.between_ticks: Callable[[Errand], None] | None = None
        self.recalled: Callable[[Generator, Memory], Generator] = lambda generator, _: generator
        """Told of a recall before it happens; gives the generator that the state is put into."""
        self._like = generator
        self._controls = controls
        self._jobs: queue.Queue[tuple[Callable[[], None], Tell] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="perpetuo-memories", daemon=True)
        self._thread.start()

    # ---- these wait -------------------------------------------------------------------------

    def save(self, name: str, words: Words | None) -> Path:
        """Keep what plays; `words` are its prompts. UsageError says why that is impossible."""
        self.states.path(name)
        found: list[Memory] = []
        done = threading.Event()

        def errand(generator: Generator) -> bool:
            found.append(remember(generator, self._controls.snapshot(), words))
            done.set()
            return False

        self._ask(errand)
        if not done.wait(WAIT_S):
            raise UsageError(f"state {name} is not saved: no tick has ended for {WAIT_S:g} s")
        return self.states.save(name, found[0])

    def load(self, name: str) -> Memory:
        """What was kept, known to fit; UsageError in one line where it does not."""
        memory = self.states.load(name)
        check(memory, self._like)
        return memory

    # ---- these do not -----------------------------------------------------------------------

    def recall(self, memory: Memory, failed: Callable[[UsageError], None]) -> None:
        """Go on from there with the next block that is made."""

        def errand(generator: Generator) -> bool:
            try:
                recall(memory, self.recalled(generator, memory), self._controls)
            except UsageError as error:
                failed(error)
                return False
            return True

        self._ask(errand)

    def begin_save(self, name: str, words: Words | None, tell: Tell) -> None:
        """Keep what plays, as soon as a tick has ended; the outcome is told."""

        def job() -> None:
            tell("/note", f"state {name} is saved in {self.save(name, words)}")

        self._later(job, tell)

    def begin_load(self, name: str, then: Callable[[Memory], None], tell: Tell) -> None:
        """Read a state and hand it over; what is wrong with it is told."""
        self._later(lambda: then(self.load(name)), tell)

    def _later(self, job: Callable[[], None], tell: Tell) -> None:
        try:
            self._jobs.put_nowait((job, tell))
        except queue.Full:
            raise UsageError(f"{MOST_WAITING} states are being saved or read: wait") from None

    def close(self) -> None:
        """End the thread behind what it was asked for."""
        self._jobs.put(None)
        self._thread.join()

    def _ask(self, errand: Errand) -> None:
        if self.between_ticks is None:
            raise UsageError("nothing plays yet")
        self.between_ticks(errand)

    def _run(self) -> None:
        while (found := self._jobs.get()) is not None:
            job, tell = found
            try:
                job()
            except UsageError as error:
                tell("/error", str(error))
            except Exception:  # whatever breaks here must not end the thread
                log.exception("a musical state was neither saved nor restored")
