"""What words find among windows that were never heard: a table that judges the joint space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.words import Words
from model.corpus.captions import Facts
from model.corpus.phrases import GROUPS, STYLE_WORDS, Group
from model.mulan import Mulan

Scores = npt.NDArray[np.float32]

FIRST = 10
"""Of what is found, so many are looked at."""

FREE_TEXT = {
    "I would love to dance all night in a club, four on the floor!": "house",
    "put on a techno party, thumping and electronic": "house",
    "something peaceful and floating that helps me to fall asleep": "ambient",
    "spacious dreamy meditation soundscapes, please": "ambient",
    "an old smoky cellar, a swinging trio improvises": "jazz",
    "late dinner in a lounge, sophisticated swing": "jazz",
    "make it groove, greasy and syncopated like motown": "funk",
    "soulful seventies grooves for a car chase": "funk",
    "unplugged songwriter beside the campfire": "folk",
    "rustic, pastoral, a walk through the mountains": "folk",
    "frantic jungle breakbeats at breakneck speed": "drum and bass",
    "an adrenaline rush, liquid dnb in a warehouse": "drum and bass",
    "retro arcade bleeps from an old Nintendo console": "chiptune",
    "boss level of a pixelated platformer": "chiptune",
    "dusty hiphop to study to on a rainy day": "lo-fi hip-hop",
    "lazy chillhop, coffee and homework": "lo-fi hip-hop",
    "a solemn hymn as sung in a cathedral": "chorale",
    "Bach, stately four-part counterpoint": "chorale",
}  # fmt: skip
"""Free text, worded as no caption is, and the style that it means."""


def table(network: Mulan, words: Words, features: Tensor, known: list[Facts]) -> str:
    """Lines for a reader: styles by name, free text, instruments, tempo, key, combinations.

    features float32 [N, n, D] of held-out windows, `known` what holds in each.
    """
    ear = Ear(network, words, features, known)
    return "\n".join(
        [ear.styles(), ear.free_text(), *ear.instruments(), ear.tempo(), ear.mode(), ear.without()]
    )


class Ear:
    """Held-out windows in the joint space, and what is known of them."""

    @torch.no_grad()
    def __init__(self, network: Mulan, words: Words, features: Tensor, known: list[Facts]) -> None:
        self.network, self.words, self.known = network, words, known
        self.audio = network.audio_embedding(features)

    @torch.no_grad()
    def scores(self, texts: list[str]) -> Scores:
        """Cosines float32 [texts, N]."""
        rows = [torch.from_numpy(self.words.ids(text))[None] for text in texts]
        embedded = torch.cat([self.network.text_embedding(row) for row in rows])
        found: Scores = (embedded @ self.audio.T).numpy()
        return found

    def styles(self) -> str:
        """Part of the windows whose style's name is nearer than the other names."""
        names = list(STYLE_WORDS)
        nearest = self.scores(names).argmax(0)
        right = [names[i] == one.style for i, one in zip(nearest, self.known, strict=True)]
        return f"style by its name: {np.mean(right):.0%} of {len(right)} windows"

    def free_text(self) -> str:
        """Part of the free texts that are nearest to a style's windows, and of what they find."""
        scores = self.scores(list(FREE_TEXT))
        of = np.array([one.style for one in self.known])
        hits, best = [], []
        for row, style in zip(scores, FREE_TEXT.values(), strict=True):
            hits += list(of[np.argsort(-row)[:FIRST]] == style)
            means = {name: row[of == name].mean() for name in set(of)}
            best.append(max(means, key=lambda name: means[name]) == style)
        return (f"free text: {np.mean(hits):.0%} of the first {FIRST} in the style that was meant, "
                f"{np.mean(best):.0%} of {len(best)} texts nearest to it")  # fmt: skip

    def instruments(self) -> list[str]:
        """Area under the curve of "with X" minus "no X", for each group."""
        lines = []
        for group in GROUPS:
            on, off = self._split(group)
            if min(on.sum(), off.sum()) >= 5:
                score = self._difference(f"with {group.words[0]}", f"no {group.words[0]}")
                only = self.scores([f"no {group.words[0]}"])[0]
                area, negation = auc(score[on], score[off]), auc(only[off], only[on])
                lines.append(f"{group.words[0]:12s} with/no: {area:.3f}   no alone: {negation:.3f}")
        return lines

    def tempo(self) -> str:
        """Rank correlation of the tempo with "fast" minus "slow"."""
        bpm = np.array([one.bpm for one in self.known])
        score = self._difference("fast", "slow")
        ranks = [np.argsort(np.argsort(values)) for values in (bpm, score)]
        correlation = np.corrcoef(ranks[0], ranks[1])[0, 1]
        return f"tempo against fast − slow: rank correlation {correlation:.2f}"

    def mode(self) -> str:
        """Area under the curve of "major key" minus "minor key"."""
        modes = np.array([one.key[1] if one.key else "" for one in self.known])
        score = self._difference("in a major key", "in a minor key")
        return f"major/minor: {auc(score[modes == 'major'], score[modes == 'minor']):.3f}"

    def without(self) -> str:
        """Of what "STYLE with / without drums" finds first: right style, and right drums."""
        styles, drums = [], []
        for name in ("ambient", "folk", "lo-fi hip-hop", "house", "jazz", "funk"):
            for text, on in ((f"{name} with drums", True), (f"{name} without drums", False)):
                first = np.argsort(-self.scores([text])[0])[:FIRST]
                of = [i for i, one in enumerate(self.known) if one.style == name]
                there = sum(self._split(GROUPS[0])[not on][of])
                for i in first[: min(FIRST, there)]:
                    styles.append(self.known[i].style == name)
                    drums.append(("drums" in self.known[i].sounding) == on)
        return (f"style with or without drums: style {np.mean(styles):.0%}, "
                f"drums {np.mean(drums):.0%} of {len(styles)} found")  # fmt: skip

    def _difference(self, text: str, other: str) -> Scores:
        first, second = self.scores([text, other])
        return first - second

    def _split(self, group: Group) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Where a group surely sounds, and where it surely does not: bool [N] each."""
        on = [bool({*group.of} & {*one.sounding}) for one in self.known]
        return np.array(on), np.array([group in one.absent for one in self.known])


def auc(above: Scores, below: Scores) -> float:
    """How often a value of the first lies above one of the second; a tie counts half."""
    higher = (above[:, None] > below[None]).mean() + 0.5 * (above[:, None] == below[None]).mean()
    return float(higher)
