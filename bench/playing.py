"""Music from a bundle, as fast as it goes: what `perpetuo render` does, into an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from bench.spectra import Array, mono
from engine.angles import Table, schedule
from engine.backends import Backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.decoder import StreamDecoder
from engine.generator import Generator

Progress = Callable[[float], object]


class Player:
    """One bundle on one backend; every call starts a stream of its own. Audio here is mono."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """The backend has the bundle's graphs loaded."""
        self._bundle = bundle
        self._backend = backend
        self.rate_hz = bundle.manifest.audio.sample_rate_hz
        self.chunk_samples = bundle.manifest.chunk_samples

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
        generator.prime(None if prompt is None else self._channels(prompt))
        asked = Controls(self._bundle.manifest.controls)
        asked.update(wanted or {})
        controls = asked.snapshot()
        due = round(seconds * self.rate_hz)
        blocks: list[Array] = []
        while (made := sum(map(len, blocks))) < due:
            blocks.append(mono(generator.tick(controls).audio))
            if progress is not None:
                progress(min(len(blocks[-1]), due - made) / self.rate_hz)
        return np.concatenate(blocks)[:due]

    def copy(self, audio: Array) -> Array:
        """Encode and decode: the autoencoder alone, of the same length (ends padded meanwhile)."""
        frame = self._bundle.manifest.latent.frame_samples
        padded = np.pad(audio, (0, -len(audio) % frame))
        feed = np.ascontiguousarray(self._channels(padded).T[None])
        latents = self._backend.session("encoder").run({"audio": feed})["latents"][0]
        decoder = StreamDecoder(self._bundle, self._backend, len(latents))
        return mono(decoder.decode(latents))[: len(audio)]

    def _channels(self, audio: Array) -> npt.NDArray[np.float32]:
        channels = self._bundle.manifest.audio.channels
        return np.repeat(audio[:, None], channels, axis=1).astype(np.float32)
