"""The engine of `perpetuo serve` as a process of its own: it fills the ring that the feed empties.

The runner's threads make the music. This process's own thread looks up a hundred times a second:
it shows how things are, gives its sign of life, and hears what the feed asks.
"""

from __future__ import annotations

import os
import resource
import select
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from time import monotonic

from engine.bundle import Bundle
from engine.commands import say
from engine.commands.child import Errand, wait_for_go
from engine.commands.status import EVERY_S, StatusLine, describe
from engine.commands.stream import SWITCH_S, Stream, open_stream
from engine.errors import ControlError, PerpetuoError, TakeError
from engine.generator import Block
from engine.precedence import give_way
from engine.process.controls import SharedControls
from engine.process.house import AREAS, Area, House
from engine.process.memory import Memory
from engine.process.music import Format, Music
from engine.process.pipe import Message, Pipe, answer_of, prompt_of
from engine.process.pulse import Pulse
from engine.runner import Runner
from engine.session import Floats
from engine.sinks.prompting import as_asked

Submit = Callable[[Callable[[], None]], object]

LOOK_S = 0.01
VAIN_S = 30.0
"""After so much cover audio in a row, that nobody asked for, a new process does better. Where a
machine is far too busy, a new worker takes half of that to load, and a new process no less."""

LEAST_TAIL_S = 1.0
MOST_FAILURES = 3
STDIN = 0


def serve_engine(errand: Errand) -> int:
    """Play until SIGTERM, or until the watcher is gone; PerpetuoError where there is no music."""
    sys.setswitchinterval(SWITCH_S)
    _bound_memory(errand.given.memory)
    house = House(Memory(errand.house))
    areas = [Area(Memory(number)) for number in errand.areas]
    if house.engine.value:
        errand.given.take = None  # it goes on from what was played
    stream = load(errand, house)
    if not errand.number:
        house.spare.value = os.getpid()
        errand = replace(errand, number=wait_for_go())
    if house.engine.value:
        follow(stream, areas[house.engine.value % AREAS])
    engine = Engine(errand, house, areas, stream)
    embedding = ThreadPoolExecutor(1, "perpetuo-prompts")
    try:
        engine.play(embedding.submit)
    finally:
        engine.stop()
        embedding.shutdown(wait=False, cancel_futures=True)
    return 0


