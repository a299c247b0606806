from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import portaudio
import pytest
from portaudio import FakePortAudio

from engine.errors import DeviceError
from engine.sinks import device_list
from engine.sinks.device_list import (
    Device,
    check_channels,
    find_device,
    list_devices,
    outputs,
)

HALL = Device(1, "Hall", "Fake", 4, 48000, True, (0.01, 0.04))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Has another PortAudio asked, in the child that asks."""
    return lambda other: monkeypatch.setattr(device_list, "portaudio", other)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two outputs, asked in this process."""
    monkeypatch.setattr(device_list, "list_devices", lambda: outputs(FakePortAudio()))


def test_outputs_are_asked_for_in_a_child(library: Callable[..., None]) -> None:
    library(FakePortAudio)
    found = list_devices()
    assert [(one.index, one.name, one.default) for one in found] == [
        (0, "Speakers", False), (1, "Speakers of the hall", True)
    ]  # fmt: skip
    assert found[0].latency_s == (0.01, 0.04)


@pytest.mark.usefixtures("two")
def test_outputs_are_found_by_number_name_or_part() -> None:
    assert find_device().index == 1
    assert find_device("0").index == 0
    assert find_device("Speakers").index == 0
    assert find_device("HALL").index == 1


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("wanted", ["9", "Microphone", "", "speak"])
def test_a_wrong_name_lists_the_right_ones(wanted: str) -> None:
    with pytest.raises(DeviceError, match="0: Speakers; 1: Speakers of the hall"):
        find_device(wanted)


@pytest.mark.parametrize(
    ("other", "words"),
    [(portaudio.none, "no sound output"), (portaudio.crashing, "sound system crashed")],
)
def test_no_outputs_name_the_alternatives(
    library: Callable[..., None], other: Callable[[], Any], words: str
) -> None:
    library(other)
    with pytest.raises(DeviceError, match=rf"{words}.*perpetuo serve.*perpetuo render") as error:
        list_devices()
    assert error.value.exit_code == 4


def test_a_sound_system_that_hangs_is_left_behind(
    library: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    library(portaudio.hanging)
    monkeypatch.setattr(device_list, "PATIENCE_S", 0.5)
    with pytest.raises(DeviceError, match="did not answer"):
        list_devices()


def test_no_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(DeviceError, match=r"apt install libportaudio2.*perpetuo serve"):
        device_list.portaudio()


def test_channels_must_be_there() -> None:
    check_channels(HALL, (3, 4))
    check_channels(HALL, ())
    with pytest.raises(DeviceError, match="--channels 4,5: Hall has channels 1 to 4") as error:
        check_channels(HALL, (4, 5))
    assert error.value.exit_code == 4
