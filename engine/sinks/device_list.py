"""Which sound outputs this machine has.

PortAudio lives in child processes only: when a sound server dies, it raises nothing, may hang in
any call, and ends the process in its farewell. Here one is asked for the outputs and left behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from engine.errors import DeviceError
from engine.sinks.device_process import start

INSTEAD = "without one, `perpetuo serve` plays in a browser and `perpetuo render` to a file"
PATIENCE_S = 10.0
"""A sound system that has not listed its outputs by then never will."""


@dataclass(frozen=True, slots=True)
class Device:
    """One output of this machine."""

    index: int
    name: str
    host: str
    channels: int
    sample_rate_hz: int
    default: bool
    latency_s: tuple[float, float]  # the lowest and the highest that it promises


def list_devices() -> list[Device]:
    """All outputs; DeviceError if there are none, or PortAudio is missing or does not answer."""
    devices = _ask() or _ask()  # a sound server that is busy may miss to answer once
    if not devices:
        raise DeviceError(f"this machine has no sound output; {INSTEAD}")
    return devices


def _ask() -> list[Device]:
    """What a child is told by PortAudio."""
    child, told = start(_tell, portaudio)
    try:
        answer = told.recv() if told.poll(PATIENCE_S) else DeviceError(_unasked("did not answer"))
    except EOFError:
        answer = DeviceError(_unasked("crashed"))
    finally:
        child.kill()
        child.join(PATIENCE_S)
        told.close()
    if isinstance(answer, DeviceError):
        raise answer
    devices: list[Device] = answer
    return devices


def find_device(wanted: str | None = None) -> Device:
    """The output of that number or name (a part will do), the default one for None.

    DeviceError lists what there is.
    """
    devices = list_devices()
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    exact = [device for device in devices if wanted in (str(device.index), device.name)]
    found = exact or [device for device in devices if wanted.lower() in device.name.lower()]
    if len(found) == 1:
        return found[0]
    names = "; ".join(f"{device.index}: {device.name}" for device in found or devices)
    problem = "fits several outputs" if found else "is no output"
    raise DeviceError(f"{wanted!r:.60} {problem} of this machine, choose one by number: {names}")


def check_channels(device: Device, channels: Sequence[int]) -> None:
    """DeviceError if the device has no such channels; they count from 1."""
    if channels and max(channels) > device.channels:
        wanted = ",".join(map(str, channels))
        raise DeviceError(
            f"--channels {wanted}: {device.name} has channels 1 to {device.channels}; "
            "choose among these, or another --device"
        )


# ---- in a child -----------------------------------------------------------------------------


def portaudio() -> Any:
    """The module sounddevice; its import fails without PortAudio: DeviceError names the cure."""
    try:
        import sounddevice
    except (OSError, ImportError) as error:
        cure = (
            "apt install libportaudio2" if isinstance(error, OSError) else "pip install sounddevice"
        )
        raise DeviceError(f"no PortAudio ({error}): {cure}; {INSTEAD}") from None
    return sounddevice


def outputs(sounddevice: Any) -> list[Device]:
    """All outputs as PortAudio knows them."""
    hosts = sounddevice.query_hostapis()
    default = sounddevice.default.device[1]
    return [
        Device(
            index=index,
            name=found["name"],
            host=hosts[found["hostapi"]]["name"],
            channels=found["max_output_channels"],
            sample_rate_hz=round(found["default_samplerate"]),
            default=index == default,
            latency_s=(found["default_low_output_latency"], found["default_high_output_latency"]),
        )
        for index, found in enumerate(sounddevice.query_devices())
        if found["max_output_channels"] > 0
    ]


def _tell(library: Callable[[], Any], told: Connection) -> None:
    """Tell the outputs, or the DeviceError, and leave without PortAudio's farewell."""
    try:
        told.send(outputs(library()))
    except DeviceError as error:
        told.send(error)
    os._exit(0)


def _unasked(problem: str) -> str:
    return f"the sound system {problem} when it was asked for its outputs: restart it; {INSTEAD}"
