"""What the controls ask, as the networks want it, and which tokens that favours.

A player's ask pulls: log P(token | brief) / P(token) is added to the logits. Right behind a change
of what is asked the pull is strongest, and fades: the music turns at once, and is not worn out by
being pushed for ever. Time counts in tokens, so that it is the same whenever and however they are
written. A key does not pull, it is a fence: tokens that do not fit it are held back, for as long as
it is asked, or heard and held on to; and a compass, which favours what tells it from other keys as
long as what was played does not (`engine.harmony`). A tempo has a fence as well, beside its pull:
tokens that do not fit the place in the bar at which they would fall are held back. Instruments that
are to play are told twice, by their controls and as their words would be: they come on oftener.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine.bearings import Bearings
from engine.brief import FAMILIES, SCALES, Wishes, brief_of
from engine.clock import KEYS, SIXTEENTHS, Clock
from engine.controls import ControlSnapshot
from engine.harmony import Compass, by_notes, misfit, notes_of
from engine.prompts import Prompts
from engine.session import Backend, Floats
from engine.spec import ABSENT_CODE, PromptingSpec
from engine.window import Tokens

WISHED = ("bpm", "tonic", "scale", "density", "brightness")
WORN_OUT = 20.0
"""e-foldings behind which 1 + push is 1 in float32, for any push up to 10."""
LONG_AGO = -(2**40)
"""A token so far back that nothing of a push is left."""
HEARD = 0.25
"""Part of a fence that stands around what was only heard: of four keys, one is heard wrong, and
music kept as well in its key by a quarter as by the whole (bench/LOG.md, 2026-11-22)."""
COURSE = 2.0
"""How hard the compass steers, as a multiple of the fence."""
COURSE_S = 8.0
"""Of what was played last, it looks at so much, if the language model does."""
NOTHING_PLAYED: Tokens = np.zeros(0, np.int64)


class Asked:
    """Made anew only where what is asked, or heard, has changed.

    `brief` and `prefix` are for the networks. `lean` float32[V] favours the tokens that music of
    what is *asked* is made of: what is only heard needs no pull, and too much wears music out.
    `fence` float32[V] ≤ 0 holds back what does not fit the key, asked or heard, and `notes` are
    those of the key, if it is known whole. `since` is the token from which on this has been asked.
    """

    def __init__(
        self, prompting: PromptingSpec, backend: Backend, rate_hz: float, prompts: Prompts
    ) -> None:
        self._prompting, self._rate_hz, self._prompts = prompting, rate_hz, prompts
        self._quantise = backend.session("quantise")
        self._prefix = backend.session("prefix")
        self._lean = backend.session("lean")
        self._notes: Floats | None = None
        self._compass: Compass | None = None
        tokens = np.arange(prompting.vocabulary)[None]
        said = backend.session("evidence").run({"tokens": tokens})["evidence"][0]
        if prompting.key_pull:
            self._notes = by_notes(said[:, -KEYS:])
            self._compass = Compass(self._notes)
        misplaced = np.minimum(said[:, :SIXTEENTHS].T, np.float32(0.0))
        self._off_beat: Floats = np.float32(prompting.beat_pull) * misplaced
        """[place in the bar, V] ≤ 0: how badly each token fits there."""
        self._clock: Clock | None = None
        self._beats = HEARD  # part of that which counts
        self.brief: Floats = np.zeros(prompting.brief_size, np.float32)
        self.lean: Floats = np.zeros(prompting.vocabulary, np.float32)
        self.fence: Floats = np.zeros(prompting.vocabulary, np.float32)
        self.notes: int | None = None
        self._fenced: tuple[int | None, int | None, float] = (None, None, HEARD)
        self._leans = False  # towards anything at all
        self._asked: Floats | None = None
        self._prompt: Floats | None = None
        self._playing: tuple[tuple[str, ...], bool] = (), False
        self._turn(None)
        self.forget()

    def forget(self) -> None:
        """The music begins anew: what is asked then is asked from there on."""
        self._heard: tuple[ControlSnapshot, Bearings] | None = None
        self._wanted: tuple[Floats | None, Wishes] | None = None
        self.since = LONG_AGO

    def recall(self, controls: ControlSnapshot, since: int) -> None:
        """What these controls ask has been asked since this token."""
        self._heard, self._wanted = None, (controls.prompt, wishes_of(controls))
        self.since = since

    def asked_since(self, controls: ControlSnapshot, now: int) -> int:
        """From which token on this is asked, if the next one is `now`."""
        if self._wanted is None:
            return now
        prompt, wishes = self._wanted
        same = prompt is controls.prompt and wishes == wishes_of(controls)
        return self.since if same else now

    def hear(self, controls: ControlSnapshot, bearings: Bearings, now: int) -> None:
        """Bring everything up to date before the token `now`."""
        if self._heard and controls is self._heard[0] and bearings is self._heard[1]:
            return
        self.recall(controls, self.asked_since(controls, now))
        self._heard = controls, bearings
        wishes, prompted = wishes_of(controls), controls.prompt is not None
        prompt = controls.prompt if prompted else bearings.sound
        playing = tuple(name for name, plays in wishes.families.items() if plays)
        alone = len(wishes.families) == len(FAMILIES)  # no other is left free
        if prompt is not self._prompt or (playing, alone) != self._playing:
            self._prompt, self._playing = prompt, (playing, alone)
            self._turn(self._prompts.with_instruments(prompt, playing, alone))
        size = self._prompting.embedding
        filled = bearings.filled(wishes)
        self.brief = brief_of(self._place, size, filled)
        self._clock, self._beats = bearings.clock, 1.0 if wishes.bpm is not None else HEARD
        keyed = wishes.tonic is not None or wishes.scale is not None
        self._enclose(filled.tonic, filled.scale, 1.0 if keyed else HEARD)
        pulling = replace(wishes, tonic=None, scale=None) if self._notes is not None else wishes
        asked = brief_of(self._place if prompted else None, size, pulling)
        if self._asked is None or not np.array_equal(asked, self._asked):
            self._asked, self._favour = asked, self._favoured(asked)
        self.lean = self._favour * np.float32(controls.value("guidance", 1.0))
        self._leans = bool(self.lean.any())

    def watched(self, now: int) -> int:
        """How many tokens before `now` the compass looks at; none where no key is known whole."""
        if self._compass is None or self.notes is None:
            return 0
        most = min(round(COURSE_S * self._rate_hz), self._prompting.language_context)
        return max(0, min(now - self.since, most))

    def leaning(self, first: int, count: int, played: Tokens = NOTHING_PLAYED) -> Floats:
        """float32[count | 1, V]: what is added to the logits of the tokens from `first` on.

        `played` int64[n] are the tokens that the compass looks at.
        """
        sizes = self._prompting
        held = self.fence + self._kept_beat(first, count)
        if self._compass is not None and self.notes is not None:
            hard = np.float32(COURSE * self._fenced[2] * sizes.key_pull)
            held = held + hard * self._compass.course(self.notes, played)
        if not self._leans or first - self.since > WORN_OUT * sizes.fade_s * self._rate_hz:
            # There is nothing to push, or what is left rounds to nothing.
            return self.lean + held
        elapsed_s = np.maximum(np.arange(first, first + count) - self.since, 0) / self._rate_hz
        strength = pushed(elapsed_s, sizes.push, sizes.fade_s).astype(np.float32)
        lean: Floats = strength[:, None] * self.lean + held
        return lean

    def _kept_beat(self, first: int, count: int) -> Floats:
        """float32[count | 1, V] ≤ 0: the fence around the beat, for the tokens from `first` on."""
        if self._clock is None or not self._prompting.beat_pull:
            return np.zeros((1, 1), np.float32)
        places = self._clock.places(np.arange(first, first + count)).astype(np.int64) % SIXTEENTHS
        held: Floats = np.float32(self._beats) * self._off_beat[places]
        return held

    def _enclose(self, tonic: int | None, scale: int | None, part: float) -> None:
        """A fence around this key, or part of one, and its notes; none around no key."""
        if self._notes is None or (tonic, scale, part) == self._fenced:
            return
        self._fenced = tonic, scale, part
        self.notes = None if tonic is None or scale is None else notes_of(tonic, SCALES[scale])
        self.fence = np.zeros_like(self.lean)
        if tonic is not None or scale is not None:
            strength = np.float32(part * self._prompting.key_pull)
            self.fence = strength * misfit(self._notes, tonic, scale)

    def _favoured(self, asked: Floats) -> Floats:
        """float32[V] of what is asked, before guidance and time."""
        favour: Floats = self._prompting.pull * self._lean.run({"brief": asked[None]})["lean"][0]
        return favour.astype(np.float32, copy=False)

    def _turn(self, place: Floats | None) -> None:
        """To another place in the joint space, float32[E], or to none."""
        codes = np.full((1, self._prompting.codes), ABSENT_CODE, np.int64)
        self._place = place
        if place is not None:
            made = self._quantise.run({"embedding": np.ascontiguousarray(place[None])})
            codes, self._place = made["codes"], made["quantised"][0]
        self.prefix: Floats = self._prefix.run({"codes": codes})["prefix"]


def pushed(
    elapsed_s: npt.NDArray[np.float64], push: float, fade_s: float
) -> npt.NDArray[np.float64]:
    """How much stronger than in the long run a pull is, so long after a change of what is asked.

    1 + push at once, by a factor e nearer to 1 every `fade_s`.
    """
    strength: npt.NDArray[np.float64] = 1.0 + push * np.exp(-elapsed_s / fade_s)
    return strength


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
