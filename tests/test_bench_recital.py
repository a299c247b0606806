"""bench.recital: what is recited is what was heard, and it is asked as it is told."""

from __future__ import annotations

import numpy as np
import pytest

from bench.recital import Reciter
from engine.backends import open_backend
from engine.backends.standin import bundle as standin_bundle
from engine.controls import ControlSnapshot
from engine.errors import UsageError
from engine.planner import Planner
from engine.window import Plan


def test_what_is_recited_is_what_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Plan] = []
    plan = Planner.plan

    def noted(self: Planner, count: int, controls: ControlSnapshot) -> Plan:
        planned.append(plan(self, count, controls))
        return planned[-1]

    monkeypatch.setattr(Planner, "plan", noted)
    bundle = standin_bundle(prompting=True)
    backend = open_backend("standin", bundle)
    reciter = Reciter(bundle, backend)
    audio = 0.1 * np.random.default_rng(0).standard_normal(
        round(4 * bundle.manifest.chunk_s * 24_000)
    )
    played = reciter.recite(audio, {"drums": 1.0}, 0)
    heard = reciter.heard(audio)
    assert len(set(heard.tolist())) > 1
    assert np.array_equal(np.concatenate([one.tokens for one in planned]), heard)
    assert np.isfinite(played).all() and len(played) == len(audio)
    told = planned[-1].brief
    reciter.recite(audio, {}, 0)
    assert bundle.manifest.prompting is not None
    size, free = bundle.manifest.prompting.embedding, planned[-1].brief
    assert told[:size].any() and not free[:size].any()  # "with drums"
    assert np.flatnonzero(told[size:] != free[size:]).size == 1  # and nothing else


def test_a_bundle_without_tokens_is_refused() -> None:
    bundle = standin_bundle()
    backend = open_backend("standin", bundle)
    with pytest.raises(UsageError, match="has no tokens"):
        Reciter(bundle, backend)
