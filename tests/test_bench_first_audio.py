"""bench.first_audio: prints a time on the clock of the process that started it."""

from __future__ import annotations

import time

import pytest

from bench import first_audio


def test_it_prints_the_monotonic_time_of_the_first_block(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before_s = time.monotonic()
    first_audio.main(["standin", "1"])
    assert before_s < float(capsys.readouterr().out) < time.monotonic()
