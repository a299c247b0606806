"""A runner that rests, works or stands still."""

from __future__ import annotations

from engine.process.pulse import STANDSTILL_S, Pulse


def test_who_has_enough_ahead_may_rest_for_ever() -> None:
    assert Pulse(0.0).beats(1000.0, 0, left_s=0.6, lead_s=0.6)


def test_who_should_write_and_does_not_stands_still() -> None:
    pulse = Pulse(0.0)
    assert pulse.beats(1.0, 100, left_s=0.1, lead_s=0.6)
    assert pulse.beats(1.0 + STANDSTILL_S - 0.1, 100, left_s=0.0, lead_s=0.6)
    assert not pulse.beats(1.0 + STANDSTILL_S, 100, left_s=0.0, lead_s=0.6)
    assert pulse.beats(9.0, 101, left_s=0.0, lead_s=0.6)
