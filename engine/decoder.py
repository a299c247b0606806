"""Streaming decode: latents in pieces of any size give the samples of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from engine.bundle import Bundle
from engine.session import Array, Backend, Floats


class Decoder(Protocol):
    """What the generator asks of a decoder."""

    @property
    def _states(self) -> Mapping[str, Array]:
        """What a stream keeps, for `engine.memory`."""
        ...

    def reset(self) -> None:
        """Back to the initial states: the next piece is a beginning."""
        ...

    def decode(self, latents: Floats) -> Floats:
        """Latents float32[frames, dim] -> a new float32[frames·frame_samples, channels]."""
        ...


def open_decoder(bundle: Bundle, backend: Backend, frames: int) -> Decoder:
    """A decoder for pieces of `frames`; a backend on a device may bring its own."""
    own = getattr(backend, "decoder", None)
    return own(frames) if own else StreamDecoder(bundle, backend, frames)


class StreamDecoder:
    """The decoder graph with its states. Causal and without delay: n frames in, n frames out.

    It has every state twice and runs from one set into the other, in turn.
    """

    def __init__(self, bundle: Bundle, backend: Backend, frames: int) -> None:
        """`frames` is the usual size of a piece: for it everything is bound once."""
        manifest = bundle.manifest
        self._session = backend.session("decoder")
        self._specs = manifest.graphs["decoder"].states
        self._sets: list[dict[str, Array]] = [
            {spec.name: np.empty(spec.resolve({}), spec.dtype) for spec in self._specs}
            for _ in range(2)
        ]
        self._latents = np.zeros((1, frames, manifest.latent.dim), np.float32)
        samples = frames * manifest.latent.frame_samples
        self._audio = np.zeros((1, manifest.audio.channels, samples), np.float32)
        self._runs = [
            self._session.bind(
                {"latents": self._latents, **before}, {"audio": self._audio, **self._left(after)}
            )
            for before, after in (self._sets, self._sets[::-1])
        ]
        self._turn = 0
        self.reset()

    @property
    def _states(self) -> dict[str, Array]:
        return self._sets[self._turn]

    def _left(self, states: dict[str, Array]) -> dict[str, Array]:
        """The same arrays under the names that the graph gives what it leaves."""
        return {spec.next_name: states[spec.name] for spec in self._specs}

    def reset(self) -> None:
        """Back to the initial states: the next piece is a beginning."""
        for spec in self._specs:
            self._states[spec.name].fill(spec.initial)

    def decode(self, latents: Floats) -> Floats:
        """Latents float32[frames, dim] -> a new float32[frames·frame_samples, channels]."""
        audio: Array = self._audio
        if latents.shape[0] == self._latents.shape[1]:
            self._latents[0] = latents
            self._runs[self._turn]()
        else:
            feeds = {"latents": np.ascontiguousarray(latents[None]), **self._states}
            audio = self._session.run(feeds, self._left(self._sets[1 - self._turn]))["audio"]
        self._turn = 1 - self._turn
        out = np.empty(audio.shape[:0:-1], np.float32)
        for channel, samples in enumerate(audio[0]):
            out[:, channel] = samples  # five times as fast as a copy of the transpose
        return out
