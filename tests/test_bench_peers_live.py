from __future__ import annotations

from pathlib import Path

import pytest

from bench.peers import live
from bench.peers.stopwatch import Task
from bench.ticking import GraphClock
from engine.backends.standin import StandIn
from engine.bundle import Bundle, default_bundle_path

QUICK = Task(seconds=0.5, threads=1, patience_s=0.2, bundle=default_bundle_path())


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open(default_bundle_path())


def test_the_shipped_bundle_has_a_row(shipped: Bundle) -> None:
    (row,) = live.measure(QUICK)
    assert row.name == "live" and row.unit_s == shipped.manifest.chunk_s
    assert row.steered_units == shipped.manifest.ladder.depth
    assert len(row.first_audio_s) >= 3 and min(row.real_time_factors) > 0.0
    assert row.peak_mb > row.loaded_mb / 2 > 0.0


def test_a_bundle_that_takes_prompts_is_asked_with_one(asked_bundle: Bundle) -> None:
    row = live.measured(asked_bundle, GraphClock(StandIn(asked_bundle)), QUICK)
    assert "with a prompt" in row.what and row.steered_units == 1
    assert live.prompt_of(asked_bundle).split()[0] in asked_bundle.words


def test_a_bundle_without_prompts_plays_without(bundle: Bundle) -> None:
    row = live.measured(bundle, GraphClock(StandIn(bundle)), QUICK)
    assert "no prompt" in row.what and row.steered_units == 1


def test_weights_are_counted_once_whoever_shares_them(shipped: Bundle) -> None:
    """Each takes one byte at least, and four at most."""
    files = shipped.manifest.files
    stored = sum(files[name].bytes for name in files if Path(name).suffix in (".onnx", ".data"))
    assert stored / 5 < 1e6 * live.stored_millions(shipped) < stored


def test_the_decoder_is_loaded_alone(shipped: Bundle) -> None:
    alone = live.decoder_of(shipped)
    assert list(alone.manifest.graphs) == ["decoder"]
    (row,) = live.measure_decoder(QUICK)
    assert row.steered_units is None and row.unit_s == shipped.manifest.chunk_s
    assert row.million_parameters == live.stored_millions(alone)
