import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Block, Generator
from engine.prompts import Prompt, Prompts
from engine.rig.flight import FlightLog, NotedControls, header_of, take_print
from engine.rig.replay import check_flight, read_flight, replay
from engine.runner import Runner
from engine.spec import LadderSpec


class Session:
    """A runner that is played in real time, with everything logged."""

    def __init__(self, bundle: Bundle, path: Path, ladder: LadderSpec | None = None) -> None:
        self.bundle, self.path, self.ladder = bundle, path, ladder
        self.faults = standin.Faults()
        start = self.make(self.faults)
        self.flight = FlightLog(path, header_of(start, "standin", {"take": take_print(start.lead)}))
        specs = bundle.manifest.controls
        self.controls = NotedControls(specs, Controls(specs).snapshot(), self.flight.changed)
        self.blocks: list[Block] = []
        self.runner = Runner(
            self.flight.watched(start), self.controls, ring_s=0.3, on_block=self._note,
            spare=lambda: self.flight.watched(self.make()),
        )  # fmt: skip
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def make(self, faults: standin.Faults | None = None) -> Generator:
        return Generator(self.bundle, standin.StandIn(self.bundle, faults), ladder=self.ladder,
                         seed=5)  # fmt: skip

    def _note(self, block: Block) -> None:
        self.flight.block(block)
        self.blocks.append(block)

    def _listen(self) -> None:
        began_s, taken = time.monotonic(), 0
        while not self._stopping.wait(0.005):
            due = int((time.monotonic() - began_s) * 24000) - taken
            self.runner.ring.read_into(np.zeros((due, 1), np.float32))
            taken += due

    def until(self, count: int) -> None:
        deadline_s = time.monotonic() + 30
        while len([block for block in self.blocks if not block.cover]) < count:
            assert time.monotonic() < deadline_s
            time.sleep(0.002)

    def __enter__(self) -> "Session":
        self.runner.start()
        assert self.runner.ready.wait(20)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.stop()
        self._stopping.set()
        self._thread.join()
        self.flight.close()

    def replayed(self) -> np.ndarray:
        flight = read_flight(self.path)
        check_flight(flight, bundle_hash=self.bundle.hash, backend="standin", take="")
        assert flight.ladder == self.make().ladder
        blocks = list(replay(flight, self.make(), self.make))
        assert flight.samples == sum(block.audio.shape[0] for block in blocks)
        return np.concatenate([block.audio for block in blocks])

    @property
    def played(self) -> np.ndarray:
        return np.concatenate([block.audio for block in self.blocks])


@pytest.fixture
def asked() -> Bundle:
    return standin.bundle(prompting=True, chunk_frames=(4,))


@pytest.mark.parametrize("ladder", [None, LadderSpec(10, 5, (5,))])
def test_a_session_replays_to_identical_samples(
    asked: Bundle, tmp_path: Path, ladder: LadderSpec | None
) -> None:
    place = Prompts(asked, standin.StandIn(asked)).embed([Prompt("piano")])
    with Session(asked, tmp_path / "log", ladder) as session:
        for n in range(1, 12):
            session.until(2 * n)
            session.controls.update({"density": n / 12, "temperature": 0.7 + n / 30, "seed": n})
            session.controls.set_prompt(place if n % 3 else None)
            session.controls.set("steps", 10 if n % 2 else 5)
            if n in (4, 5, 8):
                session.controls.set("hold", 1)
                time.sleep(0.2)
                session.controls.set("hold", 0)
    assert any(block.cover for block in session.blocks)
    np.testing.assert_array_equal(session.replayed(), session.played)


def test_covers_failures_and_a_slow_machine_are_replayed(asked: Bundle, tmp_path: Path) -> None:
    with Session(asked, tmp_path / "log") as session:
        session.until(4)
        session.faults.poison = "nan"
        time.sleep(0.3)
        session.faults.poison = ""
        session.until(7)
        session.faults.error = MemoryError("out of memory")
        time.sleep(0.2)
        session.faults.error = None
        session.until(10)
        session.faults.delay_s = 0.5
        time.sleep(0.5)
        session.faults.delay_s = 0.0
        session.until(14)
    status = session.runner.status()
    assert status.replaced_blocks
    assert status.cover_blocks
    np.testing.assert_array_equal(session.replayed(), session.played)


