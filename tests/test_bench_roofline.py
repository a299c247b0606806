from __future__ import annotations

import json
from typing import Any

import pytest
from tiny_export import packed

from bench import latency, roofline
from bench.opcount import Count

CEILINGS = {
    "product_per_s": 1000.0,
    "byte_product_per_s": 4000.0,
    "copy_bytes_per_s": 100.0,
    "copied_mb": 1.0,
}


@pytest.fixture(scope="module")
def printed() -> str:
    path = packed()[1].path
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        options = ["roofline", "--bundle", str(path), "--seconds", "1", "--json"]
        assert latency.main(options) == 0
    return "\n".join(lines)


@pytest.fixture(scope="module")
def report(printed: str) -> dict[str, Any]:
    return dict(json.loads(printed.rsplit("\n", 1)[-1]))


def test_each_run_is_bound_by_the_slower_of_work_and_movement() -> None:
    runs = [Count({"MatMul": 4000.0}, 100.0, 0.0, 7.0), Count({"Add": 1000.0}, 200.0, 100.0, 0.0)]
    found = roofline.stage(runs, [10.0, 20.0, 16.0], [9.0, 18.0, 15.0], CEILINGS)
    assert (found["work_ms"], found["move_ms"], found["floor_ms"]) == (5000.0, 4000.0, 7000.0)
    assert found["reached"] == 7.0 / 16.0 and found["best_ms"] == 10_000.0
    assert found["operators"] == {"MatMul": 4000.0, "Add": 1000.0} and found["between_bytes"] == 7.0
    assert found["outside"] == pytest.approx(1 - 42 / 46)


def test_the_stages_make_the_tick(report: dict[str, Any]) -> None:
    stages, tick = report["stages"], report["tick"]
    assert set(stages) == {"passes", "decode"}  # a chunk is committed within the next pass
    for key in ("runs", "operations", "bytes", "work_ms", "move_ms", "floor_ms"):
        assert tick[key] == pytest.approx(sum(stage[key] for stage in stages.values()))
    assert (stages["passes"]["runs"], stages["decode"]["runs"]) == (1, 1)


def test_every_stage_has_its_figures(report: dict[str, Any]) -> None:
    assert all(value > 0.0 for value in report["ceilings"].values())
    for stage in (*report["stages"].values(), report["tick"]):
        assert stage["reached"] > 0.0 and 0.0 <= stage["outside"] < 1.0
        assert stage["best_ms"] <= stage["took_ms"]["p50"] <= stage["took_ms"]["p99"]


def test_the_table_names_every_stage(printed: str) -> None:
    for word in ("ceilings: matrix product", "passes", "decode", "tick", "MatMul", "%"):
        assert word in printed


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--threads", "0"], "--threads is 0"), (["--bundle", "/nowhere/at/all"], "/nowhere/at/all"),
     (["--seconds", "nan"], "'nan' is no number of seconds")],
)  # fmt: skip
def test_what_cannot_be_measured_is_named(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main(["roofline", *options]) != 0
    assert says in capsys.readouterr().err


def test_products_of_bytes_have_a_ceiling_of_their_own() -> None:
    run = Count({"MatMul": 60.0, "Add": 40.0, "MatMulInteger": 800.0}, 1.0, 1.0, 0.0)
    part = roofline.stage([run], [0.5], [0.5], CEILINGS)
    assert (part["work_ms"], part["move_ms"], part["reached"]) == pytest.approx((300.0, 20.0, 0.6))
