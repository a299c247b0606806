"""The benchmark of many listeners: what it makes of what they heard."""

from __future__ import annotations

import pytest

from bench.ears import Record
from bench.listeners import report


def heard(gap_s: float) -> Record:
    record = Record()
    record.times_s = [gap_s * at for at in range(100)]
    return record


def judged(record: Record) -> bool:
    return report([record], stalled=1, cut=1, cpu_s=1.0, memory_mb=100.0, seconds=10.0)


def test_the_verdict_is_that_of_the_worst_listener(capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(heard(0.1))
    said = capsys.readouterr().out
    assert "1, and 1 stalled, 1 of them cut" in said and "10 % of a core" in said
    assert said.endswith("passed\n")
    assert not judged(heard(0.3))
    lost = heard(0.1)
    lost.missed = 1
    assert not judged(lost)