def test_a_session_that_started_anew_is_replayed(asked: Bundle, tmp_path: Path) -> None:
    with Session(asked, tmp_path / "log") as session:
        session.until(4)
        session.runner.start_anew()
        session.until(8)
        session.controls.set("seed", 4)
        session.until(10)
    assert '"first":"forget"' in session.path.read_text()
    np.testing.assert_array_equal(session.replayed(), session.played)


def test_a_replaced_worker_is_replayed(asked: Bundle, tmp_path: Path) -> None:
    with Session(asked, tmp_path / "log") as session:
        session.until(4)
        session.faults.error = MemoryError("out of memory")
        deadline_s = time.monotonic() + 20
        while not session.runner.status().workers_replaced:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        session.until(8)
    assert '"resume":' in session.path.read_text()
    np.testing.assert_array_equal(session.replayed(), session.played)


def test_a_log_that_was_cut_off_replays_to_where_it_goes(asked: Bundle, tmp_path: Path) -> None:
    with Session(asked, tmp_path / "log") as session:
        session.until(6)
    text = session.path.read_text()
    session.path.write_text(text[: int(len(text) * 0.8)])
    flight = read_flight(session.path)
    assert len(flight.notes) == 1
    assert "torn off" in flight.notes[0]
    blocks = list(replay(flight, session.make(), session.make))
    assert 0 < len(blocks) < len(session.blocks)
    heard = np.concatenate([block.audio for block in blocks])
    np.testing.assert_array_equal(heard, session.played[: len(heard)])


HEADER = {
    "flight": 1, "bundle": {"name": "standin", "version": "1", "hash": "0" * 64},
    "backend": "standin", "seed": 0, "chunk_frames": 4, "ladder": [10, 1, []],
}  # fmt: skip


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "no flight log of format 1"),
        ([{"flight": 2}], "no flight log of format 1"),
        ([{"flight": 1}], "line 1: bundle is None"),
        ([HEADER, [], HEADER], "line 2: this is no line of a flight log"),
        ([HEADER, {"set": 1}], "line 2: values is None"),
        ([HEADER, {"tick": "a"}], "line 2: tick is 'a'"),
        ([HEADER, {"block": 1, "at": 0, "cover": 0, "revision": 0}], "line 2: cover is 0"),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(tmp_path: Path, lines, complaint) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_flight(written(tmp_path / "log", *lines))


def test_a_log_of_something_else_is_refused(tmp_path: Path) -> None:
    flight = read_flight(written(tmp_path / "log", HEADER))
    with pytest.raises(UsageError, match="name it with --bundle"):
        check_flight(flight, bundle_hash="1" * 64, backend="standin", take="")
    with pytest.raises(UsageError, match="played on standin, this is ort"):
        check_flight(flight, bundle_hash="0" * 64, backend="ort", take="")
    with pytest.raises(UsageError, match="another take"):
        check_flight(flight, bundle_hash="0" * 64, backend="standin", take="abc")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"block": 0, "at": 0, "cover": False, "revision": 0}, "block 0 at sample 0"),
        ({"tick": 0, "revision": 9, "first": "", "worker": 0, "steps": 10}, "no revision 9"),
    ],
)
def test_a_log_that_does_not_play_says_where(
    tmp_path: Path, asked: Bundle, line, complaint
) -> None:
    end = {"block": 0, "at": 0, "cover": False, "revision": 0}
    start = {"set": 0, "values": {}}
    flight = read_flight(written(tmp_path / "log", HEADER, start, line, end))
    make = lambda: Generator(asked, standin.StandIn(asked))  # noqa: E731
    with pytest.raises(UsageError, match=complaint):
        list(replay(flight, make(), make))
