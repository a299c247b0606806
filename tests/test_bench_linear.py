"""bench.linear: reads what is there, and nothing where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.linear import UNASKED, Dense, OneHot, Score, commonest, fit, read

CLASSES = {"sign": 2, "token": 4}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_both_readers_find_what_is_linear() -> None:
    rng = np.random.default_rng(0)
    features = (100 + 0.01 * rng.normal(size=(3000, 3))).astype(np.float32)
    tokens = rng.integers(4, size=3000)
    labels = {"sign": (features[:, 1] > 100).astype(np.int64), "token": tokens}
    linear, one_hot = Dense(features, 1, 6), OneHot(4, 1, 6)
    rows = (
        lambda at: torch.from_numpy(features[at, None]),
        lambda at: torch.from_numpy(tokens[at, None]),
    )
    for reader, seen in zip((linear, one_hot), rows, strict=True):
        fit(reader, seen, labels, CLASSES, 80, batch=256, rate=0.1)
    by_features = read(linear, rows[0], 3000, CLASSES)
    by_tokens = read(one_hot, rows[1], 3000, CLASSES)
    assert Score.of(by_features["sign"], labels["sign"]).accuracy > 0.95
    assert Score.of(by_tokens["token"], tokens).accuracy == 1.0
    assert Score.of(by_features["token"], tokens).accuracy < 0.4
    assert Score.of(by_tokens["sign"], labels["sign"]).balanced < 0.6


def test_a_one_hot_reader_is_the_matrix_of_one_hot_rows() -> None:
    reader = OneHot(5, 3, 2)
    nn.init.normal_(reader.table.weight)
    tokens = torch.randint(5, (7, 3))
    flat = nn.functional.one_hot(tokens, 5).float().flatten(1)
    assert torch.allclose(reader(tokens), flat @ reader.table.weight + reader.bias, atol=1e-5)


def test_what_is_not_asked_neither_teaches_nor_counts() -> None:
    truth = np.array([0, 0, 0, 1, UNASKED])
    score = Score.of(np.array([0, 0, 1, 1, 1]), truth)
    assert score.accuracy == pytest.approx(3 / 4)
    assert score.balanced == pytest.approx((2 / 3 + 1) / 2)
    assert commonest(truth) == 0
    assert math.isnan(Score.of(truth[4:], truth[4:]).accuracy)
