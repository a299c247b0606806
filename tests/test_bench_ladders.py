"""bench.ladders on the stand-in: every ladder is played, by both schedules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from prepared_songs import write_prepared

from bench import ladders
from bench.playing import Player
from engine.angles import uniform
from engine.backends import standin


def test_each_ladder_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_prepared(data, [8.0] * 4)
    monkeypatch.setattr(ladders, "PROMPT_S", 3.0)
    monkeypatch.setattr(ladders, "TRUTH_S", 4.0)
    known = ["--backend", "standin", "--split", "all", "--songs", "2", "--steps", "2", "5"]
    assert ladders.main([*known, "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "ladders.json").read_text())
    found = [(rung["steps"], rung["schedule"]) for rung in report["ladders"]]
    assert found == [(2, "linear"), (2, "uniform"), (5, "linear"), (5, "uniform")]
    assert all(rung["real_time_factor"] > 0 for rung in report["ladders"])
    assert "2, uniform" in capsys.readouterr().out
    bounded = ["--within", "0", "--data", str(data), "--out", str(tmp_path / "out")]
    assert ladders.main([*known, *bounded]) == 0
    assert len(json.loads((tmp_path / "out" / "ladders.json").read_text())["ladders"]) == 1
    assert "5 steps, uniform: not run" in capsys.readouterr().err
    assert ladders.main([*known, "--data", str(tmp_path / "none")]) == 2


def test_a_schedule_changes_the_music_and_steps_that_are_asked_are_taken() -> None:
    bundle = standin.bundle()
    player = Player(bundle, standin.StandIn(bundle))
    linear = player.play(None, 1.0, 0, None, {"steps": 4})
    other = player.play(None, 1.0, 0, None, {"steps": 4}, uniform)
    assert linear.shape == other.shape and not np.array_equal(linear, other)
    np.testing.assert_array_equal(linear, player.play(None, 1.0, 0, None, {"steps": 4}))
