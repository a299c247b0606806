from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.peers import sizes
from bench.peers.codec import dac, encodec
from bench.peers.stopwatch import Task

SMALL_ENCODEC = {**sizes.ENCODEC_32KHZ, "num_filters": 2, "num_lstm_layers": 1, "hidden_size": 8}
SMALL_DAC = {**sizes.DAC_44KHZ, "encoder_hidden_size": 4, "decoder_hidden_size": 32}


@pytest.mark.parametrize("causal", [True, False])
def test_encodec_decodes_frames_of_codes(causal: bool) -> None:
    small = encodec("small", {**SMALL_ENCODEC, "use_causal_conv": causal}, books=4)
    audio: Any = small.decode(10)
    assert audio.audio_values.shape == (1, 1, 10 * small.frame_samples)
    assert small.frame_s == 0.02


def test_dac_decodes_frames_of_codes() -> None:
    small = dac("small", SMALL_DAC)
    audio: Any = small.decode(10)
    assert audio.audio_values.shape[0] == 1
    assert abs(audio.audio_values.shape[-1] - 10 * small.frame_samples) < small.frame_samples
    assert small.rate_hz == 44100 and 0.0 < small.million_parameters < 1.0


def test_their_rows_have_chunks_and_whole_calls() -> None:
    row = dac("small", SMALL_DAC).measured(Task(0.5, 1, 0.05, Path()), loaded_mb=1.0)
    assert row.unit_s == pytest.approx(0.32, abs=0.01)
    assert len(row.unit_costs_s) >= 3 and row.real_time_factors
