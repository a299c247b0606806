from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import portaudio
import pytest
from portaudio import FakePortAudio

from engine.ring import AudioRing
from engine.sinks import device_keeper, device_list
from engine.sinks.device_child import Order
from engine.sinks.device_keeper import Keeper
from engine.sinks.device_list import outputs
from engine.spec import AudioSpec

AUDIO = AudioSpec(24000, 1)
ORDER = Order(outputs(FakePortAudio())[1], AUDIO)

Begin = Callable[[Callable[[], Any]], Keeper]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """A keeper of children that have that PortAudio."""
    keepers: list[Keeper] = []

    def keep(library: Callable[[], Any], source: AudioRing | None = None) -> Keeper:
        monkeypatch.setattr(device_list, "portaudio", library)
        keepers.append(Keeper(ORDER, source))
        return keepers[-1]

    yield keep
    for keeper in keepers:
        keeper.end()


def watch(keeper: Keeper, until: Callable[[], object], within_s: float = 60.0) -> float:
    """Watch it until that is so; how long it took."""
    began_s = monotonic()
    while not until():
        assert monotonic() - began_s < within_s, keeper.trouble
        keeper.watch(monotonic())
        time.sleep(0.005)
    return monotonic() - began_s


def process(keeper: Keeper) -> Any:
    assert keeper.child is not None
    return keeper.child._process


def test_it_plays_and_ends_without_a_rest(begin: Begin) -> None:
    keeper = begin(portaudio.steady)
    watch(keeper, lambda: keeper.count("callbacks") >= 10)
    assert keeper.playing is not None
    assert (keeper.restarts, keeper.lost, keeper.trouble) == (0, False, "")
    keeper.end()
    assert process(keeper).exitcode == 0  # it left by itself


def test_a_device_without_a_life_sign_is_replaced(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = begin(partial(portaudio.dying_once, tmp_path / "begun"))
    watch(keeper, lambda: keeper.playing)
    first = process(keeper)
    watch(keeper, lambda: keeper.lost)
    assert "no life sign for 1 s" in keeper.trouble
    assert first.exitcode == -signal.SIGKILL
    watch(keeper, lambda: keeper.count("callbacks") >= 40)  # of both
    assert (keeper.restarts, keeper.lost) == (1, False)
    lost, back = (record.message for record in caplog.records)
    assert "Speakers of the hall is lost (no life sign for 1 s)" in lost
    assert "plays again after" in back


def test_a_child_that_is_killed_is_replaced(begin: Begin) -> None:
    keeper = begin(portaudio.steady)
    watch(keeper, lambda: keeper.playing)
    os.kill(process(keeper).pid, signal.SIGKILL)
    watch(keeper, lambda: keeper.lost)
    assert "ended with -9" in keeper.trouble
    watch(keeper, lambda: keeper.playing)
    assert keeper.restarts == 1


def test_one_child_looks_for_the_device_until_it_is_back(begin: Begin, tmp_path: Path) -> None:
    back = tmp_path / "back"
    keeper = begin(partial(portaudio.away_until, back))
    watch(keeper, lambda: keeper.lost)
    watch(keeper, lambda: keeper.trouble == "it is not there")
    looking = process(keeper)
    began_s = monotonic()
    watch(keeper, lambda: monotonic() - began_s > 2)
    assert process(keeper) is looking
    back.touch()
    watch(keeper, lambda: keeper.playing)
    assert process(keeper) is looking
    assert keeper.restarts == 1


def test_a_crash_at_the_start_is_told_and_tried_again_with_a_pause(begin: Begin) -> None:
    keeper = begin(portaudio.crashing)
    took_s = watch(keeper, lambda: keeper.restarts >= 3)
    assert took_s >= 2 * device_keeper.RESTART_S
    assert keeper.trouble == "its process ended with -11"
    assert not keeper.lost  # it never played


def test_opening_that_hangs_is_given_up(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_keeper, "BEGIN_S", 2.0)
    keeper = begin(portaudio.hanging)
    watch(keeper, lambda: keeper.restarts >= 1)
    assert keeper.trouble == "no life sign for 2 s"


def test_a_device_that_never_calls_is_given_up(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_keeper, "OPEN_S", 1.5)
    keeper = begin(FakePortAudio)
    watch(keeper, lambda: keeper.restarts >= 1)
    assert keeper.trouble == "no life sign for 1.5 s"


def test_silence_while_we_slept_ourselves_is_excused(begin: Begin) -> None:
    keeper = begin(portaudio.steady)
    watch(keeper, lambda: keeper.count("callbacks") >= 10)
    os.kill(process(keeper).pid, signal.SIGSTOP)  # as when everything is suspended
    time.sleep(1.5)
    keeper.watch(monotonic())
    os.kill(process(keeper).pid, signal.SIGCONT)
    before = keeper.count("callbacks")
    watch(keeper, lambda: keeper.count("callbacks") > before + 10)
    assert keeper.restarts == 0


def test_audio_is_moved_from_the_source_as_the_device_takes_it(begin: Begin) -> None:
    source = AudioRing(48000, 1)
    source.write(np.ones((48000, 1), np.float32))
    keeper = begin(portaudio.steady, source)  # type: ignore[call-arg]

    def moved() -> bool:
        if (child := keeper.playing) is not None and child.pump is not None:
            child.pump.step()
        return keeper.child is not None and keeper.child.ring.read_samples >= 4800

    watch(keeper, moved)
    child = keeper.child
    assert child is not None
    assert source.read_samples == child.ring.written_samples
    assert child.ring.fill_samples <= 0.1 * 24000
