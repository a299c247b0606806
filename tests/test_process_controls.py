from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import Controls, default_controls, prompting_controls
from engine.errors import ControlError
from engine.process.controls import SharedControls
from engine.process.house import House
from engine.process.memory import Memory
from engine.spec import LadderSpec

SPECS = default_controls(LadderSpec(10)) + prompting_controls(64)
ROOT = Path(__file__).parent.parent
HOLD = """
import fcntl, sys, time
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX); print("held", flush=True); time.sleep(60)
"""


def two() -> tuple[SharedControls, SharedControls, House]:
    """The controls of an engine, and of a feed that came later."""
    house = House.made()
    engine = SharedControls(SPECS, house)
    return engine, SharedControls(SPECS, House(Memory(house.memory.fd))), house


def test_who_comes_first_puts_up_how_it_starts() -> None:
    start = Controls(SPECS)
    start.update({"seed": 4, "bpm": 90})
    house = House.made()
    first = SharedControls(SPECS, house, start.snapshot())
    later = SharedControls(SPECS, house, Controls(SPECS).snapshot())
    assert first.snapshot() == later.snapshot() == start.snapshot()


@given(st.lists(st.tuples(st.booleans(), st.floats(-60, 6)), max_size=12))
def test_newest_value_wins_whoever_sets_it(changes: list[tuple[bool, float]]) -> None:
    one, other, _ = two()
    plain = Controls(SPECS)
    for first, value in changes:
        assert (one if first else other).set("gain_db", value) == plain.set("gain_db", value)
        assert one.snapshot() == other.snapshot() == plain.snapshot()


def test_prompts_are_the_same_to_the_bit() -> None:
    one, other, _ = two()
    place = np.random.default_rng(1).normal(size=64).astype(np.float32)
    place /= np.linalg.norm(place)
    assert one.set_prompt(place) == 1
    found = other.snapshot()
    np.testing.assert_array_equal(found.prompt, place)
    assert other.snapshot() is found  # nothing is read twice
    assert other.set_prompt(None) == 2 and one.snapshot().prompt is None


def test_a_refused_value_changes_nothing() -> None:
    one, other, _ = two()
    with pytest.raises(ControlError, match="gain_db is 99"):
        one.update({"seed": 3, "gain_db": 99})
    assert other.snapshot().revision == 0 and one.set("seed", 3) == 1


def test_another_bundle_takes_what_it_has() -> None:
    one, _, house = two()
    one.update({"seed": 7, "gain_db": -3, "bpm": 90, "steps": 40})
    place = np.eye(1, 8, dtype=np.float32)[0]
    one.set_prompt(place)
    few = SharedControls(default_controls(LadderSpec(4)), house, embedding=16).snapshot()
    assert few.revision == 2 and few.prompt is None and "bpm" not in few.values
    assert (few.values["seed"], few.values["gain_db"], few.values["steps"]) == (7, -3, 4)


def holder(house: House) -> subprocess.Popen[str]:
    """A process that holds the lock, and stands still."""
    fd = house.memory.fd
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(fd)], pass_fds=[fd], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_process_that_stands_still_with_the_lock_is_not_waited_for() -> None:
    one, other, house = two()
    with holder(house) as process:
        with pytest.raises(ControlError, match="stands still"):
            one.set("seed", 1)
        assert other.snapshot().revision == 0
        process.kill()
    assert one.set("seed", 1) == 1 and other.snapshot().values["seed"] == 1