class Engine:
    """A runner whose ring lies in an area of the shared memory."""

    def __init__(self, errand: Errand, house: House, areas: list[Area], stream: Stream) -> None:
        generator = stream.generator
        self._number = errand.number
        self._house = house
        self._areas = areas
        self._area = area = areas[errand.number % AREAS]
        self._stream = stream
        self._pipe = Pipe(errand.pipes[errand.number % AREAS])
        self._recordings = [one for one in stream.prompted if one.audio is not None]
        self._pipe.read()  # what was meant for another engine
        manifest = stream.bundle.manifest
        self._controls = SharedControls(
            manifest.controls, house, stream.controls.snapshot(),
            manifest.prompting.embedding if manifest.prompting else None,
        )  # fmt: skip
        self.runner = Runner(
            generator, self._controls, ring_s=errand.given.ring, on_block=self._note,
            spare=stream.spare, prompts=stream.prompts, margin_s=errand.given.margin,
        )  # fmt: skip
        audio = manifest.audio
        self._form = Format(audio.sample_rate_hz, audio.channels, self.runner.ring.capacity_samples)
        self._music = Music(area, self._form)
        self._music.begin()
        self.runner.ring = self._music.ring
        self._chunk_s = generator.chunk_s
        self._covers_s = 0.0  # of cover audio in a row
        self._pulse = Pulse(monotonic())
        self._line = StatusLine()

    def play(self, submit: Submit) -> None:
        """Until the watcher is gone. Prompts are embedded by `submit`."""
        self.runner.start()
        self._wait_for_music()
        self._tell_about()
        began_s = shown_s = monotonic()
        while True:
            ready, _, _ = select.select([self._pipe.fileno(), STDIN], [], [], LOOK_S)
            if STDIN in ready and not os.read(STDIN, 1):
                return
            if self._pipe.fileno() in ready:
                for message in self._pipe.read():
                    self._hear(message, submit)
            now_s = monotonic()
            self._show(now_s)
            if now_s - shown_s > EVERY_S:
                shown_s = now_s
                status, rate_hz = self.runner.status(), self._form.sample_rate_hz
                self._line.show(describe(status, rate_hz, now_s - began_s))

    def stop(self) -> None:
        """End the runner's threads."""
        self.runner.stop()
        self._line.close()

    def _wait_for_music(self) -> None:
        while not self.runner.ready.wait(LOOK_S):
            status = self.runner.status()
            if status.replaced_blocks >= MOST_FAILURES:
                raise PerpetuoError(f"no music can be made: {status.last_error}")
            if select.select([STDIN], [], [], 0)[0] and not os.read(STDIN, 1):
                raise SystemExit(0)

    def _tell_about(self) -> None:
        """From now on this engine is the one to be heard."""
        stream, generator = self._stream, self._stream.generator
        self._area.about.publish(
            {
                "engine": self._number, "form": asdict(self._form), "hash": stream.bundle.hash,
                "manifest": stream.bundle.manifest.to_json(),
                "chunk_samples": generator.chunk_samples, "depth": generator.ladder.depth,
                "prompted": [prompt.fields() for prompt in as_asked(stream.prompted)],
            }
        )  # fmt: skip
        self._show(monotonic())
        self._place_prompts()
        self._house.engine.value = self._number

    def _place_prompts(self) -> None:
        """What was asked of another bundle has another place in this one."""
        before, asked = self._house.engine.value, self._house.prompts.read()
        prompts = self._stream.prompts
        if not before or prompts is None or not asked:
            return
        if self._areas[before % AREAS].about.read()["hash"] == self._stream.bundle.hash:
            return
        try:
            place = prompts.embed([prompt_of(said, self._recordings) for said in asked])
        except ControlError as error:  # none of its words are known here
            say(f"perpetuo: {error}")
            place = None
        self._controls.set_prompt(place)

    def _show(self, now_s: float) -> None:
        """The status for the feed, and the sign of life for the watcher."""
        status = self.runner.status()
        self._area.status.publish(asdict(status))
        if self._covers_s > VAIN_S:
            raise PerpetuoError(
                f"no music for {VAIN_S:g} s, only what was there is kept going "
                f"({status.last_error or 'every chunk is late'}); the engine begins anew"
            )
        ring = self._music.ring
        if self._pulse.beats(now_s, ring.written_samples, ring.left_s(), status.lead_s):
            self._area.beat_s.value = now_s

    def _note(self, block: Block) -> None:
        self._music.marks.note(block)
        self._music.tail.add(block.audio)
        held = not block.cover or self._controls.snapshot().value("hold", 0) > 0
        self._covers_s = 0.0 if held else self._covers_s + self._chunk_s

    def _hear(self, message: Message, submit: Submit) -> None:
        if "anew" in message:
            self.runner.start_anew()
        elif "embed" in message:
            prompts = self._stream.prompts

            def answer() -> None:
                embed = prompts.embed if prompts is not None else None
                self._pipe.send(answer_of(message, embed, self._recordings))

            submit(answer)


def load(
    errand: Errand, house: House, tried: Callable[[Stream], object] = lambda _: None
) -> Stream:
    """The stream that was asked for, `tried`; by an errand of number 0, while another one plays,
    in the background.
    """

    def made() -> Stream:
        stream = open_stream(errand.given)
        tried(stream)
        return stream

    if errand.number or not house.engine.value:
        return made()
    with ThreadPoolExecutor(1, initializer=give_way) as loading:
        return loading.submit(made).result()


def follow(stream: Stream, before: Area) -> None:
    """Go on from what another engine made."""
    tail = _tail(before, stream.bundle)
    if tail is None:
        return
    try:
        stream.generator.prime(tail)
    except TakeError:  # it was silent: the music begins from nothing
        stream.generator.prime(None)


def _tail(area: Area, bundle: Bundle) -> Floats | None:
    """What another engine made last; None where it is too short, or of another format."""
    form = Format(**area.about.read()["form"])
    audio = bundle.manifest.audio
    if (form.sample_rate_hz, form.channels) != (audio.sample_rate_hz, audio.channels):
        return None
    tail = Music(area, form).tail.read()
    return tail if tail.shape[0] >= LEAST_TAIL_S * form.sample_rate_hz else None


def _bound_memory(mebibytes: int | None) -> None:
    """What this process asks for beyond that is refused, and ends it."""
    if mebibytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
