"""The soak: when memory grows, what fails it, and a few seconds of one."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pytest

from bench.live import serving
from bench.load import busy
from bench.soak import Slope, Soak, report, role, scraped, slope, soak

NOISE = np.random.default_rng(1).normal(0.0, 0.2, 360)
AT_S = [10.0 * number for number in range(360)]


def test_memory_that_only_trembles_does_not_grow() -> None:
    found = slope(AT_S, 400.0 + NOISE)
    assert abs(found.mb_h) < found.error_mb_h + 1e-9
    assert not found.grows


def test_memory_that_grows_is_found_below_its_noise() -> None:
    found = slope(AT_S, 400.0 + NOISE + np.array(AT_S) / 3600)
    assert found.mb_h == pytest.approx(1.0, abs=0.3)
    assert found.grows


def test_memory_that_is_given_back_does_not_grow() -> None:
    assert not slope(AT_S, 400.0 + NOISE - np.array(AT_S) / 3600).grows


def test_a_step_is_no_growth_but_stairs_are() -> None:
    at = np.array(AT_S)
    assert not slope(AT_S, 400.0 + 0.01 * NOISE + 0.1 * (at > 1800) - 0.1 * (at > 2400)).grows
    assert not slope(AT_S, 400.0 + 0.01 * NOISE + 0.1 * (at > 1800)).grows
    assert slope(AT_S, 400.0 + 0.01 * NOISE + np.floor(at / 300)).grows


def test_what_is_too_short_to_tell_is_no_pass() -> None:
    assert np.isnan(slope([0.0, 10.0], [1.0, 1.0]).mb_h)
    assert Slope(float("nan"), float("nan")).grows


def seen(totals_mb: Sequence[float] = tuple(400.0 + NOISE)) -> Soak:
    run = Soak(3600.0, 2, packets=36000, at_s=AT_S)
    run.memory_mb = [{"engine 7": mb} for mb in totals_mb]
    return run


@pytest.mark.parametrize("field", ["lost_packets", "filler_packets", "underruns", "restarts"])
def test_one_of_anything_is_too_many(field: str) -> None:
    run = seen()
    assert run.passed
    setattr(run, field, 1)
    assert not run.passed and report(run)[-1] == "failed"


def test_the_report_names_every_process() -> None:
    said = "\n".join(report(seen()))
    assert "engine 7" in said and "MB/h" in said and said.endswith("passed")


def test_some_seconds_of_a_soak() -> None:
    run = Soak(1.5, 1)
    with busy(1, 19), serving(["--backend", "standin", "--no-spare", "--chunk", "8"]) as server:
        soak(server, run, 0.5)
        assert role(server.process_id) == "watcher"
        assert scraped(server, "perpetuo_packets_total") > 10
    assert run.packets > 10 and not run.lost_packets
    assert {name.split()[0] for name in run.memory_mb[0]} == {"watcher", "engine", "feed"}
    assert run.totals_mb[0] > 20
    assert not run.passed  # too short to tell


def test_nobody_is_gone_quietly() -> None:
    assert role(2**22) == "gone"
    assert role(os.getpid()) == "watcher"
