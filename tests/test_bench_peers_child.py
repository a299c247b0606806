from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.peers import child
from bench.peers.child import CONTENDERS, REFERENCES, Contender
from bench.peers.stopwatch import Measured, Task
from engine.bundle import default_bundle_path


def task(bundle: Path | str) -> str:
    fields = {"seconds": 0.5, "threads": 1, "patience_s": 0.1, "bundle": str(bundle)}
    return json.dumps(fields)


def test_every_contender_is_a_function_that_exists() -> None:
    house = Path(child.__file__).parents[2]
    for contender in CONTENDERS.values():
        module, _, function = contender.function.partition(":")
        path = house.joinpath(*module.split(".")).with_suffix(".py")
        assert f"\ndef {function}(task: Task) -> list[Measured]:" in path.read_text()


def test_each_kind_is_compared_with_one_of_ours() -> None:
    assert {CONTENDERS[name].kind: name for name in REFERENCES.values()} == REFERENCES


def test_the_rows_come_as_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert child.main(["live-decoder", task(default_bundle_path())]) == 0
    rows = [Measured(**row) for row in json.loads(capsys.readouterr().out.splitlines()[-1])]
    assert rows[0].name == "live-decoder" and rows[0].peak_mb > 0.0


def test_a_row_without_memory_gets_that_of_the_process() -> None:
    of = Task(0.5, 1, 0.1, default_bundle_path())
    assert child.measure("live-decoder", of)[0].peak_mb > 10.0


@pytest.mark.parametrize(
    ("function", "says"),
    [("bench.peers.nobody:measure", "cannot import"), ("json:loads", "TypeError: ")],
)
def test_a_failure_is_one_line(
    function: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CONTENDERS, "live", Contender("music", function))
    assert child.main(["live", task("")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and says in said[0]
