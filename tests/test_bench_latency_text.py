"""bench.latency_text: what a person reads of the real-time part."""

from __future__ import annotations

from bench.latency_text import TAIL, render, tail_line

NOTHING = {"count": 0, **dict.fromkeys(TAIL)}


def test_a_tail_of_nothing_is_dashes() -> None:
    assert tail_line("gap", NOTHING).split() == ["gap", *["-"] * 5]


def test_every_part_of_a_full_report_is_there() -> None:
    tail = dict.fromkeys(TAIL, 1.0)
    run = {
        "seconds": 10, "underruns": 0, "deadline_misses": 1, "holds": 0, "ring_s": 0.6,
        "lead_s": 0.17, "margin_s": 0.03, "least_spare_s": 0.04, "gap_ms": tail, "late_ms": tail,
        "replaced_blocks": 0, "skipped_packets": 0, "first_audio_s": 0.8, "settled_s": 5.0,
        "feed_gap_ms": tail, "feed_lateness_ms": tail, "control_to_sound_s": tail,
        "memory_start_mb": 250.0, "memory_end_mb": None,
    }  # fmt: skip
    report = {
        "machine": {"processor": "one", "cores": 2, "system": "Linux"}, "versions": {"python": "3"},
        "revision": "abc", "bundle": {"name": "live", "hash": "0" * 64, "megabytes": 37.0},
        "backend": "ort", "providers": ["CPU"], "threads": 1, "denormals_flushed": True,
        "chunks": 9, "chunk_s": 0.32, "ladder": {"steps": 10, "depth": 1},
        "real_time_factor": 0.28, "cold_first_chunk_s": 0.1, "tick_ms": tail,
        "stages_ms": {"passes": tail}, "timer_jitter_ms": tail, "overhead": {"fraction": None},
        "deadline_misses": 1, "longest_miss_run": 1, "lateness_ms": tail,
        "lateness_histogram_chunks": [[None, -1.0, 0], [-1.0, 0.0, 8], [0.0, None, 1]],
        "rings": [{
            "ring_s": 0.64, "underruns": 2, "holds": 0, "fewer_steps": 1, "lead_s": tail,
            "least_spare_s": 0.02, "control_to_sound_s": None,
        }],
        "first_audio": {"warm_s": 0.1, "process_s": 0.8}, "control_delay_chunks": tail,
        "sink": run, "live": run,
        "memory": {"start_mb": 1.0, "end_mb": 2.0, "peak_mb": 3.0},
        "verdict": {"passed": True, "checks": []},
    }  # fmt: skip
    text = render(report)
    for words in (
        "denormals flushed to zero", "a ring of 0.64 s: 2 underruns", "sink's gap, ms",
        "packet gap, ms", "0.170 s early", "every budget is kept", "settled 5.0 s later",
    ):  # fmt: skip
        assert words in text
