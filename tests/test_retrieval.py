"""The table that judges the joint space."""

import numpy as np
import pytest
import torch

from engine.words import Words
from model.corpus.captions import Facts
from model.corpus.phrases import GROUPS, STYLE_WORDS, known_words
from model.mulan import Mulan, MulanSizes
from model.retrieval import FREE_TEXT, Ear, auc, table


@pytest.fixture(scope="module")
def ear() -> Ear:
    words = Words(known_words())
    torch.manual_seed(0)
    network = Mulan(MulanSizes(4, len(words.known), width=16, heads=2)).eval()
    known = [
        Facts(style, 80.0 + 10 * i, ("C", "minor" if i % 2 else "major"),
              ("drums",) if i % 2 else ("piano",),
              (GROUPS[0],) if i % 2 == 0 else (), True, 5.0, 500.0, 1.0)
        for i, style in enumerate(list(STYLE_WORDS) * 4)
    ]  # fmt: skip
    return Ear(network, words, torch.randn(len(known), 100, 4), known)


def test_area_under_the_curve() -> None:
    low, high = np.array([0.0, 1.0], np.float32), np.array([2.0, 3.0], np.float32)
    assert auc(high, low) == 1.0 and auc(low, high) == 0.0 and auc(low, low) == 0.5


def test_a_perfect_ear_scores_fully(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    def scores(self: Ear, texts: list[str]) -> np.ndarray:
        def score(text: str, one: Facts) -> float:
            name = text.replace(" without drums", "").replace(" with drums", "")
            style = FREE_TEXT.get(text, name)
            drums = "no drums" in text or "without drums" in text
            right = float(style == one.style) + float(drums == ("drums" not in one.sounding))
            return right + (one.bpm / 1e3 if text == "fast" else 0.0)

        return np.array([[score(text, one) for one in self.known] for text in texts], np.float32)

    monkeypatch.setattr(Ear, "scores", scores)
    assert "100%" in ear.styles()
    assert "1.000   no alone: 1.000" in ear.instruments()[0]
    assert "style 100%, drums 100%" in ear.without()


def test_the_table_has_a_line_for_each_question(ear: Ear) -> None:
    network, words = ear.network, ear.words
    text = table(network, words, torch.randn(len(ear.known), 100, 4), ear.known)
    for word in ("style by its name", "free text", "drums", "tempo", "major/minor", "without"):
        assert word in text


def test_free_text_means_something_to_the_words(ear: Ear) -> None:
    assert set(FREE_TEXT.values()) == set(STYLE_WORDS)
    assert all(len(ear.words.ids(text)) >= 2 for text in FREE_TEXT)
