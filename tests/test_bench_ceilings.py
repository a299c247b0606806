from __future__ import annotations

import pytest

from bench import ceilings


def test_the_best_of_several_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 10.0, 13.0, 20.0, 22.0, 30.0, 34.0])
    monkeypatch.setattr(ceilings, "perf_counter", lambda: next(clock))
    assert ceilings._best_s(lambda: None, repeats=3) == 2.0


@pytest.mark.parametrize("threads", [1, 3])
def test_both_are_figures_of_this_machine(threads: int) -> None:
    assert ceilings.product_per_s(threads, size=16, repeats=2) > 0.0
    assert ceilings.byte_product_per_s(threads, size=16, repeats=2) > 0.0
    assert ceilings.copy_bytes_per_s(1001, threads, repeats=2) > 0.0


def test_a_product_of_n_is_two_n_cubed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "_best_s", lambda work, repeats: 0.5)
    assert ceilings.product_per_s(1, size=10) == 4000.0
    assert ceilings.byte_product_per_s(1, size=10) == 4000.0
    assert ceilings.copy_bytes_per_s(1000, 1) == 2000.0
