import argparse
from pathlib import Path

import pytest

from engine.rig.options import PORT, add_options, wanted


def read(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def test_without_options_there_is_no_rig() -> None:
    assert not wanted(read())
    assert not wanted(argparse.Namespace())


def test_osc_has_a_usual_port_and_stays_on_this_machine() -> None:
    assert read("--osc").osc == PORT
    assert read("--osc", "9000").osc == 9000
    assert read("--osc").osc_host == "127.0.0.1"
    assert wanted(read("--osc"))
    assert wanted(read("--osc", "0"))


@pytest.mark.parametrize("option", ["show", "record", "states", "flight"])
def test_places(option: str) -> None:
    given = read(f"--{option}", "a/b")
    assert getattr(given, option) == Path("a/b")
    assert wanted(given)


@pytest.mark.parametrize("port", ["-1", "65536", "x", "8.5"])
def test_no_such_port(port: str) -> None:
    with pytest.raises(SystemExit):
        read(f"--osc={port}")


@pytest.mark.parametrize("option", ["screen", "link"])
def test_switches(option: str) -> None:
    assert getattr(read(), option) is False
    assert wanted(read(f"--{option}"))
