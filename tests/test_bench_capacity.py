import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import capacity, latency
from bench.capacity import bisect_most, memory_per_stream, most_kept
from bench.crowd import Crowd
from bench.timing import Tail
from engine.backends import standin


def crowd(streams: int, *, kept: bool, memory_mb: float = 0.0) -> Crowd:
    late = Tail.of([-10.0 if kept else 10.0])
    return Crowd(streams, 1, late, Tail.of([50.0]), int(not kept), False, memory_mb)


@given(st.integers(0, 60), st.integers(1, 60))
def test_bisection_finds_the_most_that_are_kept(most: int, limit: int) -> None:
    tried: list[int] = []

    def kept(streams: int) -> bool:
        tried.append(streams)
        return streams <= most

    assert bisect_most(kept, most >= 1, limit) == min(most, limit)
    assert len(tried) <= math.ceil(math.log2(limit + 1)) + 1
    assert all(1 < streams <= limit for streams in tried)


def test_a_lucky_try_above_one_that_failed_does_not_count() -> None:
    tries = {n: crowd(n, kept=n != 4) for n in (1, 3, 4, 5)}
    assert most_kept(tries) == 3
    assert most_kept({1: crowd(1, kept=False)}) == 0


def test_memory_of_one_more_stream() -> None:
    tries = {n: crowd(n, kept=True, memory_mb=100.0 + 4 * n) for n in (1, 6, 3)}
    assert memory_per_stream(tries) == pytest.approx(4.0)
    assert math.isnan(memory_per_stream({1: crowd(1, kept=True)}))


def test_the_command_prints_the_tail_and_the_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    asked = "capacity --backend standin --seconds 0.7 --most 2 --workers 2 --json"
    assert latency.main(asked.split()) == 1  # two streams are fewer than must
    *text, last = capsys.readouterr().out.strip().splitlines()
    report = json.loads(last)
    assert report["streams"] in (0, 1, 2)
    assert report["tries"][0]["streams"] == 1
    assert report["used"] == pytest.approx(report["streams"] / report["ceiling"])
    assert {"p50", "p99", "p999", "max"} <= report["tries"][0]["late_ms"].keys()
    assert any("p99.9" in line for line in text)
    assert any("must 6, aim 20, MISSED" in line for line in text)


@pytest.mark.parametrize("option", ["--workers 0", "--most 0", "--threads 0", "--seconds 0"])
def test_options_that_make_no_sense_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main(["capacity", "--backend", "standin", *option.split()]) == 2
    assert option.split()[0] in capsys.readouterr().err.replace("length of music", "--seconds")


def test_what_shares_no_run_is_not_measured_as_if_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = standin.StandIn(standin.bundle())
    coarse.name = "ort-int8"
    monkeypatch.setattr(capacity, "open_backend", lambda *_, **__: coarse)
    assert latency.main(["capacity", "--backend", "standin", "--batch", "4"]) == 2
    assert "every stream takes passes of its own: --backend ort" in capsys.readouterr().err


def test_must_and_aim_are_those_of_the_design() -> None:
    assert (capacity.MUST, capacity.AIM) == (6, 20)
