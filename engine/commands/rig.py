"""The performer's rig around a stream: `serve` and `play` with it, `render --replay` after it."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from tqdm import tqdm

from engine.bundle import Bundle
from engine.commands import say
from engine.commands.screen import check_screen, show
from engine.commands.stream import Stream, open_stream
from engine.errors import UsageError
from engine.generator import Block
from engine.prompts import Prompt
from engine.rig.desk import Desk
from engine.rig.flight import FlightLog, NotedControls, header_of, take_print
from engine.rig.glance import Glance
from engine.rig.keeper import Keeper
from engine.rig.memories import Memories
from engine.rig.orders import Order, Words
from engine.rig.ports import Announcement, MidiPort, OscPort
from engine.rig.recorder import Recorder
from engine.rig.replay import check_flight, read_flight
from engine.rig.replay import replay as blocks_of
from engine.rig.shell import Around, Rig
from engine.rig.show import Show, load_show
from engine.rig.states import States
from engine.runner import Runner
from engine.session import Floats
from engine.sinks.file import FileSink
from engine.sinks.prompting import Prompting, as_asked
from engine.wire.messages import AskedPrompt

BAR = "{percentage:3.0f}% |{bar:30}| {n:.1f} of {total:.1f} s of music, {remaining} left"


class Rigging:
    """A rig and all its ports, around a stream that is about to play.

        with Rigging(given, stream) as rigging:
            stream = rigging.stream           # its generator and controls are the logged ones
            runner = Runner(…, on_block=rigging.note)
            rigging.start(runner)             # and rigging.heard(audio) with all that is sent

    What cannot be opened is a PerpetuoError of one line, and then nothing stays open.
    """

    def __init__(self, given: Namespace, stream: Stream) -> None:
        manifest = stream.bundle.manifest
        show, notes = load_show(given.show) if given.show else (Show(), [])
        for note in notes:
            say(note)
        if getattr(given, "again", False):  # it began anew; its time and bars do, too
            show = show.only_called()
        self.flight: FlightLog | None = None
        self.stream = stream
        self._folder, self._record = _recording(given.record)
        if given.screen:
            check_screen()
        self._ahead = (stream.generator.ladder.depth - 1) * stream.generator.chunk_samples
        self._open = ExitStack()
        self.recorder = Recorder(manifest.audio)
        with ExitStack() as opened:
            if given.flight:
                self._log_flight(given, opened)
            self.memories = self._keep_states(given.states, opened)
            rate_hz = manifest.audio.sample_rate_hz
            self.desk = Desk(
                self.stream.controls, rate_hz, show=show, show_path=given.show,
                embed=_embed(self.stream), memories=self.memories,
            )  # fmt: skip
            osc = OscPort(given.osc_host, given.osc) if given.osc is not None else None
            self._know_prompts(as_asked(self.stream.prompted), self.desk.controls.snapshot().prompt)
            self.keeper = None if self.memories is None else Keeper(self.memories, self.desk)
            self.glance = Glance(self.desk, _title(self.stream.bundle), rate_hz)
            self.rig = Rig(
                self.desk, rate_hz, osc=osc, recorder=self.recorder,
                say=self.glance.tell if given.screen else say,
            )  # fmt: skip
            self.rig.told = self.glance.tale
            opened.callback(self.rig.stop)
            if osc is not None:
                say(f"perpetuo hears OSC on {osc.host}:{osc.port}")
                if given.announce:
                    opened.callback(Announcement(osc.host, osc.port).close)
            if given.midi:
                midi = MidiPort(given.midi, self.rig.midi)
                opened.callback(midi.close)
                say(f"perpetuo hears MIDI from {midi.name}")
            if given.link:
                from engine.rig.link import LinkPort

                opened.callback(LinkPort(self.rig.ask).close)
            self._open = opened.pop_all()

    def note(self, block: Block) -> None:
        """A block was put into the ring; for the runner's `on_block`."""
        if self.flight is not None:
            self.flight.block(block)
        self.glance.note(block)
        self.desk.made(block.position_samples + block.audio.shape[0] + self._ahead)

    def share(self, prompting: Prompting) -> None:
        """Prompts of the rig show on the page, and those of the page here; in the feed's loop."""
        loop = asyncio.get_running_loop()

        def told(prompts: tuple[Words, ...]) -> None:
            asked = tuple(AskedPrompt(one.text, None, one.weight) for one in prompts)
            with suppress(RuntimeError):  # the feed has ended
                loop.call_soon_threadsafe(prompting.told, asked)

        self.desk.prompted = told
        prompting.heard = self._know_prompts

    def _know_prompts(self, asked: tuple[AskedPrompt, ...], place: Floats | None) -> None:
        words = tuple(Words(one.text, one.weight) for one in asked if one.text is not None)
        if len(words) == len(asked):  # recordings are known to the feed only
            self.desk.heard_prompts(words, place)

    def heard(self, audio: Floats) -> None:
        """Audio float32[samples, channels] that was sent, hands and all: it is recorded."""
        self.recorder.take(audio)

    def start(self, runner: Runner) -> None:
        """Begin, beside a runner that has begun."""
        ring = runner.ring
        if self.memories is not None:
            self.memories.between_ticks = runner.between_ticks
        if self.flight is not None:
            self.flight.heard = lambda: ring.read_samples
        if self._record is not None:
            self.recorder.start(self._record)
        around = Around(
            lambda: ring.read_samples, runner.status, lambda: ring.shortfalls, self._folder
        )
        self._look_at(runner, around)
        self.rig.start(around)

    def tell(self, line: str) -> None:
        """A line for the screen."""
        self.glance.tell(line)

    def show(self, device: Callable[[], str], over: Callable[[], bool]) -> None:
        """The performer's screen, in this thread, until it is left."""
        self.glance.device = device
        show(self.glance, self.rig.ask, over)

    def ask(self, order: Order) -> None:
        """Have an order carried out, from any thread."""
        self.rig.ask(order)

    def _look_at(self, runner: Runner, around: Around) -> None:
        glance, ring = self.glance, runner.ring
        glance.music, glance.played = runner.status, around.played
        glance.underruns = around.underruns
        glance.ring_s = ring.capacity_samples / self.stream.bundle.manifest.audio.sample_rate_hz
        glance.recording = lambda: str(self.recorder.path or "") if self.recorder.recording else ""
        if self.memories is not None:
            glance.states = self.memories.states.names

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything; a recording and a log are whole then."""
        self._open.close()

    def _keep_states(self, folder: Path | None, opened: ExitStack) -> Memories | None:
        if folder is None:
            return None
        stream = self.stream
        memories = Memories(States(folder), stream.generator, stream.controls)
        opened.callback(memories.close)
        if self.flight is not None:
            memories.recalled = self.flight.recalled
        return memories

    def _log_flight(self, given: Namespace, opened: ExitStack) -> None:
        stream = self.stream
        start = {"take": take_print(stream.take), "state": stream.state, "threads": given.threads}
        flight = FlightLog(given.flight, header_of(stream.generator, stream.backend, start))
        opened.callback(flight.close)
        spare = stream.spare
        self.flight = flight
        self.stream = replace(
            stream,
            generator=flight.watched(stream.generator),
            controls=NotedControls(
                stream.controls.specs.values(), stream.controls.snapshot(), flight.changed
            ),
            spare=lambda: flight.watched(spare()),
        )


def replay(given: Namespace) -> int:
    """`perpetuo render --replay LOG`: the music of a session again, to a file."""
    flight = read_flight(given.replay)
    for note in flight.notes:
        say(note)
    header, ladder = flight.header, flight.ladder
    given.seed, given.chunk = header["seed"], header["chunk_frames"]
    given.steps, given.depth = ladder.steps, ladder.depth
    given.threads = header.get("threads", given.threads)
    given.backend = header["backend"] if given.backend == "auto" else given.backend
    stream = open_stream(given)
    check_flight(
        flight, bundle_hash=stream.bundle.hash, backend=stream.backend,
        take=take_print(stream.take), state=stream.state,
    )  # fmt: skip
    audio = stream.bundle.manifest.audio
    music_s, began_s = flight.samples / audio.sample_rate_hz, monotonic()
    with (
        FileSink(given.output, audio) as sink,
        tqdm(total=music_s, bar_format=BAR, disable=None, leave=False, file=sys.stderr) as bar,
    ):
        for block in blocks_of(flight, stream.generator, stream.spare):
            sink.write(block.audio)
            bar.update(block.audio.shape[0] / audio.sample_rate_hz)
        music_s = sink.written_samples / audio.sample_rate_hz
    took_s = monotonic() - began_s
    print(f"{given.output}: {music_s:.1f} s of music played again in {took_s:.1f} s")
    return 0


def _title(bundle: Bundle) -> str:
    manifest = bundle.manifest
    sides = {1: "mono", 2: "stereo"}.get(manifest.audio.channels, f"{manifest.audio.channels} ch")
    rate = f"{manifest.audio.sample_rate_hz / 1000:g} kHz {sides}"
    return f" perpetuo · {manifest.name} {manifest.version} · {rate}"


def _embed(stream: Stream) -> Callable[[Sequence[Prompt]], Floats | None] | None:
    return None if stream.prompts is None else stream.prompts.embed


def _recording(place: Path | None) -> tuple[Path, Path | None]:
    """The folder of recordings, and the file to begin with."""
    if place is None:
        return Path(), None
    if place.suffix.lower() == ".flac":
        return place.parent, place
    if not place.is_dir():
        raise UsageError(f"--record {place}: a name that ends in .flac, or a folder, is needed")
    return place, None
