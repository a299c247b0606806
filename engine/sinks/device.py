"""The sound device, through PortAudio.

Two ways to feed it. `play` (for `serve`): packets are pushed, already with the hands put to them,
and the device's clock is followed by trimming. With `ring` (for `perpetuo play`): the callback
takes audio straight from the runner's ring and puts the hands to it, so a hand is heard within
its ramp and the device's buffer. Where the device refuses the audio's rate, a thread resamples.

The callback copies, fills the rest and counts. It never waits, logs or runs a model. Its last
time is the life sign: when a sound server dies, PortAudio raises nothing, the calls just end.
"""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self

import numpy as np

from engine.controls import Controls
from engine.errors import DeviceError
from engine.hands import Hands
from engine.ring import AudioRing
from engine.session import Floats
from engine.sinks.trim import Trim
from engine.spec import AudioSpec

INSTEAD = "without one, `perpetuo serve` plays in a browser and `perpetuo render` to a file"
MOST_SAMPLES = 8192
"""The longest callback that is served in one piece."""

PUSH_TARGET_S = 0.15
PUSH_RING_S = 1.0
LATENCY_S = 0.03
RESAMPLE_BLOCK_S = 0.01
RESAMPLE_AHEAD_S = 0.05
PATIENCE_S = 2.0
"""How long an abort may take; when the sound server has died it can hang for ever."""


@dataclass(frozen=True, slots=True)
class Device:
    """One output of this machine."""

    index: int
    name: str
    host: str
    channels: int
    sample_rate_hz: int
    default: bool


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """How the device gets on."""

    name: str
    sample_rate_hz: int
    latency_s: float
    callbacks: int
    underflows: int  # callbacks that came too late for the device
    shortfalls: int  # times there was no audio to play
    dropped_packets: int  # pushed while the device did not take them
    silent_s: float  # since the last callback: the life sign


def list_devices() -> list[Device]:
    """All outputs; DeviceError if PortAudio is missing."""
    sounddevice = _sounddevice()
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
        )
        for index, found in enumerate(sounddevice.query_devices())
        if found["max_output_channels"] > 0
    ]


def find_device(wanted: str | None = None) -> Device:
    """The output of that number or name (a part will do), the default one for None.

    DeviceError lists what there is.
    """
    devices = list_devices()
    if not devices:
        raise DeviceError(f"this machine has no sound output; {INSTEAD}")
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    exact = [device for device in devices if wanted in (str(device.index), device.name)]
    found = exact or [device for device in devices if wanted.lower() in device.name.lower()]
    if len(found) == 1:
        return found[0]
    names = "; ".join(f"{device.index}: {device.name}" for device in found or devices)
    problem = "fits several outputs" if found else "is no output"
    raise DeviceError(f"{wanted!r:.60} {problem} of this machine, choose one by number: {names}")


