from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import paper
from bench.peers.stopwatch import Task
from model.autoencoder_paper import PAPER_TINY
from model.presets import PAPER, TINY

TASK = Task(seconds=0.5, threads=1, patience_s=0.1, bundle=Path())
SMALL = replace(
    TINY.velocity, dim=PAPER_TINY.dim, conditions=("tokens",), vocabulary=8, norm="post"
)


def test_the_published_window_is_ten_seconds_in_chunks_of_two_and_a_half() -> None:
    frames = PAPER.velocity.context_chunks * PAPER.velocity.chunk_frames
    assert frames / 250 == 10.24 and PAPER.velocity.chunk_frames / 250 == 2.56


def test_both_rows_are_made_of_the_same_passes() -> None:
    costs = paper.Costs(pass_s=[2.0, 3.0], window_decode_s=[4.0, 5.0], chunk_decode_s=[1.0])
    assert costs.windows(5) == [15.0, 20.0] and costs.windows(10) == [25.0, 35.0]
    assert costs.chunks(5) == [11.0, 16.0]


def test_small_sizes_give_both_rows() -> None:
    made = paper.Paper(SMALL, PAPER_TINY)
    rows = paper.rows(made, TASK)
    assert [row.name for row in rows] == ["paper, 5 steps", "paper, 10 steps"]
    chunk_s = SMALL.chunk_frames * PAPER_TINY.frame_samples / PAPER_TINY.sample_rate_hz
    for row, steps in zip(rows, paper.STEPS, strict=True):
        assert row.unit_s == pytest.approx(chunk_s) and row.steered_units == 1
        assert len(row.unit_costs_s) >= 2 and row.unit_costs_s == row.first_audio_s
        assert row.million_parameters > 0.0 and steps in (5, 10)
    assert rows[1].unit_costs_s[0] > rows[0].unit_costs_s[0]


def test_a_pass_moves_the_whole_window() -> None:
    made = paper.Paper(SMALL, PAPER_TINY)
    before = made._latents.clone()
    made.one_pass()
    assert made._latents.shape == before.shape
    assert bool((made._latents != before).all())
