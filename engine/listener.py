"""What is heard in a take: its end as latents, and as semantic tokens where a bundle has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.bundle import Bundle
from engine.errors import BundleError, TakeError
from engine.session import Backend, Floats
from engine.window import UNPLANNED, Plan, Tokens

EDGE_FRAMES = 4
"""Frames of mirrored audio behind the end of a take, so that the encoder sees no sudden end."""

EDGE_TOKENS = 2
"""The same in tokens."""

SOUND_TOKENS, FEWEST_TOKENS = 200, 8
"""Tokens at the end of a take that its sound is taken from, and fewer than tell it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The end of a take: chunks float32[n, frames, dim], their plans, all tokens heard, and its
    place in the joint space float32[E].
    """

    latents: Floats
    plans: list[Plan]
    tokens: Tokens | None
    sound: Floats | None = None


class Listener:
    """Listens to takes for one generator."""

    def __init__(self, bundle: Bundle, backend: Backend, chunk_frames: int) -> None:
        self._manifest = manifest = bundle.manifest
        self._encoder = backend.session("encoder")
        self._chunk_frames = chunk_frames
        self._chunk = chunk_frames * manifest.latent.frame_samples
        self.chunk_tokens = 0
        self.unplanned = UNPLANNED
        """The plan of a chunk of which nothing is known."""
        if (prompting := manifest.prompting) is not None:
            self._semantic = backend.session("semantic")
            self._music = backend.session("music")
            self._token = prompting.token_frames * manifest.latent.frame_samples
            self.chunk_tokens = chunk_frames // prompting.token_frames
            self.unplanned = Plan(
                np.full(self.chunk_tokens, prompting.vocabulary, np.int64),
                np.zeros(prompting.brief_size, np.float32),
            )

    def listen(self, audio: Floats, most_chunks: int) -> Heard:
        """The end of float32[samples, channels], which is the end of its last chunk.

        As many whole chunks as there are, `most_chunks` at most; audio shorter than one is
        mirrored to fill one. TakeError for audio that is empty, not finite, or of another shape.
        """
        audio = self._checked(audio)
        count = min(max(1, audio.shape[0] // self._chunk), most_chunks)
        latents = self._latents(audio, count)
        if not self.chunk_tokens:
            return Heard(latents, [UNPLANNED] * count, None)
        tokens, sound = self._tokens(audio, count)
        each = tokens[tokens.shape[0] - count * self.chunk_tokens :].reshape(count, -1)
        return Heard(latents, [Plan(row, self.unplanned.brief) for row in each], tokens, sound)

    def planned(self, plans: Sequence[Plan]) -> Tokens:
        """The tokens of these plans in a row, int64[n], without those of which nothing is known."""
        empty = np.zeros(0, np.int64)
        tokens: Tokens = np.concatenate([empty, *(plan.tokens for plan in plans)])
        known: Tokens = tokens[tokens != self.unplanned.tokens[0]]
        return known

    def _checked(self, audio: Floats) -> Floats:
        channels = self._manifest.audio.channels
        if audio.ndim != 2 or audio.shape[1] != channels or not audio.shape[0]:
            raise TakeError(f"a take of shape {audio.shape}, expected [samples, {channels}]")
        if not np.isfinite(audio).all():
            raise TakeError("the take holds samples that are not finite numbers")
        return audio.astype(np.float32, copy=False)

    def _latents(self, audio: Floats, count: int) -> Floats:
        """The last chunks float32[count, frames, dim]."""
        frame = self._manifest.latent.frame_samples
        before = self._chunk if audio.shape[0] >= (count + 1) * self._chunk else 0
        seen = end_of(audio, count * self._chunk + before, EDGE_FRAMES * frame)
        latents = self._encoder.run({"audio": seen})["latents"][0]
        start = before // frame
        kept = latents[start : start + count * self._chunk_frames]
        return np.ascontiguousarray(kept).reshape(count, self._chunk_frames, -1)

    def _tokens(self, audio: Floats, count: int) -> tuple[Tokens, Floats | None]:
        """The last tokens int64[n], at least those of `count` chunks, and the sound of them."""
        assert self._manifest.prompting is not None
        most = self._manifest.prompting.language_context
        n = max(min(audio.shape[0] // self._token, most), count * self.chunk_tokens)
        seen = end_of(audio, n * self._token, EDGE_TOKENS * self._token)
        heard = self._semantic.run({"audio": seen})
        tokens = heard["tokens"][0, :n]
        if tokens.shape[0] < n:
            raise BundleError(f"semantic gave {tokens.shape[0]} tokens where {n} were due")
        features = heard["features"][:, :n][:, -SOUND_TOKENS:]
        enough = features.shape[1] >= FEWEST_TOKENS
        sound = self._music.run({"features": features})["embedding"][0] if enough else None
        return np.asarray(tokens, np.int64), sound


def end_of(audio: Floats, samples: int, behind: int) -> Floats:
    """The last samples and so many mirrored behind them, float32[1, channels, samples + behind]."""
    places = np.arange(audio.shape[0] - samples, audio.shape[0] + behind)
    return np.ascontiguousarray(audio[mirrored(places, audio.shape[0])].T[None])


def mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Places inside and outside of [0, length), folded back into it as between two mirrors."""
    turn = places % (2 * length)
    return np.where(turn < length, turn, 2 * length - 1 - turn)
