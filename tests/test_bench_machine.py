"""bench.machine: the facts are there, and the memory figure follows what is allocated."""

from __future__ import annotations

import numpy as np

from bench import machine


def test_facts_are_complete() -> None:
    facts = machine.describe()
    assert set(facts) == {"processor", "cores", "memory_mb", "system"}
    assert int(facts["cores"]) >= 1
    assert "numpy" in machine.versions()
    assert machine.revision()


def test_memory_follows_an_allocation() -> None:
    before = machine.memory_mb()
    held = np.ones(8_000_000)
    assert machine.memory_mb() > before + 40
    assert machine.peak_memory_mb() > before + 40
    assert held.size == 8_000_000


def test_timer_jitter_counts_every_sleep() -> None:
    tail = machine.timer_jitter_ms(sleeps=5, period_s=0.001)
    assert tail.count == 5
    assert tail.max >= 0.0
