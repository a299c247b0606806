from __future__ import annotations

from typing import Any

import pytest

from bench.peers.stopwatch import DECODER, MUSIC, Measured
from bench.peers.table import favours, figures, ratios, render, steering


def row(name: str, kind: str = MUSIC, **changed: Any) -> Measured:
    fields: dict[str, Any] = dict(
        name=name, kind=kind, what="", rate_hz=24000, million_parameters=20.0, threads=1,
        unit_s=0.32, unit_costs_s=[0.08, 0.1, 0.4], first_audio_s=[0.1],
        real_time_factors=[0.25, 0.3, 1.2], steered_units=1, loaded_mb=100.0, peak_mb=200.0,
    )  # fmt: skip
    return Measured(**{**fields, **changed})


def report(*rows: Measured, **failures: str) -> dict[str, Any]:
    shown = [figures(each) for each in rows]
    for each, times in zip(shown, ratios(shown), strict=True):
        each["ratio"] = times
    host = {"processor": "a processor", "cores": 2, "system": "Linux"}
    return {
        "machine": host, "versions": {"torch": "2"}, "revision": "abc", "seconds": 2.0,
        "rows": shown, "failures": failures,
    }  # fmt: skip


def test_who_keeps_up_is_steered_at_the_pace_of_its_pieces() -> None:
    assert steering(1, 0.5, [0.1, 0.2]) == {"best": 0.5, "worst": 1.0, "worst_max": 1.0}


def test_who_does_not_keep_up_is_steered_at_the_pace_of_its_work() -> None:
    assert steering(1, 0.5, [4.0, 4.0, 6.0]) == {"best": 4.0, "worst": 8.0, "worst_max": 12.0}


def test_a_deep_ladder_is_steered_later() -> None:
    assert steering(4, 0.5, [0.1]) == {"best": 2.0, "worst": 2.5, "worst_max": 2.5}


def test_who_takes_no_prompt_is_not_steered() -> None:
    assert steering(None, 0.5, [0.1]) is None


def test_ratios_are_to_ours_of_the_same_kind() -> None:
    slow = row("other", unit_s=2.0, unit_costs_s=[8.0], real_time_factors=[4.0],
               first_audio_s=[8.0], peak_mb=1000.0)  # fmt: skip
    codec = row("codec", DECODER, steered_units=None, real_time_factors=[0.6])
    own = row("live-decoder", DECODER, steered_units=None)
    times = ratios([figures(each) for each in (row("live"), slow, codec, own)])
    assert times[0] == dict.fromkeys(times[0], 1.0)
    assert times[1]["real_time_factor"] == pytest.approx(4.0 / 0.3)
    assert times[1]["first_audio_s"] == pytest.approx(80.0)
    assert times[1]["steering_s"] == pytest.approx(16.0 / 0.64)
    assert times[1]["peak_mb"] == 5.0
    assert times[2]["real_time_factor"] == pytest.approx(2.0) and times[2]["steering_s"] is None


def test_without_ours_there_are_figures_and_no_ratios() -> None:
    found = report(row("other"))
    assert set(found["rows"][0]["ratio"].values()) == {None}
    assert "other" in render(found)


def test_the_table_has_a_line_for_everybody() -> None:
    unknown = float("nan")
    lines = render(report(
        row("live"), row("other", peak_mb=unknown, million_parameters=unknown),
        row("codec", DECODER, steered_units=None), absent="not installed",
    )).splitlines()  # fmt: skip
    assert any(line.startswith("live ") and "0.3 / 1.2" in line for line in lines)
    assert any(line.startswith("live ") and "0.32 … 0.64" in line for line in lines)
    assert any(line.startswith("codec ") for line in lines)
    assert "absent          no figures: not installed" in lines


def test_every_column_says_in_whose_favour_it_is() -> None:
    ahead = row("small", peak_mb=50.0, real_time_factors=[0.6])
    codec = row("codec", DECODER, steered_units=None, peak_mb=float("nan"))
    own = row("live-decoder", DECODER, steered_units=None)
    found = report(row("live"), ahead, codec, own)
    columns = favours(found["rows"])
    assert columns["music, real-time factor"]["ours"] == {"small": pytest.approx(2.0)}
    assert columns["music, memory"] == {"ours": {}, "theirs": {"small": 0.25}}
    assert "decoder, steering" not in columns and "decoder, memory" not in columns
    said = render(found)
    assert "music, memory               theirs against small (0.25)" in said
    assert "in whose favour" not in render(report(row("other")))
