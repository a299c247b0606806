"""What is to be played, in semantic tokens: the language model's steps between chunks.

The tokens of a stream are numbered like its chunks: chunk c has the tokens c·k … c·k + k − 1, and
those of a take have negative numbers. What a token leaves behind in the model is kept in rings
whose slot is token index modulo context. A clock tells the model where in the bar the next token
falls; it and the rest of the bearings are heard in the tokens. Noise is a function of seed and
token index alone, so the same seed gives the same tokens.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.random import Generator, Philox

from engine.bearings import Bearings
from engine.brief import FAMILIES, Wishes, brief_of
from engine.bundle import Bundle
from engine.clock import CLOCK_SIZE, clock_rows
from engine.controls import ControlSnapshot
from engine.errors import BundleError
from engine.session import Array, Backend, Floats
from engine.spec import ABSENT_CODE, PromptingSpec
from engine.window import Plan, Tokens

SLICE_TOKENS = 128
"""Tokens of the past that the language model reads at once."""

WISHED = ("bpm", "tonic", "scale", "density", "brightness")


class Planner:
    """Tokens without end from one bundle with prompting. Not thread-safe."""

    def __init__(self, bundle: Bundle, backend: Backend, seed: int = 0) -> None:
        """`seed` is added to the control of that name."""
        prompting = bundle.manifest.prompting
        assert prompting is not None, "a planner needs a bundle with prompting"
        graph = bundle.manifest.graphs["language"]
        self.seed = seed
        self._prompting = prompting
        self._asked = Asked(prompting, backend)
        self._session = backend.session("language")
        self._evidence = backend.session("evidence")
        token_samples = prompting.token_frames * bundle.manifest.latent.frame_samples
        self._rate_hz = bundle.manifest.audio.sample_rate_hz / token_samples
        self._specs = graph.states
        self._period = graph.position_period or 1
        self._states: dict[str, Array] = {
            spec.name: np.empty(spec.resolve({}), spec.dtype) for spec in graph.states
        }
        self._tokens = np.zeros((1, 1), np.int64)
        self._clock = np.zeros((1, 1, CLOCK_SIZE), np.float32)
        self._position = np.zeros(1, np.int64)
        self._filled = np.zeros((1, prompting.language_context), np.float32)
        self._brief = np.zeros((1, prompting.brief_size), np.float32)
        self._prefix = np.zeros(graph.input("prefix").resolve({}), np.float32)
        self._step = Step(self)
        self._prompt: Floats | None = None
        # More than the model sees, so that tokens of chunks given up leave enough behind.
        self._past: deque[int] = deque(maxlen=2 * prompting.language_context)
        self.prime(np.zeros(0, np.int64))

    def prime(
        self, tokens: Tokens, next_index: int = 0, bearings: Bearings | None = None,
        sound: Floats | None = None,
    ) -> None:  # fmt: skip
        """Start anew behind these tokens int64[n], or from nothing; then comes `next_index`.

        They are read when the first new token is wanted, with what is asked then. `bearings` are
        those of before; else they are heard in the tokens. `sound` float32[E] is a take's place in
        the joint space, which stands for a prompt while there is none.
        """
        self._past.clear()
        self._past.extend(tokens.tolist())
        self._index = next_index - 1  # of the last token there is
        self._last = self._past[-1] if self._past else self._prompting.vocabulary
        self._unread = True
        self._fresh = bearings is None
        self.bearings = bearings or self._taken(sound)

    def plan(self, count: int, controls: ControlSnapshot) -> Plan:
        """The plan of the next chunk, of `count` tokens."""
        tokens = self.next(count, controls)
        return Plan(tokens, self._asked.brief, controls.value("guidance", 1.0))

    def next(self, count: int, controls: ControlSnapshot) -> Tokens:
        """The next tokens int64[count], as the controls ask now."""
        self._orient(controls)
        self._asked.hear(controls, self.bearings)
        self._brief[0] = self._asked.brief
        self._prefix[...] = self._asked.prefix
        if self._unread:
            self._read()
        return np.array([self._one(controls) for _ in range(count)], np.int64)

    def past(self, before: int) -> Tokens:
        """The last tokens whose index is less than `before`, as many as the model looks back on."""
        known = np.array(self._past, np.int64)
        known = known[: max(0, known.shape[0] - max(0, self._index + 1 - before))]
        return known[-self._prompting.language_context :]

    # ---- where the music is ------------------------------------------------------------------

    def _taken(self, sound: Floats | None) -> Bearings:
        """The bearings of the tokens so far."""
        bearings = Bearings(self._index + 1, sound=sound)
        if not self._past:
            return bearings
        evidence = self._told(len(self._past))
        return bearings.heard(evidence, self._index + 1, self._rate_hz).keyed(evidence)

    def _told(self, count: int) -> Floats:
        """What the last tokens, not more than the model looks back on, say of beat and key."""
        most = min(count, self._prompting.language_context)
        tokens = np.array(self._past, np.int64)[-most:]
        evidence: Floats = self._evidence.run({"tokens": tokens[None]})["evidence"][0]
        return evidence

    def _orient(self, controls: ControlSnapshot) -> None:
        """Bring the bearings up to date: a new prompt frees them, a tempo that is asked counts."""
        now = self._index + 1
        if not self._fresh and controls.prompt is not self._prompt:
            self.bearings = Bearings(now)
        self._fresh, self._prompt = False, controls.prompt
        bpm = controls.values.get("bpm")
        if bpm is not None:
            self.bearings = self.bearings.paced(bpm, now, self._rate_hz)
        elif self.bearings.silent_at(now):
            evidence = self._told(now - self.bearings.since)
            self.bearings = self.bearings.heard(evidence, now, self._rate_hz)

    def _clocked(self, indices: Tokens) -> Floats:
        """What the model is told of where the tokens behind these fall, float32[1, n, K]."""
        clock = self.bearings.clock
        if clock is None:
            return np.zeros((1, indices.shape[0], CLOCK_SIZE), np.float32)
        return clock_rows(clock.places(indices + 1))[None]

    # ---- one token after another ------------------------------------------------------------

    def _one(self, controls: ControlSnapshot) -> int:
        """Feed the last token, choose the one behind it."""
        self._tokens[0, 0] = self._last
        self._position[0] = self._index % self._period
        here = np.array([self._index])
        self._clock[...] = self._clocked(here)
        self._step.go()
        self._keep(self._step.out, here)
        seed = self.seed + round(controls.value("seed", 0))
        logits = self._step.out["logits"][0, 0] + self._asked.lean
        self._last = choose(
            logits, token_noise(seed, self._index + 1, self._step.size),
            controls.value("focus", 1.0), round(controls.value("top_k", self._step.size)),
        )  # fmt: skip
        self._index += 1
        self._past.append(self._last)
        return self._last

    def _read(self) -> None:
        """All tokens of the past but the last, which the first step feeds."""
        for spec in self._specs:
            self._states[spec.name].fill(spec.initial)
        self._filled.fill(0.0)
        tokens = np.array(self._past, np.int64)[-self._prompting.language_context : -1]
        for start in range(0, tokens.shape[0], SLICE_TOKENS):
            part = tokens[start : start + SLICE_TOKENS]
            indices = self._index - tokens.shape[0] + start + np.arange(part.shape[0])
            self._position[0] = indices[0] % self._period
            feeds = self._feeds
            feeds["tokens"], feeds["clock"] = part[None], self._clocked(indices)
            self._keep(self._session.run(feeds), indices)
        self._unread = False

    def _keep(self, out: dict[str, Array], indices: Tokens) -> None:
        """Into the rings, what tokens of these indices leave behind."""
        slots = indices % self._prompting.language_context
        for spec in self._specs:
            self._states[spec.name][:, slots] = out[spec.next_name]
        self._filled[0, slots] = 1.0

    @property
    def _feeds(self) -> dict[str, Array]:
        return {
            "tokens": self._tokens, "brief": self._brief, "clock": self._clock,
            "position": self._position, "filled": self._filled, "prefix": self._prefix,
            **self._states,
        }  # fmt: skip


class Step:
    """The arrays of a run of one token, bound once."""

    def __init__(self, planner: Planner) -> None:
        self.size = planner._prompting.vocabulary
        self.out: dict[str, Array] = {"logits": np.zeros((1, 1, self.size), np.float32)}
        for spec in planner._specs:
            shape = (1, 1, *planner._states[spec.name].shape[2:])
            self.out[spec.next_name] = np.zeros(shape, spec.dtype)
        self.go = planner._session.bind(planner._feeds, self.out)


class Asked:
    """What the controls ask, as the networks want it; made anew only where it has changed.

    `lean` float32[V] favours the tokens that music of this brief is made of, as far as a player
    asked for it: what is only heard needs no push, and too much of one wears music out.
    """

    def __init__(self, prompting: PromptingSpec, backend: Backend) -> None:
        self._prompting = prompting
        self._quantise = backend.session("quantise")
        self._prefix = backend.session("prefix")
        self._lean = backend.session("lean")
        self._heard: tuple[ControlSnapshot, Bearings] | None = None
        self.brief: Floats = np.zeros(prompting.brief_size, np.float32)
        self.lean: Floats = np.zeros(prompting.vocabulary, np.float32)
        self._turn(None)

    def hear(self, controls: ControlSnapshot, bearings: Bearings) -> None:
        """Bring `brief` and `prefix` up to date."""
        if self._heard and controls is self._heard[0] and bearings is self._heard[1]:
            return
        prompt = controls.prompt if controls.prompt is not None else bearings.sound
        if prompt is not self._prompt:
            self._turn(prompt)
        wishes, prompted = wishes_of(controls), controls.prompt is not None
        asked = brief_of(self._place if prompted else None, self._prompting.embedding, wishes)
        self.brief = brief_of(
            self._place, self._prompting.embedding, bearings.filled(wishes, prompted)
        )
        pull = self._prompting.pull * controls.value("guidance", 1.0)
        self.lean = pull * self._lean.run({"brief": asked[None]})["lean"][0]
        self._heard = controls, bearings

    def _turn(self, prompt: Floats | None) -> None:
        """To another prompt, float32[E], or to none."""
        codes = np.full((1, self._prompting.codes), ABSENT_CODE, np.int64)
        self._prompt, self._place = prompt, prompt
        if prompt is not None:
            made = self._quantise.run({"embedding": np.ascontiguousarray(prompt[None])})
            codes, self._place = made["codes"], made["quantised"][0]
        self.prefix: Floats = self._prefix.run({"codes": codes})["prefix"]


def wishes_of(controls: ControlSnapshot) -> Wishes:
    """The musical controls that are not free."""
    numbers = {name: controls.values.get(name) for name in (*WISHED, *FAMILIES)}
    tonic, scale = numbers["tonic"], numbers["scale"]
    return Wishes(
        numbers["bpm"],
        None if tonic is None else round(tonic),
        None if scale is None else round(scale),
        numbers["density"],
        numbers["brightness"],
        {name: value > 0 for name in FAMILIES if (value := numbers[name]) is not None},
    )


def token_noise(seed: int, index: int, size: int) -> Floats:
    """Gumbel noise float32[size] of one token, from seed and token index alone.

    Another part of the generator's range than that of the chunks' noise.
    """
    key = np.array([seed % 2**64, index % 2**64], np.uint64)
    counter = np.array([0, 0, 0, 1], np.uint64)
    return Generator(Philox(key=key, counter=counter)).gumbel(size=size).astype(np.float32)


def choose(logits: Floats, noise: Floats, focus: float, top_k: int) -> int:
    """One of the `top_k` likeliest, drawn at temperature `focus`; 0 is the likeliest itself.

    logits, Gumbel noise: float32[V]. BundleError for logits that are not finite.
    """
    if not np.isfinite(logits).all():
        raise BundleError("language: its logits are not finite; the bundle is damaged")
    scores = logits + focus * noise  # argmax(l / f + g) = argmax(l + f·g)
    if top_k < logits.shape[0]:
        scores[logits < np.partition(logits, -top_k)[-top_k]] = -np.inf
    return int(scores.argmax())
