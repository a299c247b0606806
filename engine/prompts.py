"""What a listener asks for, in words or as recordings, as one place in the joint music-text space.

May be used by any thread: it holds nothing but the sessions of the bundle's own graphs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.brief import instruments_said
from engine.bundle import Bundle
from engine.errors import ControlError
from engine.session import Backend, Floats
from engine.spec import AudioSpec
from engine.words import FUNCTION_WORDS, Words

MOST_PROMPTS = 16
MOST_CHARACTERS = 1000
MOST_WEIGHT = 100.0

LEAST_S, MOST_S = 1.0, 60.0
"""Seconds of a reference recording: at least, and as many of its end are heard."""

CLIP_S = 10.0
"""Longer recordings are heard in clips of about this length."""

SILENT_LEVEL = 1e-4
"""Peak below which a recording is silent: −80 dB."""

BESIDE = 0.7
"""What the words for instruments weigh beside a prompt: with 1 they win what the style loses
(bench/LOG.md, 2026-11-22)."""

EXAMPLES = 8
"""Known words that an error names."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A text or a recording (float32[samples, channels] at the bundle's rate), and its weight.

    ControlError names what is wrong: no text and no audio, or both, over 1000 characters, a
    weight that is not in 0 < weight ≤ 100.
    """

    text: str | None = None
    audio: Floats | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if (self.text is None) == (self.audio is None):
            raise ControlError("prompt: it takes a text or a recording, one of the two")
        if self.text is not None:
            _check_text(self.text)
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float):
            raise _bad_weight(self.weight)
        if not 0.0 < self.weight <= MOST_WEIGHT:  # also for NaN
            raise _bad_weight(self.weight)


class Prompts:
    """Embeds prompts with the graphs of one bundle that takes them."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        assert bundle.manifest.prompting is not None, "the bundle takes no prompts"
        self._audio = bundle.manifest.audio
        frame = bundle.manifest.latent.frame_samples
        self._token = bundle.manifest.prompting.token_frames * frame
        self._words = Words(bundle.words)
        self._functions = {
            number for number, word in enumerate(bundle.words, 1) if word in FUNCTION_WORDS
        }
        self._text, self._music = backend.session("text"), backend.session("music")
        self._semantic = backend.session("semantic")

    def embed(self, prompts: Sequence[Prompt]) -> Floats | None:
        """The weighted blend float32[E] of length 1; None for no prompts at all.

        ControlError in one line for more than 16 prompts, for a text without a known word, and
        for a recording that is silent, shorter than 1 s or not finite.
        """
        if len(prompts) > MOST_PROMPTS:
            raise ControlError(f"prompts: {len(prompts)} of them, it takes 0 … {MOST_PROMPTS}")
        if not prompts:
            return None
        blend = sum(prompt.weight * self._place(prompt).astype(np.float64) for prompt in prompts)
        length = float(np.linalg.norm(blend))
        if not length > 1e-6 * sum(prompt.weight for prompt in prompts):
            raise ControlError("prompts: they cancel each other out; leave one of them out")
        return np.asarray(blend / length, np.float32)

    def with_instruments(
        self, place: Floats | None, playing: Sequence[str], alone: bool = False
    ) -> Floats | None:
        """A place float32[E] of length 1, or none, and beside it what is said of instruments.

        `playing` are of `engine.brief.FAMILIES`; those the bundle has no word for change nothing.
        """
        words = self._known(instruments_said(playing, alone))
        if words is None:
            return place
        said = self._place_of_words(words)
        return said if place is None else _of_length_one(place + BESIDE * said)

    def _place(self, prompt: Prompt) -> Floats:
        if prompt.text is not None:
            return self._place_of_text(prompt.text)
        assert prompt.audio is not None
        return self._place_of_audio(prompt.audio)

    def _place_of_text(self, text: str) -> Floats:
        words = self._known(text)
        if words is None:
            raise ControlError(
                f"prompt: no word of {text!r:.60} is known; known are for example "
                + ", ".join(self._examples())
            )
        return self._place_of_words(words)

    def _known(self, text: str) -> npt.NDArray[np.int64] | None:
        """Ids of the known words of a text; None where none of them says anything by itself."""
        words = self._words.ids(text)
        return words if set(words.tolist()) - self._functions else None

    def _place_of_words(self, words: npt.NDArray[np.int64]) -> Floats:
        place: Floats = self._text.run({"words": words[None]})["embedding"][0]
        return place

    def _examples(self) -> list[str]:
        """Some known words, from all over the list."""
        plain = [
            word for word in self._words.known
            if word not in FUNCTION_WORDS and not word.startswith("<")
        ]  # fmt: skip
        return plain[:: max(1, math.ceil(len(plain) / EXAMPLES))]

    def _place_of_audio(self, audio: Floats) -> Floats:
        """The mean place of the clips of a recording."""
        check_recording(audio, self._audio)
        rate_hz = self._audio.sample_rate_hz
        audio = audio[-round(MOST_S * rate_hz) :]
        clips = math.ceil(audio.shape[0] / rate_hz / CLIP_S)
        length = audio.shape[0] // clips // self._token * self._token
        heard = [self._heard(audio[k * length : (k + 1) * length]) for k in range(clips)]
        return _of_length_one(np.mean(heard, axis=0))

    def _heard(self, clip: Floats) -> Floats:
        audio = np.ascontiguousarray(clip.T[None], np.float32)
        features = self._semantic.run({"audio": audio})["features"]
        place: Floats = self._music.run({"features": features})["embedding"][0]
        return place


def _of_length_one(place: Floats) -> Floats:
    return np.asarray(place / max(float(np.linalg.norm(place)), 1e-6), np.float32)


def check_recording(audio: Floats, spec: AudioSpec) -> None:
    """ControlError for audio that cannot be a prompt: too short, silent, not finite, misshapen."""
    if audio.ndim != 2 or audio.shape[1] != spec.channels:
        raise ControlError(f"prompt: audio {audio.shape}, it takes [samples, {spec.channels}]")
    seconds = audio.shape[0] / spec.sample_rate_hz
    if seconds < LEAST_S:
        raise ControlError(f"prompt: {seconds:.2f} s of audio, it takes {LEAST_S:g} s or more")
    if not np.isfinite(audio).all():
        raise ControlError("prompt: its audio holds samples that are not finite numbers")
    if np.abs(audio).max() < SILENT_LEVEL:
        raise ControlError("prompt: its audio is silent; it takes a recording of music")


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise ControlError(f"prompt: text is {text!r:.40}, it takes a text")
    if not text.strip() or len(text) > MOST_CHARACTERS:
        found = f"has {len(text):,} characters" if text.strip() else "is empty"
        raise ControlError(f"prompt: text {found}, it takes 1 … {MOST_CHARACTERS}")


def _bad_weight(weight: object) -> ControlError:
    return ControlError(f"prompt: weight is {weight!r:.40}, it takes 0 < weight ≤ {MOST_WEIGHT:g}")
