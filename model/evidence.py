"""What one semantic token says of the beat and the key, counted over the corpus.

For every token the logarithm of P(place in the bar | token) / P(place), and the same for the keys:
`engine.clock` adds them up along music whose truth nobody wrote down.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.brief import SCALES
from engine.clock import EVIDENCE_SIZE, KEYS, SIXTEENTHS
from model.corpus.labels import frame_labels
from model.corpus.variants import truth_beside
from model.tokenise import Semantics

DOUBT = 8.0
"""Tokens' worth of belief that a token says nothing."""
Counts = npt.NDArray[np.float64]


def count_evidence(store: Semantics, corpus: Path | None) -> npt.NDArray[np.float32]:
    """float32 [V + 1, EVIDENCE_SIZE] from the songs to train on; zeros where no truth is known.

    The row of the start token is zeros.
    """
    places, keys = np.zeros((store.vocabulary, SIXTEENTHS)), np.zeros((store.vocabulary, KEYS))
    for name in store.names:
        truth = truth_beside(corpus, name) if store.split[name] == "train" else None
        if truth is None:
            continue
        tokens = store.tokens[name]
        labels = frame_labels(truth, len(tokens), store.rate_hz)
        if 4 * truth["beats_per_bar"] == SIXTEENTHS:
            np.add.at(places, (tokens, labels["sixteenth"]), 1.0)
        np.add.at(keys, (tokens, len(SCALES) * labels["tonic"] + labels["scale"]), 1.0)
    rows = np.concatenate([ratios(places), ratios(keys)], axis=1)
    assert rows.shape[1] == EVIDENCE_SIZE
    return np.pad(rows, ((0, 1), (0, 0))).astype(np.float32)


def ratios(counts: Counts) -> Counts:
    """Counts [V, n] -> log P(column | row) / P(column), drawn towards 0 where little was seen."""
    if not counts.sum():
        return counts
    often = (counts.sum(0) + 1.0) / (counts.sum() + counts.shape[1])
    known = (counts + DOUBT * often) / (counts.sum(1, keepdims=True) + DOUBT)
    result: Counts = np.log(known / often)
    return result
