from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.peers import __main__ as peers
from bench.peers import child


def test_one_run_measures_compares_and_outlives_who_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 0.001)
    file = tmp_path / "peers.json"
    options = ["--only", "live", "live-decoder", "rave-v2", "--rave-python", str(tmp_path / "no"),
               "--limit", "300", "--seconds", "0.5", "--json", str(file)]  # fmt: skip
    assert peers.main(options) == 0
    report = json.loads(file.read_text())
    names = [row["name"] for row in report["rows"]]
    assert names == ["live", "live-decoder"] and "did not start" in report["failures"]["rave-v2"]
    assert all(row["ratio"]["real_time_factor"] == 1.0 for row in report["rows"])
    live = report["rows"][0]
    assert live["real_time_factor"]["p50"] > 0.0 and live["first_audio_s"]["count"] >= 3
    assert live["steering_s"]["best"] >= live["unit_s"] and live["threads"] == 1
    assert "rave-v2         no figures: it did not start" in capsys.readouterr().out


def test_a_time_limit_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main(["--only", "live-decoder", "--limit", "0.01"]) == 1
    out = capsys.readouterr().out
    assert "live-decoder    no figures: nothing within 0.01 s; raise --limit" in out


def test_a_broken_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main(["--only", "live-decoder", "--bundle", str(tmp_path / "none")]) == 1
    assert "BundleError" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "says"),
    [("import os; os.kill(os.getpid(), 9)", "signal 9"), ("exit(3)", "exit code 3"),
     ("import sys; sys.exit('the last\\nof it')", "of it")],
)  # fmt: skip
def test_what_a_child_dies_of_is_told(
    code: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{code}\n")
    python.chmod(0o755)
    assert peers.main(["--only", "rave-v2", "--rave-python", str(python)]) == 1
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--seconds", "40"], "'40' is no number of seconds from 0.5 to 30"),
     (["--seconds", "nan"], "'nan' is no number"),
     (["--threads", "0"], "'0' is no whole number from 1 to 1024"),
     (["--limit", "-1"], "'-1' is no number of seconds from 0.001"),
     (["--only", "nobody"], "invalid choice"), (["--json", "/nowhere/at/all"], "/nowhere/at/all")],
)  # fmt: skip
def test_what_cannot_be_done_is_named_before_anything_runs(
    options: list[str], says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(peers, "measure", lambda _: pytest.fail("it ran"))
    assert peers.main(options) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and says in said[0]


def test_a_contender_finds_our_packages_its_threads_and_no_hub() -> None:
    found = peers.surroundings(3)
    assert found["OMP_NUM_THREADS"] == "3" and found["HF_HUB_OFFLINE"] == "1"
    assert Path(found["PYTHONPATH"].split(":")[0], "bench", "peers").is_dir()


def test_everybody_is_asked_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(peers, "run", lambda name, _: asked.append(name) or [])
    assert peers.main([]) == 1
    assert asked == list(child.CONTENDERS)
