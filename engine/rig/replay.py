"""A flight log played again: the same ticks with the same controls, the same covers between them.

What a render would make of the same controls is not enough: which chunk a change reached, how many
passes there was time for and where the music was held are facts of the session, so they are read
from its log.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.controls import Controls, ControlSnapshot
from engine.errors import UsageError
from engine.generator import Block, Generator
from engine.memory import recall
from engine.producer import Producer
from engine.rig.flight import FORMAT
from engine.rig.states import load_state
from engine.session import Floats
from engine.spec import LadderSpec
from engine.window import Plan


@dataclass(frozen=True, slots=True)
class Flight:
    """A log that was read; `notes` are lines about what is missing of it."""

    header: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    @property
    def ladder(self) -> LadderSpec:
        """The ladder that was played with."""
        steps, depth, fewer = self.header["ladder"]
        return LadderSpec(steps, depth, tuple(fewer))

    @property
    def samples(self) -> int:
        """Length of what will be replayed, as far as its blocks' places tell; 0 if unknown."""
        places = [line["at"] for line in self.lines if "block" in line]
        return places[-1] + (places[-1] - places[-2]) if len(places) > 1 else 0


def read_flight(path: Path) -> Flight:
    """Read a log; UsageError with the line for what is no log. A torn last line is only noted."""
    try:
        texts = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"flight log {path} cannot be read: {reason}") from None
    lines, notes = [], []
    for number, text in enumerate(texts, 1):
        line = _line(text)
        if line is None and number == len(texts) > 1:
            notes.append(f"{path}: its last line is torn off; the session was killed there")
        elif line is None:
            raise UsageError(f"{path}, line {number}: this is no line of a flight log")
        else:
            lines.append(line)
    if not lines or lines[0].get("flight") != FORMAT:
        raise UsageError(f"{path} is no flight log of format {FORMAT}")
    _check(path, lines)
    return Flight(lines[0], tuple(lines[1:]), tuple(notes))


def check_flight(
    flight: Flight, *, bundle_hash: str, backend: str, take: str, state: str = ""
) -> None:
    """UsageError where this bundle, backend, take or state is not the one that was played."""
    header = flight.header
    played = header["bundle"]
    if played["hash"] != bundle_hash:
        raise UsageError(
            f"the log was played with bundle {played['name']} {played['version']} "
            f"({played['hash'][:12]}…), this is {bundle_hash[:12]}…: name it with --bundle"
        )
    if header["backend"] != backend:
        raise UsageError(
            f"the log was played on {header['backend']}, this is {backend}: other samples would "
            "come out; name it with --backend"
        )
    if header.get("take", "") != take:
        raise UsageError("the log began with another take: name the same one with --from")
    if header.get("state", "") != state:
        raise UsageError("the log began with another state: name the same one with --state")


def replay(flight: Flight, generator: Generator, spare: Callable[[], Generator]) -> Iterator[Block]:
    """The blocks of the session. `generator` is primed as it was; `spare` makes another one.

    UsageError where the music takes another way than the log, which says where.
    """
    return _Replay(flight, generator, spare).blocks()


