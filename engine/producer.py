"""From ticks to what may be played: every block is judged, and covered for where it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from engine.controls import Controls, ControlSnapshot
from engine.cover import Cover
from engine.errors import BundleError
from engine.generator import Block, Generator
from engine.guard import fault, within
from engine.session import Floats

MOST_FAULTS = 8
"""Broken blocks in a row after which a render gives up."""


class Producer:
    """Judges blocks, keeps the music going without them, and joins the two."""

    def __init__(self, generator: Generator) -> None:
        audio, latent = generator.bundle.manifest.audio, generator.bundle.manifest.latent
        self.faults: Counter[str] = Counter()
        self._samples = generator.chunk_samples
        self._no_latents: Floats = np.zeros((0, latent.dim), np.float32)
        self._cover = Cover(audio.sample_rate_hz, audio.channels)
        self._cover.remember(generator.lead)
        self._played_samples = 0

    @property
    def can_hold(self) -> bool:
        """True if there is music to hold."""
        return not self._cover.empty

    def accept(self, block: Block) -> Block | None:
        """The block as it is to be played, crossfaded after cover audio; None if it is broken."""
        found = fault(block.audio, block.peak, block.latents)
        if found:
            self.faults[found] += 1
            return None
        audio = self._cover.rejoin(block.audio)
        if audio is not block.audio:
            within(audio)
        self._cover.remember(audio)
        return self._placed(replace(block, audio=audio))

    def prepare(self) -> None:
        """Music may have to be held soon: do now what takes time."""
        self._cover.prepare()

    def hold(self, controls: ControlSnapshot, samples: int | None = None) -> Block:
        """The present music, held: a chunk of it, or so many samples."""
        audio = self._cover.next(samples or self._samples)
        peak = float(np.abs(audio).max())
        return self._placed(
            Block(audio, -1, 0, controls.revision, (), {}, 0, 0, peak, self._no_latents, cover=True)
        )

    def _placed(self, block: Block) -> Block:
        position = self._played_samples
        self._played_samples += block.audio.shape[0]
        return replace(block, position_samples=position)


def render(generator: Generator, controls: Controls) -> Iterator[Block]:
    """Blocks without end, as fast as they can be made.

    BundleError when block after block is broken; what the backend raises comes through.
    """
    producer = Producer(generator)
    broken = 0
    while broken < MOST_FAULTS:
        snapshot = controls.snapshot()
        held = snapshot.value("hold", 0) > 0 and producer.can_hold
        block = None if held else producer.accept(generator.tick(snapshot))
        if block is None and not held:
            generator.recover()
            broken += 1
        elif block is not None:
            broken = 0
        yield block or producer.hold(snapshot)
    raise BundleError(
        f"{broken} blocks in a row were broken ({', '.join(producer.faults)}): "
        f"bundle {generator.bundle.manifest.name} does not work with this backend"
    )
