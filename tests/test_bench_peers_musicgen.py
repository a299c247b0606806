from __future__ import annotations

from pathlib import Path

import pytest

from bench.peers import sizes
from bench.peers.musicgen import Player, build, measured
from bench.peers.stopwatch import Task
from bench.peers.torches import settled

TEXT = {"vocab_size": 40, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
DECODER = {**sizes.MUSICGEN_SMALL_DECODER, "hidden_size": 16, "num_hidden_layers": 2,
           "num_attention_heads": 2, "ffn_dim": 16}  # fmt: skip
CODEC = {**sizes.ENCODEC_32KHZ, "num_filters": 2, "num_lstm_layers": 1, "hidden_size": 8}


@pytest.fixture(scope="module")
def player() -> Player:
    return Player(settled(build(TEXT, DECODER, CODEC)))


def test_it_plays_what_was_asked_for(player: Player) -> None:
    assert player.rate_hz == 32000
    assert player.play(0.5) == pytest.approx(0.5, abs=0.02)


def test_a_call_is_the_piece_that_a_prompt_holds_for(player: Player) -> None:
    row = measured(player, Task(0.5, 1, 0.1, Path()), loaded_mb=7.0)
    assert row.unit_s == pytest.approx(0.5, abs=0.02) and row.steered_units == 1
    assert row.first_audio_s == row.unit_costs_s
    assert row.real_time_factors[0] == pytest.approx(row.unit_costs_s[0] / row.unit_s)
