"""bench.latency: the whole benchmark on the stand-in, from the command line to the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import latency


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[int, str]:
    words = ["--backend", "standin", "--seconds", "3", "--offline", "--json"]
    for name in ("save", "html", "history"):
        words += [f"--{name}", str(folder / name)]
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        code = latency.main(words)
    return code, "\n".join(lines)


@pytest.fixture(scope="module")
def report(run: tuple[int, str]) -> dict[str, Any]:
    return dict(json.loads(run[1].rsplit("\n", 1)[-1]))


def test_the_last_line_is_json_with_what_is_asked_for_most(report: dict[str, Any]) -> None:
    assert report["real_time_factor"] > 0.0
    assert report["deadline_misses"] >= 0
    assert report["chunks"] == 10
    assert report["bundle"]["name"] == "standin"
    assert report["providers"] == ["numpy"]


def test_every_chunk_but_the_cold_one_is_in_the_tail_and_the_histogram(
    report: dict[str, Any],
) -> None:
    assert report["tick_ms"]["count"] == 9
    assert sum(count for _, _, count in report["lateness_histogram_chunks"]) == 9
    assert report["stages_ms"]["decode"]["count"] == 9


def test_first_audio_is_timed_here_and_in_fresh_processes(report: dict[str, Any]) -> None:
    first = report["first_audio"]
    assert first["warm_s"] > 0.0
    assert first["process_s"] > 0.0


def test_the_exit_code_is_the_verdict(run: tuple[int, str], report: dict[str, Any]) -> None:
    assert run[0] == (0 if report["verdict"]["passed"] else 1)
    assert {check["name"] for check in report["verdict"]["checks"]} >= {"real_time_factor"}


def test_the_text_names_machine_bundle_and_verdict(run: tuple[int, str]) -> None:
    text = run[1]
    for word in ("real-time factor", "deadline misses", "standin", "a ring of", "budget"):
        assert word in text


def test_the_run_is_saved_drawn_and_remembered(
    run: tuple[int, str], report: dict[str, Any], folder: Path
) -> None:
    assert json.loads((folder / "save").read_text()) == report
    assert (folder / "html").read_text().startswith("<!doctype html>")
    assert json.loads((folder / "history").read_text())["revision"] == report["revision"]
    assert run[0] in (0, 1)


def test_rings_are_played_through_the_engines_scheduler(report: dict[str, Any]) -> None:
    assert [ring["ring_s"] for ring in report["rings"]] == sorted(
        ring["ring_s"] for ring in report["rings"]
    )
    assert report["timeline"]["stages"][0]["name"] == "plan"


def test_a_missing_bundle_is_one_line_and_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main(["--bundle", str(tmp_path / "none"), "--offline"]) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_so_many_chunks_beside_a_load_are_judged_by_their_time_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = "--backend standin --chunks 7 --load 1 --json"
    assert latency.main(asked.split()) in (0, 1)
    *text, last = capsys.readouterr().out.strip().splitlines()
    found = json.loads(last)
    assert (found["chunks"], found["load"]) == (7, 1)
    assert not {"sink", "live"} & found.keys()
    assert [check["name"] for check in found["verdict"]["checks"]] == [
        "tick_share.p999", "deadline_misses",
    ]  # fmt: skip
    assert any("beside 1 busy processes" in line for line in text)


def test_compare_is_a_word_of_the_command(tmp_path: Path, report: dict[str, Any]) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(report))
    assert latency.main(["compare", str(path), str(path)]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--seconds", "long"],
        ["--threads", "0"],
        ["--chunks", "1"],
        ["--chunks", "9", "--seconds", "3"],
        ["--load", "-1"],
        ["--unknown"],
        ["--offline", "--backend", "standin", "--seconds", "1", "--html", "/none/page.html"],
        ["compare", "only-one.json"],
        ["compare", "none.json", "none.json"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