class DeviceSink:
    """Plays on a device while it is entered. DeviceError says what is wrong and what else to do."""

    def __init__(
        self, audio: AudioSpec, device: str | None = None, *, ring: AudioRing | None = None,
        controls: Controls | None = None,
    ) -> None:  # fmt: skip
        """Pull from `ring` with the hands of `controls`, or have audio pushed by `play`."""
        self.device = find_device(device)
        self.callbacks = 0
        self.underflows = 0
        self.dropped_packets = 0
        self._heard_s = monotonic()
        pushed = ring is None
        self._source = ring or AudioRing(round(PUSH_RING_S * audio.sample_rate_hz), audio.channels)
        self._trim = Trim(audio.sample_rate_hz, audio.channels, PUSH_TARGET_S)
        channels, rate_hz = _settings(self.device, audio)
        self._resampler: Resampler | None = None
        self._ring = self._source
        if rate_hz != audio.sample_rate_hz:
            self._resampler = Resampler(self._source, audio.sample_rate_hz, rate_hz)
            self._ring = self._resampler.ring
        self._prefill = round(PUSH_TARGET_S * audio.sample_rate_hz) if pushed else 0
        self._flowing = not pushed
        self._controls = controls
        self._hands = Hands(rate_hz)
        self._scratch = np.zeros((MOST_SAMPLES, audio.channels), np.float32)
        self._stream = _open(self.device, channels, rate_hz, self._callback)
        self._rate_hz = rate_hz

    def __enter__(self) -> Self:
        """Start to play."""
        if self._resampler is not None:
            self._resampler.start()
        try:
            self._stream.start()
        except Exception as error:
            self.close()
            raise _failed(self.device, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Stop and let go of the device; does not hang where the device has died."""
        if self._resampler is not None:
            self._resampler.stop()
        ending = threading.Thread(target=self._stream.close, daemon=True)
        ending.start()
        ending.join(PATIENCE_S)
        if ending.is_alive():  # PortAudio's own farewell at exit would hang as well
            atexit.unregister(getattr(_sounddevice(), "_exit_handler", self.close))

    def play(self, audio: Floats) -> None:
        """Push float32[samples, channels] at the audio's own pace; never waits."""
        count = audio.shape[0]
        if self._flowing:
            count = self._trim.count(count, self._source.fill_samples)
        if not self._source.write(self._trim.stretch(audio, count)):
            self.dropped_packets += 1

    def status(self) -> DeviceStatus:
        """How it goes; any thread may ask."""
        return DeviceStatus(
            name=self.device.name,
            sample_rate_hz=self._rate_hz,
            latency_s=float(self._stream.latency),
            callbacks=self.callbacks,
            underflows=self.underflows,
            shortfalls=self._ring.shortfalls,
            dropped_packets=self.dropped_packets,
            silent_s=monotonic() - self._heard_s,
        )

    # ---- the device's thread ----------------------------------------------------------------

    def _callback(self, out: Floats, samples: int, _time: Any, flags: Any) -> None:
        """Fill float32[samples, device channels]."""
        self._heard_s = monotonic()
        self.callbacks += 1
        if flags.output_underflow:
            self.underflows += 1
        for start in range(0, samples, MOST_SAMPLES):
            self._fill(out[start : start + MOST_SAMPLES])

    def _fill(self, out: Floats) -> None:
        if not self._flowing:
            self._flowing = self._source.fill_samples >= self._prefill
        piece = self._scratch[: out.shape[0]]
        if self._flowing:
            found = self._ring.read_into(piece)
            self._flowing = found == piece.shape[0] or not self._prefill
        else:
            piece.fill(0.0)
        if self._controls is not None:
            self._hands.process(piece, self._controls.snapshot())
        out[:] = piece  # one channel goes to all


class Resampler:
    """Keeps `ring` filled from another one, at another rate."""

    def __init__(self, source: AudioRing, rate_hz: int, new_rate_hz: int) -> None:
        import soxr

        self.ring = AudioRing(new_rate_hz, source.channels)
        self._source = source
        self._ahead = round(RESAMPLE_AHEAD_S * new_rate_hz)
        self._block = np.zeros((round(RESAMPLE_BLOCK_S * rate_hz), source.channels), np.float32)
        self._convert = soxr.ResampleStream(rate_hz, new_rate_hz, source.channels).resample_chunk
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perpetuo-resample", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> bool:
        """Convert one block if it is wanted and there is audio; False if there is time to rest.

        A source that has run dry is read all the same once the ring is about to: it fades out
        and counts, as it would without a resampler.
        """
        fill = self.ring.fill_samples
        dry = self._source.fill_samples < self._block.shape[0]
        if fill >= self._ahead or (dry and fill >= self._ahead // 2):
            return False
        if not self._source.written_samples:
            return False
        self._source.read_into(self._block)
        self.ring.write(self._convert(self._block))
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self.step():
                self._stopping.wait(RESAMPLE_BLOCK_S / 2)


def _settings(device: Device, audio: AudioSpec) -> tuple[int, int]:
    """Channels and rate to open the device with: the audio's own where it takes them."""
    sounddevice = _sounddevice()
    channels = audio.channels if audio.channels > 1 else min(2, device.channels)
    for rate_hz in (audio.sample_rate_hz, device.sample_rate_hz):
        try:
            sounddevice.check_output_settings(device.index, channels, "float32", None, rate_hz)
            return channels, rate_hz
        except (sounddevice.PortAudioError, ValueError) as error:
            problem = error
    raise _failed(device, problem)


def _open(device: Device, channels: int, rate_hz: int, callback: Any) -> Any:
    sounddevice = _sounddevice()
    try:
        return sounddevice.OutputStream(
            samplerate=rate_hz, device=device.index, channels=channels, dtype="float32",
            latency=LATENCY_S, callback=callback,
        )  # fmt: skip
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _failed(device, error) from None


def _failed(device: Device, error: Exception) -> DeviceError:
    return DeviceError(f"{device.name} cannot be used: {error}; {INSTEAD}")


def _sounddevice() -> Any:
    """The module, imported when a device is wanted: the import itself fails without PortAudio."""
    try:
        import sounddevice
    except (OSError, ImportError) as error:
        cure = (
            "apt install libportaudio2" if isinstance(error, OSError) else "pip install sounddevice"
        )
        raise DeviceError(f"no PortAudio ({error}): {cure}; {INSTEAD}") from None
    return sounddevice
