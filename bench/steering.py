"""A stream that is asked for something else while it plays."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bench.asks import Ask, Wish
from bench.playing import Format
from bench.spectra import Array
from engine.backends import Backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.prompts import Prompt, Prompts


class Steerer:
    """Plays one bundle on one backend as it is asked. Audio is as measured (`bench.playing`)."""

    def __init__(
        self, bundle: Bundle, backend: Backend, recordings: Mapping[str, Array] | None = None
    ) -> None:
        """`recordings`: at the measured rate, by the style that they may be asked for as.

        UsageError for a bundle that takes no prompts.
        """
        if bundle.manifest.prompting is None:
            raise UsageError(f"bundle {bundle.manifest.name} takes no prompts: give one that does")
        self._bundle = bundle
        self._backend = backend
        self._recordings = recordings or {}
        self._prompts = Prompts(bundle, backend)
        self._format = Format(bundle)
        self.rate_hz = self._format.rate_hz

    def can(self, ask: Ask) -> bool:
        """Whether there is a recording of what it takes one of."""
        needed = {ask.before.recording, ask.after.recording} - {""}
        return needed <= set(self._recordings)

    def steer(self, ask: Ask, lead_s: float, tail_s: float, seed: int) -> tuple[Array, Array]:
        """From nothing: what sounds before the change, and at once after it.

        ControlError where the bundle knows no word of what is asked.
        """
        generator = Generator(self._bundle, self._backend, seed=seed)
        controls = Controls(self._bundle.manifest.controls)
        sides = []
        for wish, seconds in ((ask.before, lead_s), (ask.after, tail_s)):
            self.ask(controls, wish)
            sides.append(self.play(generator, controls, seconds))
        return sides[0], sides[1]

    def ask(self, controls: Controls, wish: Wish) -> None:
        """Set everything that is wished and free everything that is not."""
        free = {name: None for name, spec in controls.specs.items() if spec.optional}
        controls.set_prompt(self._prompts.embed(self._prompt(wish)))
        controls.update({**free, **wish.controls})

    def play(self, generator: Generator, controls: Controls, seconds: float) -> Array:
        """The next `seconds`, rounded up to whole chunks."""
        wanted = math.ceil(seconds / generator.chunk_s - 1e-6)
        ticks = [generator.tick(controls.snapshot()).audio for _ in range(wanted)]
        return self._format.measured(np.concatenate(ticks))

    def _prompt(self, wish: Wish) -> list[Prompt]:
        if wish.recording:
            return [Prompt(audio=self._format.played(self._recordings[wish.recording]))]
        return [Prompt(text=wish.text)] if wish.text else []
