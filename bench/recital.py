"""Tokens that are given, played: velocity network and decoder without the language model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.playing import Format
from bench.spectra import Array
from engine.backends import Backend
from engine.bundle import Bundle
from engine.controls import Controls, ControlSnapshot
from engine.errors import UsageError
from engine.generator import Generator
from engine.listener import Listener
from engine.planner import Planner
from engine.window import Tokens


class Reader(Planner):
    """Reads tokens out instead of writing them."""

    def __init__(self, bundle: Bundle, backend: Backend, tokens: Tokens) -> None:
        """`tokens` int64[n] from the first chunk on."""
        self._given = tokens
        super().__init__(bundle, backend)

    def _chosen(self, count: int, controls: ControlSnapshot) -> Tokens:
        first = self._index + 1
        return self._given[first : first + count]


class Recital(Generator):
    """A stream from nothing that plays these tokens; there are as many ticks as they last."""

    def __init__(self, bundle: Bundle, backend: Backend, tokens: Tokens, seed: int) -> None:
        super().__init__(bundle, backend, seed=seed)
        self._planner = Reader(bundle, backend, tokens)
        self.prime(None)


class Reciter:
    """Plays what one bundle hears in a stretch of music. Audio is as measured (`bench.playing`)."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """UsageError for a bundle that takes no prompts."""
        if bundle.manifest.prompting is None:
            raise UsageError(f"bundle {bundle.manifest.name} has no tokens: give one that does")
        self._bundle, self._backend = bundle, backend
        self._format = Format(bundle)
        self._listener = Listener(bundle, backend, bundle.manifest.chunk_frames[0])

    def heard(self, audio: Array) -> Tokens:
        """The tokens of whole chunks of `audio`, up to its end."""
        tokens = self._listener.listen(self._format.played(audio), len(audio)).tokens
        assert tokens is not None
        return tokens

    def recite(self, audio: Array, asked: Mapping[str, float], seed: int) -> Array:
        """The tokens of `audio`, played from nothing under these controls; whole chunks of them."""
        tokens = self.heard(audio)
        controls = Controls(self._bundle.manifest.controls)
        controls.update(asked)
        now = controls.snapshot()
        stream = Recital(self._bundle, self._backend, tokens, seed)
        ticks = [stream.tick(now).audio for _ in range(len(tokens) // self._listener.chunk_tokens)]
        return self._format.measured(np.concatenate(ticks))
