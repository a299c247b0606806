"""bench.control: the real server on the stand-in, and the report of what was heard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import chromium, latency
from bench.control import render


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    path = tmp_path_factory.mktemp("control") / "run.json"
    words = [
        "control",
        "--backend",
        "standin",
        "--seconds",
        "4",
        "--ring",
        "0.3",
        "--margin",
        "0.05",
    ]
    return latency.main([*words, "--save", str(path)]), path


def test_ideas_and_hands_are_heard_and_promises_kept(run: tuple[int, Path]) -> None:
    report = json.loads(run[1].read_text())
    for kind in ("idea", "hand"):
        found = report["control"][kind]
        assert found["to_sound_s"]["count"] >= 1
        assert found["to_sound_s"]["p50"] > 0.0
        assert found["promises"] == found["to_sound_s"]["count"]
    assert report["lead_s"] < 0.4
    assert report["options"] == ["--ring", "0.3", "--margin", "0.05"]


def test_the_exit_code_is_the_verdict_and_the_text_says_it(run: tuple[int, Path]) -> None:
    report = json.loads(run[1].read_text())
    assert run[0] == (0 if report["verdict"]["passed"] else 1)
    text = "\n".join(render(report))
    for words in ("control to sound", "promised sample", "control.idea.to_sound_s.p99"):
        assert words in text


@pytest.mark.skipif(chromium.PROGRAM is None, reason="needs: apt install chromium")
def test_the_page_of_the_same_server_is_measured_too(run: tuple[int, Path]) -> None:
    idea = json.loads(run[1].read_text())["page"]["control"]["idea"]
    assert idea["to_sound_s"]["count"] >= 1
    assert idea["to_sound_s"]["p99"] > idea["to_packet_s"]["p50"] > 0.0


def test_two_runs_compare(run: tuple[int, Path]) -> None:
    assert latency.main(["compare", str(run[1]), str(run[1])]) == 0


def test_options_that_serve_refuses_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["control", "--backend", "standin", "--ring", "-1"]) == 5
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
