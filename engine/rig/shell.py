"""The rig at work: one thread that looks at the ports, the clock and the ring 200 times a second.

MIDI comes in a thread of its driver's and is read at once, so that a clock is measured when it
ticks; its orders are carried out by the rig's thread like all others.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any

from engine.errors import UsageError
from engine.rig.desk import Desk
from engine.rig.feedback import Feedback
from engine.rig.midi import MidiReader
from engine.rig.orders import Learn, Order, Ping, Record, Subscribe, Tell
from engine.rig.osc import OscReader, encode
from engine.rig.ports import OscPort
from engine.rig.recorder import Recorder, fresh_name
from engine.status import RunnerStatus

LOOK_S = 0.005
METER_S = 0.25
FLOOD_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Around:
    """What the rig has around it: the samples played, the meters, a place for recordings."""

    played: Callable[[], int]
    meters: Callable[[], RunnerStatus]
    underruns: Callable[[], int]
    folder: Path = Path()


class Rig:
    """Carries what comes in to the desk, and what the desk tells to whoever listens."""

    def __init__(
        self, desk: Desk, sample_rate_hz: int, *, osc: OscPort | None = None,
        recorder: Recorder | None = None, say: Callable[[str], None] = log.info,
    ) -> None:  # fmt: skip
        """`say` is given every line for people."""
        specs, show = desk.controls.specs, desk.show
        self.desk = desk
        self._rate_hz = sample_rate_hz
        self._osc = osc
        self._recorder = recorder
        self._say = say
        self._own = {cue.osc: cue.name for cue in show.cues if cue.osc}
        self._reader = OscReader(specs, lambda: self._own)
        self._midi = MidiReader(specs, show.knobs, list(show.scenes), show.cues)
        self._asked: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self.told: Callable[..., None] = lambda *_: None
        """Given all that the desk tells: path and arguments."""
        self._feedback = Feedback(specs)
        self._around: Around | None = None
        self._meters_due_s = self._flood_due_s = 0.0
        self._dropped = 0
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perpetuo-rig", daemon=True)

    def start(self, around: Around) -> None:
        """Begin to look."""
        self._around = around
        self._thread.start()

    def stop(self) -> None:
        """End the thread, complete a recording and free the port."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._recorder is not None:
            self._recorder.stop()
        if self._osc is not None:
            self._osc.close()

    def midi(self, message: Any) -> None:
        """A message of mido's, from any one thread."""
        for order in self._midi.read(message, self.desk.controls.snapshot().values, monotonic()):
            self._asked.put(order)

    def ask(self, order: Order) -> None:
        """Have an order carried out by the rig's thread, at once; from any thread."""
        self._asked.put(order)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self._look()
            except Exception:  # whatever breaks here must not end the rig
                log.exception("the rig stumbled")

    def _look(self) -> None:
        assert self._around is not None
        now_s = monotonic()
        self._hear_osc(now_s)
        while not self._asked.empty():
            self._do(self._asked.get(), "")
        self.desk.played(self._around.played(), now_s)
        self._tell(now_s)

    def _hear_osc(self, now_s: float) -> None:
        if self._osc is None:
            return
        for datagram, sender in self._osc.drain():
            for due_s, order in self._reader.read(datagram, now_s, time()):
                if due_s > now_s:
                    self.desk.later(due_s, order)
                else:
                    self._do(order, sender)

    def _do(self, order: Order, sender: str) -> None:
        """Orders for the rig itself; all others are the desk's."""
        match order:
            case Learn(control):
                self._midi.learn(control)
            case Record(on):
                self._record(on)
            case Subscribe(port):
                self._subscribe(sender, port)
            case Ping():
                self._send("/pong")
            case _:
                self.desk.take(order)
                self._midi.scenes = list(self.desk.show.scenes)

    def _subscribe(self, sender: str, port: int) -> None:
        if self._osc is None or not sender:
            return
        if self._osc.subscribe(sender, port):
            self._feedback.forget()
            if self._recorder is not None:
                self._send("/record", int(self._recorder.recording))
        else:
            self.desk.take(Tell(f"{sender}: no place for another subscriber"))

    def _record(self, on: bool) -> None:
        assert self._around is not None
        if self._recorder is None:
            return
        if not on:
            self._recorder.stop()
        elif not self._recorder.recording:
            try:
                self._recorder.start(fresh_name(self._around.folder))
            except UsageError as error:
                self.desk.take(Tell(str(error)))
        self._send("/record", int(self._recorder.recording))
        if self._recorder.path is not None:
            self._send("/note", str(self._recorder.path))

    # ---- telling ------------------------------------------------------------------------------

    def _tell(self, now_s: float) -> None:
        for path, *arguments in self.desk.tales():
            self._send(str(path), *arguments)
            self.told(path, *arguments)
            self._feedback.told(str(path), *arguments)
            if path in ("/error", "/note"):
                self._say(str(arguments[0]))
        self._tell_trouble(now_s)
        if self._osc is None or not self._osc.subscribers:
            return
        for path, value in self._feedback.changes(self.desk.controls.snapshot()):
            self._send(path, value)
        if now_s >= self._meters_due_s:
            self._meters_due_s = now_s + METER_S
            self._tell_meters()

    def _tell_trouble(self, now_s: float) -> None:
        """A recording that ended by itself, and a flood, once a second."""
        if self._recorder is not None and self._recorder.trouble != self._trouble:
            self._trouble = self._recorder.trouble
            if self._trouble:
                self.desk.take(Tell(self._trouble))
        if self._osc is not None and self._osc.intake.dropped > self._dropped:
            if now_s < self._flood_due_s:
                return
            lost = self._osc.intake.dropped - self._dropped
            self._flood_due_s, self._dropped = now_s + FLOOD_S, self._osc.intake.dropped
            self.desk.take(Tell(f"rate_limited: {lost} OSC messages too many were dropped"))

    def _tell_meters(self) -> None:
        assert self._around is not None
        status = self._around.meters()
        load = status.last_tick_s / status.budget_s if status.budget_s else 0.0
        self._send("/meter/fill_ms", 1000.0 * status.fill_samples / self._rate_hz)
        self._send("/meter/load", load)
        self._send("/meter/underruns", self._around.underruns())

    def _send(self, path: str, *arguments: float | int | str) -> None:
        if self._osc is not None and self._osc.subscribers:
            self._osc.tell(encode(path, *arguments))
