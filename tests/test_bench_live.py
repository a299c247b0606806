"""bench.live: the real server in a process of its own, playing the stand-in."""

from __future__ import annotations

import pytest

from bench.live import measure_live
from engine.errors import NetworkError


def test_a_few_seconds_of_the_stand_in_are_heard() -> None:
    run = measure_live(["--backend", "standin", "--chunk", "8"], 2.0)
    assert run.packets > 10
    assert run.feed_gap_ms.count >= run.packets - 1
    assert run.control_to_sound_s.count >= 1
    assert run.first_audio_s > 0.0
    assert run.ring_s > 0.0
    assert run.lead_s > 0.0
    assert run.settled_s > 1.0
    assert run.memory_end_mb > 10.0


def test_a_server_that_ends_says_why_in_one_line() -> None:
    with pytest.raises(NetworkError, match="exit code 2"):
        measure_live(["--no-such-option"], 1.0)
