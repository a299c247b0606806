"""bench.listening: the tables, from audio whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from prepared_songs import RATE_HZ, pluck_song

from bench import frechet, listening
from bench.material import Excerpt


def excerpt(seed: int) -> Excerpt:
    audio = pluck_song(seed, 12.0)
    style = ("folk", "jazz")[seed % 2]
    return Excerpt(f"song{seed}", style, 100.0, audio[: 4 * RATE_HZ], audio[4 * RATE_HZ :])


@pytest.fixture(scope="module")
def prompted() -> list[Excerpt]:
    return [excerpt(seed) for seed in range(4)]


def test_a_perfect_copy_has_no_error_and_styles_are_apart(prompted: list[Excerpt]) -> None:
    names = [(song.name, song.style) for song in prompted]
    pairs = [(song.truth * (1.0 if song.style == "folk" else 2.0), song.truth) for song in prompted]
    summary = listening.copy_summary(listening.copy_errors(names, pairs, RATE_HZ))
    assert summary["by_style"]["folk"] == 0.0
    assert 1.0 < summary["by_style"]["jazz"] <= 6.03
    assert summary["mel_error_db"] == pytest.approx(summary["by_style"]["jazz"] / 2)
    assert summary["worst_mel_error_db"] >= summary["by_style"]["jazz"]


def test_the_truth_itself_as_a_continuation_scores_nothing(prompted: list[Excerpt]) -> None:
    reference = [excerpt(seed) for seed in range(10, 14)]
    truths = [song.truth for song in prompted]
    found = listening.sides(reference, prompted, truths, truths, RATE_HZ)
    comparison = found.comparison()
    assert comparison.ratio == pytest.approx(0.0, abs=1e-6)
    assert comparison.distances[listening.RECONSTRUCTION] == pytest.approx(
        comparison.distances[frechet.HELD_OUT]
    )
    assert len(found.oddness_in_time(frechet.CONTINUATION)) == 4


def test_kept_has_a_ceiling_and_a_chance_level(prompted: list[Excerpt]) -> None:
    table, each = listening.kept_table(prompted, [song.truth for song in prompted], RATE_HZ)
    assert table["continuation"] == table["truth"]
    assert table["chance"]["chroma_correlation"] < table["truth"]["chroma_correlation"]
    rows = listening.song_rows(prompted, each)
    assert [row["name"] for row in rows] == ["song0", "song1", "song2", "song3"]


def test_a_jump_at_the_seam_stands_out_in_its_table(prompted: list[Excerpt]) -> None:
    step = 0.5 * np.exp(-np.arange(8 * RATE_HZ) / RATE_HZ)
    jumping = [song.truth + step for song in prompted]
    table = listening.seam_table(prompted, jumping, 7680, RATE_HZ)
    assert table["continuation"]["click_standing_out"] == 1.0
    assert table["truth"]["click_standing_out"] < 1.0
    assert 0.0 <= table["chunk_joins"]["energy"] <= 100.0


def test_a_stream_that_dies_away_is_counted(prompted: list[Excerpt]) -> None:
    fade = np.geomspace(1.0, 0.01, 8 * RATE_HZ)
    half_dying = [song.truth * (fade if index % 2 else 1.0) for index, song in enumerate(prompted)]
    table = listening.level_table(prompted, half_dying)
    assert table["decayed_share"] == 0.5
    assert table["worst_quarter_db"] < -30
