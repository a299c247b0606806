"""What is to be played, in semantic tokens: the language model's steps between chunks.

The tokens of a stream are numbered like its chunks: chunk c has the tokens c·k … c·k + k − 1, and
those of a take have negative numbers. A clock tells the model where in the bar the next token
falls; it and the rest of the bearings are heard in the tokens. Noise is a function of seed and
token index alone, so the same seed gives the same tokens.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engine.asked import NOTHING_PLAYED, Asked
from engine.bearings import Bearings
from engine.bundle import Bundle
from engine.clock import CLOCK_SIZE, Clock, clock_rows
from engine.controls import ControlSnapshot
from engine.drawing import Ahead, Dice, token_noise
from engine.prompts import Prompts
from engine.session import Backend, Floats
from engine.window import Plan, Tokens
from engine.writer import Writer

RUN_TOKENS = 8
"""Tokens written in one go, at most; a run ends where their index is a multiple of it, so that
whatever looks back on whole runs sees the same however many are asked for."""
LISTEN_BACK_TOKENS = 250
"""Of a stream that has no clock yet: ten seconds tell a tempo, or none."""


class Planner:
    """Tokens without end from one bundle with prompting. Not thread-safe."""

    def __init__(self, bundle: Bundle, backend: Backend, seed: int = 0) -> None:
        """`seed` is added to the control of that name."""
        prompting = bundle.manifest.prompting
        assert prompting is not None, "a planner needs a bundle with prompting"
        token_samples = prompting.token_frames * bundle.manifest.latent.frame_samples
        self._rate_hz = bundle.manifest.audio.sample_rate_hz / token_samples
        self.seed = seed
        self.prompting = prompting
        self.asked = Asked(prompting, backend, self._rate_hz, Prompts(bundle, backend))
        self.writer = Writer(bundle, backend)
        self._evidence = backend.session("evidence")
        self._prompt: Floats | None = None
        dice = Dice()
        self._noise = Ahead(
            lambda seed, first, count: token_noise(seed, first, count, prompting.vocabulary, dice)
        )
        self._clocked = Ahead(clocked)
        self._seed_now = seed
        # More than the model sees, so that tokens of chunks given up leave enough behind.
        self._past: deque[int] = deque(maxlen=2 * prompting.language_context)
        self.prime(np.zeros(0, np.int64))

    def prime(
        self, tokens: Tokens, next_index: int = 0, bearings: Bearings | None = None,
        sound: Floats | None = None,
    ) -> None:  # fmt: skip
        """Start anew behind these tokens int64[n], or from nothing; then comes `next_index`.

        They are read when the first new token is wanted, with what is asked then. `bearings` are
        those of before; else they are heard in the tokens, and what is asked counts as asked from
        here on. `sound` float32[E] is a take's place in the joint space, which stands for a prompt
        while there is none.
        """
        self._past.clear()
        self._past.extend(tokens.tolist())
        self._index = next_index - 1  # of the last token there is
        self._last = self._past[-1] if self._past else self.prompting.vocabulary
        self._unread = True
        self._fresh = bearings is None
        if bearings is None:
            self.asked.forget()
        self.bearings = bearings or self._taken(sound)

    def plan(self, count: int, controls: ControlSnapshot) -> Plan:
        """The plan of the next chunk, of `count` tokens."""
        tokens = self.next(count, controls)
        return Plan(tokens, self.asked.brief, controls.value("guidance", 1.0))

    def next(self, count: int, controls: ControlSnapshot) -> Tokens:
        """The next tokens int64[count], as the controls ask now."""
        self._orient(controls)
        self.asked.hear(controls, self.bearings, self._index + 1)
        self.writer.ask(self.asked)
        if self._unread:
            self._read()
        parts = []
        while count > 0:
            parts.append(self._write(self._run(count), controls))
            count -= parts[-1].shape[0]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def rest(self, count: int) -> None:
        """There is time before the next `count` tokens: throw their dice, set the clock."""
        self.writer.rest()
        run = self._run(count)
        self._noise.throw(self._seed_now, self._index + 1, run)
        self._clocked.throw(self.bearings.clock, self._index, run)

    def past(self, before: int) -> Tokens:
        """The last tokens whose index is less than `before`, as many as the model looks back on."""
        known = np.array(self._past, np.int64)
        known = known[: max(0, known.shape[0] - max(0, self._index + 1 - before))]
        return known[-self.prompting.language_context :]

    # ---- where the music is ------------------------------------------------------------------

    def _taken(self, sound: Floats | None) -> Bearings:
        """The bearings of the tokens so far."""
        bearings = Bearings(self._index + 1, sound=sound)
        if not self._past:
            return bearings
        evidence = self._told(len(self._past))
        return bearings.taken(evidence, self._index + 1, self._rate_hz)

    def _told(self, count: int) -> Floats:
        """What the last tokens, not more than the model looks back on, say of beat and key."""
        most = min(count, self.prompting.language_context)
        tokens = np.array(self._past, np.int64)[-most:]
        evidence: Floats = self._evidence.run({"tokens": tokens[None]})["evidence"][0]
        return evidence

    def _orient(self, controls: ControlSnapshot) -> None:
        """Bring the bearings up to date: a new prompt frees them, what is asked counts."""
        now = self._index + 1
        if not self._fresh and controls.prompt is not self._prompt:
            self.bearings = Bearings(now)
        self._fresh, self._prompt = False, controls.prompt
        bpm = controls.values.get("bpm")
        if bpm is not None:
            self.bearings = self.bearings.paced(bpm, now, self._rate_hz)
        elif self.bearings.silent_at(now):
            evidence = self._told(min(now - self.bearings.since, LISTEN_BACK_TOKENS))
            self.bearings = self.bearings.heard(evidence, now, self._rate_hz)
        tonic, scale = controls.values.get("tonic"), controls.values.get("scale")
        self.bearings = self.bearings.keyed(tonic, scale)

    # ---- tokens behind tokens ---------------------------------------------------------------

    def _run(self, count: int) -> int:
        """How many of the next `count` tokens are written in one go."""
        return min(count, RUN_TOKENS - (self._index + 1) % RUN_TOKENS)

    def _watched(self) -> Tokens:
        """What the compass looks at: whole runs, as far back as what is asked."""
        begun = (self._index + 1) % RUN_TOKENS
        end = len(self._past) - begun
        count = min(self.asked.watched(self._index + 1 - begun), end)
        if count <= 0:
            return NOTHING_PLAYED
        return np.array(self._past, np.int64)[end - count : end]

    def _write(self, count: int, controls: ControlSnapshot) -> Tokens:
        """The next tokens, a run at a time; from now on they are past."""
        tokens = self._chosen(count, controls)
        self._index += count
        self._past.extend(tokens.tolist())
        self._last = self._past[-1]
        return tokens

    def _chosen(self, count: int, controls: ControlSnapshot) -> Tokens:
        """What the language model chooses for the next run."""
        self._seed_now = self.seed + round(controls.value("seed", 0))
        noise = self._noise.take(self._seed_now, self._index + 1, count)
        noise *= np.float32(controls.value("focus", 1.0))
        return self.writer.write(
            self._last, self._index, self._clocked.take(self.bearings.clock, self._index, count),
            self.asked.leaning(self._index + 1, count, self._watched()), noise,
            round(controls.value("top_k", self.prompting.vocabulary)),
        )  # fmt: skip

    def _read(self) -> None:
        """All tokens of the past but the last, which the first step feeds."""
        tokens = np.array(self._past, np.int64)[-self.prompting.language_context : -1]
        first = self._index - tokens.shape[0]
        self.writer.read(tokens, first, clocked(self.bearings.clock, first, tokens.shape[0]))
        self._unread = False


def clocked(clock: Clock | None, first: int, count: int) -> Floats:
    """What the model is told of where the tokens behind these fall, float32[count, K]."""
    if clock is None:
        return np.zeros((count, CLOCK_SIZE), np.float32)
    return clock_rows(clock.places(np.arange(first + 1, first + count + 1)))
