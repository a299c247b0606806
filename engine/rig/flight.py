"""The flight log: from it a session plays again, sample for sample, on the same backend.

A file of JSON lines. The first says what was played, and how; then come, in the order in which they
happened:

    {"set": 7, "at": 40960, "heard": 26400, "values": {"bpm": 90.0}, "prompt": [0.1, …]}
    {"tick": 12, "revision": 7, "steps": 10, "first": "", "worker": 0}
    {"recall": "verse.state.npz", "print": "5f0c…", "worker": 0}
    {"block": 12, "at": 40960, "cover": false, "revision": 7}

`set` is a revision of the controls: what changed (the prompt as its place), behind which sample the
music was made then (`at`), and which was played (`heard`). `tick` is a tick that a worker began,
after what it did `first` ("recover", "forget" or nothing). `recall` puts a musical state into its
generator between two ticks. `block` is what was put into the ring.
Lines are written by a thread of their own.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from engine.controls import Controls, ControlSnapshot
from engine.errors import UsageError
from engine.generator import Block, Generator
from engine.memory import Memory
from engine.session import Floats
from engine.spec import ControlSpec
from engine.window import Plan

FORMAT = 1

log = logging.getLogger(__name__)


class FlightLog:
    """Takes lines from any thread. A disk that fails ends the log, never the music."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        """UsageError if the file is there already or cannot be written."""
        self.path = path
        self.trouble = ""
        self.made = 0
        """First sample of the block that comes next."""
        self.heard: Callable[[], int] = lambda: 0
        """Samples played; set by whoever plays."""
        self._workers = 0
        self._known: ControlSnapshot | None = None
        try:
            self._file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"flight log {path} cannot be begun: {error.strerror}") from None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._put({"flight": FORMAT, **header})
        self._thread = threading.Thread(target=self._run, name="perpetuo-flight-log", daemon=True)
        self._thread.start()

    def changed(self, now: ControlSnapshot) -> None:
        """The controls have a new revision."""
        before = self._known
        self._known = now
        values = {name: value for name, value in now.values.items()
                  if before is None or before.values.get(name) != value}  # fmt: skip
        line: dict[str, Any] = {
            "set": now.revision, "at": self.made, "heard": self.heard(), "values": values,
        }  # fmt: skip
        if (before.prompt if before else None) is not now.prompt:
            line["prompt"] = None if now.prompt is None else now.prompt.tolist()
        self._put(line)

    def tick(self, index: int, revision: int, steps: int | None, first: str, worker: int) -> None:
        """A worker begins a tick."""
        self._put({"tick": index, "revision": revision, "steps": steps, "first": first,
                   "worker": worker})  # fmt: skip

    def resumed(self, worker: int, next_index: int) -> None:
        """A new worker goes on behind the last good blocks."""
        self._put({"resume": next_index, "worker": worker})

    def recalled(self, generator: Generator, memory: Memory) -> Generator:
        """A state is put into a watched generator: the generator itself, to do that."""
        watched = cast(_Watched, generator)
        self._put({"recall": memory.source, "print": memory.print, "worker": watched.worker})
        return watched.generator

    def block(self, block: Block) -> None:
        """A block was put into the ring; made to be called by the runner's `on_block`."""
        self._put(
            {
                "block": block.index,
                "at": block.position_samples,
                "cover": block.cover,
                "revision": block.control_revision,
                "samples": block.audio.shape[0],
            }
        )
        self.made = block.position_samples + block.audio.shape[0]

    def watched(self, generator: Generator) -> Generator:
        """The generator, telling this log of every tick; each is another worker's."""
        worker, self._workers = self._workers, self._workers + 1
        return cast(Generator, _Watched(generator, self, worker))

    def close(self) -> None:
        """Write what is left."""
        self._lines.put(None)
        self._thread.join()

    def _put(self, line: dict[str, Any]) -> None:
        if not self.trouble:
            self._lines.put(json.dumps(line, separators=(",", ":")))

    def _run(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                self._file.write(line + "\n")
                if self._lines.empty():
                    self._file.flush()
            self._file.close()
        except OSError as error:
            self.trouble = f"flight log {self.path} ends early: {error.strerror}"
            log.error(self.trouble)


class _Watched:
    """Stands before a generator; everything but what changes the music goes straight to it."""

    def __init__(self, generator: Generator, flight: FlightLog, worker: int) -> None:
        self.generator = generator
        self.worker = worker
        self._flight = flight
        self._first = ""
        self._ticks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)

    def tick(self, controls: ControlSnapshot, steps: int | None = None) -> Block:
        self._flight.tick(self._ticks, controls.revision, steps, self._first, self.worker)
        self._ticks += 1
        self._first = ""
        return self.generator.tick(controls, steps)

    def recover(self) -> None:
        self._first = "recover"
        self.generator.recover()

    def forget(self) -> None:
        self._first = "forget"
        self.generator.forget()

    def resume(self, latents: Floats, next_index: int, plans: Iterable[Plan] = ()) -> None:
        self._flight.resumed(self.worker, next_index)
        self.generator.resume(latents, next_index, list(plans))


class NotedControls(Controls):
    """Controls that tell of every revision, in order and before it can be taken up twice."""

    def __init__(
        self, specs: Iterable[ControlSpec], start: ControlSnapshot,
        note: Callable[[ControlSnapshot], None],
    ) -> None:  # fmt: skip
        """They go on from `start`."""
        super().__init__(specs)
        self._snapshot = start
        self._note = note
        self._order = threading.Lock()
        note(start)

    def update(self, values: Any) -> int:
        """As Controls.update."""
        with self._order:
            return self._noted(super().update(values))

    def set_prompt(self, embedding: Floats | None) -> int:
        """As Controls.set_prompt."""
        with self._order:
            return self._noted(super().set_prompt(embedding))

    def _noted(self, revision: int) -> int:
        self._note(self.snapshot())
        return revision


def take_print(take: Floats) -> str:
    """A finger-print of a take, "" for none."""
    from hashlib import sha256

    samples = np.ascontiguousarray(take, np.float32)
    return sha256(samples.tobytes()).hexdigest() if samples.size else ""


def header_of(
    generator: Generator, backend: str, start: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The first line's fields: everything the replay makes its generator from."""
    manifest = generator.bundle.manifest
    ladder = generator.ladder
    return {
        "bundle": {"name": manifest.name, "version": manifest.version,
                   "hash": generator.bundle.hash},
        "backend": backend,
        "seed": generator.seed,
        "chunk_frames": generator.chunk_frames,
        "ladder": [ladder.steps, ladder.depth, list(ladder.fallback_steps)],
        "audio": {"sample_rate_hz": manifest.audio.sample_rate_hz,
                  "channels": manifest.audio.channels},
        **(start or {}),
    }  # fmt: skip