class _Replay:
    def __init__(
        self, flight: Flight, generator: Generator, spare: Callable[[], Generator]
    ) -> None:
        self._flight = flight
        self._spare = spare
        self._producer = Producer(generator)
        self._workers: dict[int, Generator] = {0: generator}
        self._good: deque[tuple[Floats, Plan]] = deque(
            zip(generator.history(), generator.plans(), strict=True),
            generator.bundle.manifest.context.chunks,
        )
        self._snapshots = _snapshots(flight)
        self._ticks: deque[Mapping[str, Any]] = deque()

    def blocks(self) -> Iterator[Block]:
        for line in self._flight.lines:
            if "tick" in line or "resume" in line or "recall" in line:
                self._ticks.append(line)
            elif "block" in line:
                yield self._block(line)

    def _block(self, line: Mapping[str, Any]) -> Block:
        if line["cover"]:
            return self._producer.hold(self._snapshot(line["revision"]), line.get("samples"))
        made = None
        while self._ticks:  # all but the last were late, broken or failed: nobody heard them
            made = self._tick(self._ticks.popleft())
        block = self._producer.accept(made) if made and made.index == line["block"] else None
        if block is not None:
            self._good.append((block.latents, block.plan))
            return block
        raise UsageError(
            f"the log plays block {line['block']} at sample {line['at']:,}, which does not come "
            "out here: another backend or engine has made it"
        )

    def _tick(self, line: Mapping[str, Any]) -> Block | None:
        """What a tick makes; None where a new worker takes over, or a state is recalled."""
        worker = line["worker"]
        if "recall" in line:
            self._recall(line, self._workers[worker])
            return None
        if "resume" in line:
            self._workers[worker] = self._resumed(line["resume"])
            return None
        if worker not in self._workers:  # there was nothing to go on behind
            self._workers[worker] = self._spare()
        generator = self._workers[worker]
        if line["first"] == "forget":
            self._good.clear()
            generator.forget()
        elif line["first"] == "recover":
            generator.recover()
        return generator.tick(self._snapshot(line["revision"]), line["steps"])

    def _recall(self, line: Mapping[str, Any], generator: Generator) -> None:
        memory = load_state(Path(line["recall"]))
        if memory.print != line["print"]:
            raise UsageError(
                f"{line['recall']} is not the state any more that the log goes on from: another "
                "was saved under its name"
            )
        recall(memory, generator, Controls(generator.bundle.manifest.controls))
        self._good.clear()
        self._good.extend(zip(generator.history(), generator.plans(), strict=True))

    def _resumed(self, next_index: int) -> Generator:
        generator = self._spare()
        latents, plans = zip(*self._good, strict=True)
        generator.resume(np.stack(latents), next_index, plans)
        return generator

    def _snapshot(self, revision: int) -> ControlSnapshot:
        if revision not in self._snapshots:
            raise UsageError(f"the log has no revision {revision} of the controls")
        return self._snapshots[revision]


def _snapshots(flight: Flight) -> dict[int, ControlSnapshot]:
    """All revisions: a tick may have seen one before its line was written."""
    found: dict[int, ControlSnapshot] = {}
    newest = ControlSnapshot(-1, MappingProxyType({}))
    for line in flight.lines:
        if "set" in line:
            newest = _changed(newest, line)
            found[newest.revision] = newest
    return found


def _changed(before: ControlSnapshot, line: Mapping[str, Any]) -> ControlSnapshot:
    prompt = before.prompt
    if "prompt" in line:
        prompt = None if line["prompt"] is None else np.array(line["prompt"], np.float32)
    values = MappingProxyType({**before.values, **line["values"]})
    return ControlSnapshot(line["set"], values, prompt)


def _line(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


NEEDED: tuple[tuple[str, dict[str, type]], ...] = (
    ("flight", {"bundle": dict, "backend": str, "seed": int, "chunk_frames": int, "ladder": list}),
    ("set", {"set": int, "values": dict}),
    ("tick", {"tick": int, "revision": int, "first": str, "worker": int}),
    ("resume", {"resume": int, "worker": int}),
    ("recall", {"recall": str, "print": str, "worker": int}),
    ("block", {"block": int, "at": int, "cover": bool, "revision": int}),
)
"""What a line of each kind holds at least."""


def _check(path: Path, lines: list[Mapping[str, Any]]) -> None:
    for number, line in enumerate(lines, 1):
        for kind, fields in NEEDED:
            if kind in line:
                wrong = [name for name, type_ in fields.items()
                         if not isinstance(line.get(name), type_)]  # fmt: skip
                if wrong:
                    raise UsageError(
                        f"{path}, line {number}: {wrong[0]} is {line.get(wrong[0])!r:.40}"
                    )
