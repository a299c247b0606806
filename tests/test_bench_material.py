"""bench.material: disjoint halves, prompts that meet their truths, recordings of any kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from prepared_songs import RATE_HZ, pluck_song, write_prepared

from bench import material
from model.corpus.dataset import Entry


def entries(count: int, styles: int = 3) -> list[Entry]:
    return [Entry(f"song{i:02d}", 0, 100, "valid", f"style{i % styles}") for i in range(count)]


@pytest.mark.parametrize(("count", "wanted"), [(4, 9), (11, 3), (48, 24)])
def test_halves_are_disjoint_of_one_size_and_mixed_in_style(count: int, wanted: int) -> None:
    first, second = material.halves(entries(count), wanted)
    assert len(first) == len(second) == min(wanted, count // 2)
    assert not {song.name for song in first} & {song.name for song in second}
    for style in ("style0", "style1", "style2"):
        shares = [sum(song.style == style for song in half) for half in (first, second)]
        assert abs(shares[0] - shares[1]) <= 1


def test_prompt_and_truth_are_one_stretch_from_the_middle(tmp_path: Path) -> None:
    write_prepared(tmp_path, [3.0, 4.0, 5.0, 3.0, 1.0])
    found = material.held_out(tmp_path, "valid", 9, 1.0, 1.5, RATE_HZ)
    assert len(found.reference) == len(found.prompted) == 2
    excerpt = next(song for song in found.reference + found.prompted if song.name == "song1.flac")
    start = round(0.75 * RATE_HZ)
    whole = pluck_song(1, 4.0)[start : start + round(2.5 * RATE_HZ)]
    assert len(excerpt.prompt) == RATE_HZ
    assert np.abs(np.concatenate([excerpt.prompt, excerpt.truth]) - whole).max() < 1e-4
    assert (excerpt.style, excerpt.bpm) == ("jazz", 100.0)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    write_prepared(tmp_path, [3.0] * 4)
    excerpt = material.held_out(tmp_path, "valid", 1, 1.0, 1.0, 16_000).prompted[0]
    assert len(excerpt.prompt) == len(excerpt.truth) == 16_000


def test_too_few_songs_are_refused_with_the_numbers(tmp_path: Path) -> None:
    write_prepared(tmp_path, [3.0, 3.0, 3.0, 1.0])
    with pytest.raises(ValueError, match=r"3 of 4 songs in split valid last 2 s"):
        material.held_out(tmp_path, "valid", 9, 1.0, 1.0, RATE_HZ)


def test_split_all_takes_every_song(tmp_path: Path) -> None:
    write_prepared(tmp_path, [3.0] * 4, split="train")
    assert len(material.held_out(tmp_path, "all", 9, 1.0, 1.0, RATE_HZ).prompted) == 2


def test_recordings_are_read_and_what_cannot_be_continued_is_left(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", pluck_song(0, 3.0), RATE_HZ)
    soundfile.write(tmp_path / "short.wav", pluck_song(0, 1.0), RATE_HZ)
    (tmp_path / "README.md").write_text("not audio")
    found = material.takes(tmp_path, 1.0, 1.5, RATE_HZ)
    assert [excerpt.name for excerpt in found] == ["long.wav"]
    assert (len(found[0].prompt), len(found[0].truth)) == (RATE_HZ, round(1.5 * RATE_HZ))
