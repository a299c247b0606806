"""What training says of a stretch of music: prompt codes and briefs, as a player would.

For every song of a store: the controls of every token, from the corpus's truth, and prompts of
stretches a few seconds long, from their sound and from captions, through the joint embedding.
Recordings without truth have prompts from their sound alone, and free controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.brief import CONTROLS_SIZE, GROUPS, control_groups
from engine.clock import CLOCK_SIZE, SIXTEENTHS, clock_rows
from engine.words import Words
from model.corpus.captions import caption, facts
from model.corpus.labels import control_rows, frame_labels
from model.corpus.variants import song_of, truth_beside
from model.mulan import Mulan
from model.tokenise import Semantics
from model.train_mulan import load_mulan, load_words, padded

Floats = npt.NDArray[np.float32]

STRETCH_S, HOP_S = 8.0, 4.0
CAPTIONS = 4
SOUND_PART = 0.4
"""Of the prompts that are given: as often the sound itself, else one of the captions."""
UNPROMPTED, UNTOLD, UNCLOCKED = 0.4, 0.2, 0.3
"""Of the sequences: as many have no prompt, no control, no clock."""
TOLD = (0.06, 0.3, 0.6, 1.0)
"""Parts of the controls that are told together; a player often asks for one alone."""


@dataclass(slots=True)
class Told:
    """One song: `controls` float16 [n, CONTROLS_SIZE] and `clock` [n, CLOCK_SIZE] by token, `codes`
    int64 [k, 1 + c, 12] and `places` float32 [k, 1 + c, E] of its stretches; the first of each is
    the sound.
    """

    controls: npt.NDArray[np.float16]
    clock: npt.NDArray[np.float16]
    codes: Tensor
    places: Tensor


class Briefs:
    """Prompts and controls of every song, and random choices of what is said of them."""

    def __init__(
        self, store: Semantics, mulan: Mulan, words: Words, corpus: Path | None, seed: int = 1
    ) -> None:
        self.rate_hz = store.rate_hz
        self.hop = round(HOP_S * store.rate_hz)
        self.absent = mulan.sizes.code_vocabulary
        self.prompt_size = mulan.sizes.embedding
        self._store, self._mulan, self._words, self._corpus = store, mulan, words, corpus
        self._rng = np.random.default_rng(seed)
        self._songs: dict[str, Told] = {}

    def song(self, name: str) -> Told:
        """What is known of a song; worked out when it is first asked for."""
        if name not in self._songs:
            self._songs[name] = self._told(name)
        return self._songs[name]

    @property
    def size(self) -> int:
        """Length of a brief."""
        return self.prompt_size + CONTROLS_SIZE

    def prompt(
        self, name: str, start: int, rng: np.random.Generator, always: bool = False
    ) -> tuple[Tensor, Tensor]:
        """codes int64 [12] and place float32 [E] of a prompt for the music from token `start` on.

        Absent codes and zeros for two in five, unless there is `always` to be one.
        """
        told = self.song(name)
        if rng.random() < UNPROMPTED and not always:
            return torch.full_like(told.codes[0, 0], self.absent), torch.zeros(self.prompt_size)
        stretch = min(round(start / self.hop), len(told.codes) - 1)
        ways = told.codes.shape[1]
        way = 0 if ways == 1 or rng.random() < SOUND_PART else int(rng.integers(1, ways))
        return told.codes[stretch, way], told.places[stretch, way]

    def controls(
        self, name: str, start: int, count: int, rng: np.random.Generator,
        surely: tuple[str, ...] = (),
    ) -> Floats:  # fmt: skip
        """float32 [count, CONTROLS_SIZE]: the truth of those tokens, as far as it is told.

        Groups named in `surely` (`engine.brief.GROUPS`) are told in any case.
        """
        mask = told_mask(rng)
        for group in surely:
            mask[control_groups()[GROUPS.index(group)]] = 1.0
        return _rows(self.song(name).controls, start, count) * mask

    def clock(self, name: str, start: int, count: int, rng: np.random.Generator) -> Floats:
        """float32 [count, CLOCK_SIZE]: where in the bar those tokens fall; zeros untold."""
        rows = _rows(self.song(name).clock, start, count)
        return rows * np.float32(rng.random() >= UNCLOCKED)

    @torch.no_grad()
    def _told(self, name: str) -> Told:
        features = torch.from_numpy(self._store.features(name).astype(np.float32))
        long = min(round(STRETCH_S * self.rate_hz), len(features))
        starts = range(0, max(len(features) - long, 0) + 1, self.hop)
        places = [
            self._mulan.audio_embedding(torch.stack([features[s : s + long] for s in starts]))
        ]
        controls = np.zeros((len(features), CONTROLS_SIZE), np.float16)
        clock = np.zeros((len(features), CLOCK_SIZE), np.float16)
        truth = truth_beside(self._corpus, name)
        if truth is not None:
            controls[:] = control_rows(frame_labels(truth, len(features), self.rate_hz))
            if 4 * truth["beats_per_bar"] == SIXTEENTHS:
                at_s = (np.arange(len(features)) + 0.5) / self.rate_hz
                clock[:] = clock_rows(4 * at_s * truth["bpm"] / 60)
            for _ in range(CAPTIONS if song_of(name)[1] == 0 else 1):
                texts = [self._caption(truth, s, s + long) for s in starts]
                places.append(self._mulan.text_embedding(padded(texts)))
        ways = torch.stack(places, 1)
        codes = self._mulan.codes(ways.flatten(0, 1))
        heard = self._mulan.quantised(codes).view_as(ways)
        return Told(controls, clock, codes.unflatten(0, ways.shape[:2]), heard)

    def _caption(self, truth: dict[str, Any], start: int, stop: int) -> npt.NDArray[np.int64]:
        """Word ids of a new caption of the tokens from start to stop."""
        known = facts(truth, start / self.rate_hz, stop / self.rate_hz)
        return self._words.ids(caption(known, self._rng))


def _rows(table: npt.NDArray[np.float16], start: int, count: int) -> Floats:
    """Rows of a song's table; behind its end the last one goes on."""
    rows = table[start : start + count].astype(np.float32)
    return np.pad(rows, ((0, count - len(rows)), (0, 0)), mode="edge")


def load_briefs(store: Semantics, mulan: Path, corpus: Path | None) -> Briefs:
    """Briefs of a store's songs by the joint embedding of a run folder."""
    return Briefs(store, load_mulan(mulan), Words(load_words(mulan)), corpus)


def told_mask(rng: np.random.Generator) -> Floats:
    """float32 [CONTROLS_SIZE]: 1 where a control is told; now nothing, now one, now all."""
    mask = np.zeros(CONTROLS_SIZE, np.float32)
    if rng.random() < UNTOLD:
        return mask
    part = rng.choice(TOLD)
    for group in control_groups():
        mask[group] = rng.random() < part
    return mask
