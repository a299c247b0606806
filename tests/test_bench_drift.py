"""bench.drift: the minutes that are looked at, the growth between them, and the report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from known_songs import write_known

from bench import drift, streams
from bench.asks import Wish
from bench.drift import ANCHOR, growth, jackknife, looked_at, measure
from bench.streams import Asked, Minute, Minutes
from engine.errors import UsageError


def cloud(offset: float, seed: int, songs: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(offset, 1.0, (10, 3)) for _ in range(songs)]


def test_the_first_and_the_last_minute_are_always_looked_at() -> None:
    assert looked_at(1) == [1]
    assert looked_at(2) == [1, 2]
    assert looked_at(60)[0] == 1 and looked_at(60)[-1] == 60
    assert len(looked_at(60)) == 6


def test_growth_is_nothing_for_the_same_and_grows_with_the_distance() -> None:
    reference, near, far = cloud(0.0, 0), cloud(1.0, 1), cloud(2.0, 1)
    assert growth(reference, near, near) == 0.0
    assert growth(reference, near, far) > 1.0
    assert growth(reference, far, near) < 0.0
    assert 0.0 < jackknife(reference, near, far) < 3.0


def test_figures_are_in_anchors_and_from_first_to_last() -> None:
    heard = [
        {1: Minute(a, -20.0), 5: Minute(b, -20.0 + number)}
        for number, (a, b) in enumerate(zip(cloud(1.0, 2), cloud(3.0, 3), strict=True))
    ]
    found = measure(cloud(0.0, 0), {ANCHOR: cloud(0.0, 1)}, heard)
    distances = found["distances"]
    assert set(distances) == {ANCHOR, "minute 1", "minute 5"}
    assert found["distance"] == pytest.approx(distances["minute 1"] / distances[ANCHOR])
    assert found["drift"] == pytest.approx(distances["minute 5"] / distances["minute 1"] - 1)
    assert found["oddness"]["minute 5"] > found["oddness"]["minute 1"]
    assert found["levels"]["minute 5"] == pytest.approx(
        {"mean_db": 2.0, "error_db": np.sqrt(2 / 5), "furthest_db": 4.0}
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "STRETCH_S", 8.0)
    monkeypatch.setattr(streams, "STRETCH_S", 8.0)
    monkeypatch.setattr(streams, "MINUTE_S", 8.0)


@pytest.mark.usefixtures("quick")
def test_the_report_of_the_stand_in(tmp_path: Path) -> None:
    _, data = write_known(tmp_path, 2, 9.0)
    options = ["--backend", "standin", "--data", str(data), "--minutes", "2", "--streams", "2"]
    assert drift.main([*options, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "drift.json").read_text())
    assert (found["songs"], found["clips"], found["enough_songs"]) == (2, 8, False)
    assert found["distances"]["minute 1"] > 0.0
    page = (tmp_path / "drift.md").read_text()
    assert "Too few songs" in page and "minute 2" in page
    assert abs(found["levels"]["minute 2"]["mean_db"]) < 3.0 and "louder than minute 1" in page


def test_streams_are_dealt_out_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        drift, "ProcessPoolExecutor", lambda jobs, context: ThreadPoolExecutor(jobs)
    )
    last = {0: 2, 1: 2, 2: 1}  # of the third, the second minute was not reached

    def heard_of(options: argparse.Namespace, asked: Sequence[Asked]) -> list[Minutes]:
        return [
            {minute: Minute(np.zeros((1, 1)), one.seed) for minute in range(1, last[one.seed] + 1)}
            for one in asked
        ]

    monkeypatch.setattr(drift, "heard_of", heard_of)
    options = argparse.Namespace(jobs=2, within=1.0)
    heard = drift.heard_by_all(options, [Asked(seed, Wish()) for seed in range(3)])
    assert [{k: v.level_db for k, v in one.items()} for one in heard] == [{1: 0}, {1: 1}, {1: 2}]
    last[0] = 0
    with pytest.raises(UsageError, match="--within"):
        drift.heard_by_all(options, [Asked(seed, Wish()) for seed in range(3)])


@pytest.mark.parametrize("option", ["--jobs 0", "--within 0"])
def test_options_that_make_no_sense_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, data = write_known(tmp_path, 2, 46.0)
    options = ["--backend", "standin", "--data", str(data), "--streams", "2", *option.split()]
    assert drift.main(options) == 2
    assert option.split()[0] in capsys.readouterr().err


def test_no_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift.main(["--backend", "standin", "--data", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
