"""Music from a bundle, as fast as it goes: what `perpetuo render` does, into an array.

What measures music here hears mono at 24 kHz or less, whatever the bundle plays, so that figures
of bundles of different formats stand beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np
import numpy.typing as npt
import soxr

from bench.features import clips
from bench.spectra import Array, mono
from engine.angles import Table, schedule
from engine.backends import Backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.decoder import StreamDecoder
from engine.generator import Generator
from engine.listener import Listener

Progress = Callable[[float], object]
MEASURED_HZ = 24_000
KINDS_S = 8.0
"""Of music whose kinds of semantic tokens are counted at once."""


class Format:
    """A bundle's audio, and the same as it is measured: mono, at `rate_hz`."""

    def __init__(self, bundle: Bundle) -> None:
        self._audio = bundle.manifest.audio
        self.rate_hz = min(self._audio.sample_rate_hz, MEASURED_HZ)

    def measured(self, audio: npt.ArrayLike) -> Array:
        """Samples as the bundle plays them, float [samples, channels] -> float [samples]."""
        return self._resampled(mono(audio), self._audio.sample_rate_hz, self.rate_hz)

    def played(self, audio: Array) -> npt.NDArray[np.float32]:
        """The other way, the same on every channel."""
        samples = self._resampled(audio, self.rate_hz, self._audio.sample_rate_hz)
        return np.repeat(samples[:, None], self._audio.channels, axis=1).astype(np.float32)

    @staticmethod
    def _resampled(audio: Array, rate_hz: int, wanted_hz: int) -> Array:
        return (
            audio if rate_hz == wanted_hz else np.asarray(soxr.resample(audio, rate_hz, wanted_hz))
        )


class Player:
    """One bundle on one backend; every call starts a stream of its own. Audio is as measured."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """The backend has the bundle's graphs loaded."""
        self._bundle = bundle
        self._backend = backend
        self._format = Format(bundle)
        self.rate_hz = self._format.rate_hz
        self.chunk_samples = round(bundle.manifest.chunk_s * self.rate_hz)
        self.spent_s = 0.0
        """In ticks so far, of all streams."""

    @staticmethod
    def rate_of(bundle: Bundle) -> int:
        """At which it is measured."""
        return Format(bundle).rate_hz

    def play(
        self,
        prompt: Array | None,
        seconds: float,
        seed: int,
        progress: Progress | None = None,
        wanted: Mapping[str, float] | None = None,
        angles: Callable[[int], Table] = schedule,
    ) -> Array:
        """Continue `prompt` (or start from nothing) for `seconds`; the prompt is not repeated.

        `progress` is told the seconds made by each block; `wanted` are controls, `angles` makes the
        ladder's table.
        """
        generator = Generator(self._bundle, self._backend, seed=seed, angles=angles)
        generator.prime(None if prompt is None else self._format.played(prompt))
        asked = Controls(self._bundle.manifest.controls)
        asked.update(wanted or {})
        controls = asked.snapshot()
        blocks: list[npt.NDArray[np.float32]] = []
        while (left := seconds - len(blocks) * generator.chunk_s) > 0:
            began_s = perf_counter()
            blocks.append(generator.tick(controls).audio)
            self.spent_s += perf_counter() - began_s
            if progress is not None:
                progress(min(generator.chunk_s, left))
        return self._format.measured(np.concatenate(blocks))[: round(seconds * self.rate_hz)]

    def copy(self, audio: Array) -> Array:
        """Encode and decode: the autoencoder alone, of the same length."""
        return self._format.measured(self.whole_copy(self._format.played(audio)))[: len(audio)]

    def kinds(self, audio: Array) -> list[int]:
        """How many kinds of semantic tokens the bundle's listener hears in each whole 8 s.

        Music that stands on one chord has two or three, whatever else is measured of it. None are
        counted by a bundle that hears no tokens.
        """
        if self._bundle.manifest.prompting is None:
            return []
        listener = Listener(self._bundle, self._backend, self._bundle.manifest.chunk_frames[0])
        heard = [listener.listen(self._format.played(part), len(part)).tokens
                 for part in clips(audio, self.rate_hz, KINDS_S)]  # fmt: skip
        return [len(set(tokens.tolist())) for tokens in heard if tokens is not None]

    def whole_copy(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The same of float32[samples, channels] as the bundle plays it; ends padded meanwhile."""
        frame = self._bundle.manifest.latent.frame_samples
        padded = np.pad(audio, ((0, -len(audio) % frame), (0, 0)))
        feed = np.ascontiguousarray(padded.T[None])
        latents = self._backend.session("encoder").run({"audio": feed})["latents"][0]
        decoder = StreamDecoder(self._bundle, self._backend, len(latents))
        return decoder.decode(latents)[: len(audio)]
