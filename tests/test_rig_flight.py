import json
import threading
from pathlib import Path

import numpy as np
import pytest

from engine.controls import Controls
from engine.errors import ControlError, UsageError
from engine.generator import Generator
from engine.rig.flight import FlightLog, NotedControls, header_of, take_print


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_says_what_was_played_and_every_change(
    tmp_path: Path, generator: Generator, controls: Controls
) -> None:
    path = tmp_path / "log"
    flight = FlightLog(path, header_of(generator, "standin", {"take": ""}))
    flight.heard = lambda: 1200
    noted = NotedControls(controls.specs.values(), controls.snapshot(), flight.changed)
    watched = flight.watched(generator)
    flight.block(watched.tick(noted.snapshot(), 4))
    noted.update({"seed": 9, "gain_db": -3})
    noted.set_prompt(np.array([0.6, 0.8], np.float32))
    with pytest.raises(ControlError):
        noted.set("seed", -1)
    flight.close()
    header, start, tick, block, change, prompt = lines(path)
    assert (header["flight"], header["bundle"]["hash"], header["seed"]) == (1, "0" * 64, 0)
    assert header["ladder"] == [10, 1, [6, 4, 2]]
    assert (start["set"], start["at"], start["values"]) == (0, 0, dict(controls.snapshot().values))
    assert (tick["tick"], tick["revision"], tick["steps"], tick["first"]) == (0, 0, 4, "")
    assert (block["block"], block["at"], block["cover"]) == (0, 0, False)
    samples = generator.chunk_samples
    expected = {"set": 1, "at": samples, "heard": 1200, "values": {"seed": 9.0, "gain_db": -3.0}}
    assert change == expected
    assert np.array(prompt["prompt"], np.float32).tolist() == noted.snapshot().prompt.tolist()
    assert prompt["values"] == {}


def test_every_revision_is_there_in_order_whoever_sets_it(
    tmp_path: Path, generator: Generator, controls: Controls
) -> None:
    flight = FlightLog(tmp_path / "log", header_of(generator, "standin"))
    noted = NotedControls(controls.specs.values(), controls.snapshot(), flight.changed)
    threads = [
        threading.Thread(target=lambda: [noted.set("seed", n) for n in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flight.close()
    revisions = [line["set"] for line in lines(tmp_path / "log")[1:]]
    assert revisions == list(range(801))


def test_a_watched_generator_is_the_generator(tmp_path: Path, generator: Generator) -> None:
    flight = FlightLog(tmp_path / "log", {})
    watched = flight.watched(generator)
    assert watched.bundle is generator.bundle
    assert watched.rungs == generator.rungs
    assert watched.chunk_s == generator.chunk_s
    flight.close()


def test_a_log_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with pytest.raises(UsageError, match="cannot be begun: File exists"):
        FlightLog(tmp_path / "log", {})


def test_a_full_disk_ends_the_log_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    flight = FlightLog(tmp_path / "log", {})

    def full(_: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flight._file, "write", full, raising=False)
    flight.tick(0, 0, 10, "", 0)
    flight.close()
    assert "No space left" in flight.trouble
    flight.tick(1, 0, 10, "", 0)


def test_takes_are_told_apart() -> None:
    assert take_print(np.zeros((0, 1), np.float32)) == ""
    one, other = np.zeros((4, 1), np.float32), np.ones((4, 1), np.float32)
    assert take_print(one) != take_print(other)
