"""bench.bearings: a beat that is in the tokens is heard, and what is not there is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from known_songs import TOKEN_HZ, write_known, write_store

from bench import bearings
from bench.bearings import MEASURES, Fact, Stretch, measure, share
from engine.backends import open_backend, standin
from engine.clock import SIXTEENTHS, Clock
from engine.errors import UsageError
from model.tokenise import Semantics

WALTZ = {
    "style": "folk", "bpm": 90.0, "beats_per_bar": 3,
    "keys": [
        {"start_s": 0.0, "tonic": "C", "mode": "major"},
        {"start_s": 10.0, "tonic": "A", "mode": "minor"},
    ],
}  # fmt: skip
SWING = Fact(0, "jazz", 120.0, 8.0, SIXTEENTHS, (0, 0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(corpus, store): a token is the sixteenth, as the stand-in's evidence understands it."""
    folder = tmp_path_factory.mktemp("known")
    corpus, data = write_known(folder, 2, 20.0)
    return corpus, write_store(folder, corpus, data)


def heard_at(place: float, key: tuple[int, int] | None = None, bpm: float = 120.0) -> Stretch:
    """A stretch of 10 s behind which the bar is heard to be at this place."""
    end = round(10 * TOKEN_HZ)
    start = (place - end * bpm / 60 * 4 / TOKEN_HZ) % SIXTEENTHS
    return Stretch(Clock(bpm, start, TOKEN_HZ), key, end, SWING)


def right(name: str, stretch: Stretch, fact: Fact = SWING) -> bool | None:
    return MEASURES[name](stretch, fact)


def test_the_truth_is_that_of_the_moment() -> None:
    before, after = (Fact.at(WALTZ, 0, at_s) for at_s in (9.0, 11.0))
    assert before == Fact(0, "folk", 90.0, 6.0, 12, (0, 0))
    assert (after.key, after.place) == ((9, 1), pytest.approx(6.0))


@pytest.mark.parametrize(
    ("place", "beat", "bar"), [(8.0, 1, 1), (8.9, 1, 1), (12.0, 1, 0), (10.0, 0, 0), (4.5, 1, 0)]
)
def test_a_place_is_right_in_the_beat_and_in_the_bar(place: float, beat: int, bar: int) -> None:
    assert right("beat", heard_at(place)) == beat
    assert right("bar of four", heard_at(place)) == bar


def test_the_bar_comes_round() -> None:
    begun = Fact(0, "jazz", 120.0, 0.2, SIXTEENTHS, (0, 0))
    assert right("bar of four", heard_at(15.8), begun) is True


def test_a_tempo_is_within_four_percent_or_an_octave_off() -> None:
    for bpm, exact, octave in ((124, True, True), (126, False, False), (60.5, False, True)):
        assert right("tempo within 4 %", heard_at(8.0, bpm=bpm)) is exact
        assert right("or an octave off", heard_at(8.0, bpm=bpm)) is octave


def test_a_relative_key_has_the_notes() -> None:
    for key, notes, same in (((0, 0), True, True), ((9, 1), True, False), ((7, 0), False, False)):
        assert right("notes of the key", heard_at(8.0, key)) is notes
        assert right("key", heard_at(8.0, key)) is same


def test_what_was_not_heard_is_wrong_and_a_bar_of_three_is_not_asked_for() -> None:
    silent = Stretch(None, None, 250, SWING)
    assert not any(right(name, silent) for name in MEASURES)
    assert right("bar of four", heard_at(8.0), Fact.at(WALTZ, 0, 9.0)) is None
    assert share([True, None, False]) == 0.5
    assert share([None]) is None


def test_chance_is_the_truth_of_the_other_songs() -> None:
    waltz = Fact.at(WALTZ, 1, 9.0)
    report = measure([heard_at(8.0, (0, 0)), Stretch(Clock(90.0, 0.0, 25.0), (0, 0), 250, waltz)])
    assert report["songs"] == report["stretches"] == 2
    assert report["asked"]["bar of four"] == 1
    assert report["all"]["tempo within 4 %"] == 1.0
    assert report["chance"]["tempo within 4 %"] == 0.0
    assert report["chance"]["key"] == 1.0  # both are in C
    assert report["styles"]["folk"]["bar of four"] is None


def test_the_command_hears_the_beat_of_held_out_songs(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, store = map(str, folders)
    options = ["--backend", "standin", "--corpus", corpus, "--features", store]
    assert bearings.main([*options, "--out", str(tmp_path / "heard.json")]) == 0
    report = json.loads((tmp_path / "heard.json").read_text())
    assert (report["songs"], report["stretches"]) == (4, 16)
    for figure in ("a beat is heard", "tempo within 4 %", "beat", "bar of four"):
        assert report["all"][figure] == 1.0, figure
    assert report["all"]["a key is heard"] == 0.0  # the stand-in's tokens tell none
    assert "16 stretches of 10 s of 4 held-out songs" in capsys.readouterr().out


def test_what_cannot_be_asked_is_one_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, store = map(str, folders)
    options = ["--backend", "standin", "--corpus", corpus, "--features"]
    assert bearings.main([*options, str(tmp_path)]) == 2
    assert "model.tokenise" in capsys.readouterr().err
    assert bearings.main([*options, store, "--seconds", "60"]) == 2
    assert "less --seconds" in capsys.readouterr().err


def test_a_bundle_without_tokens_is_refused(folders: tuple[Path, Path]) -> None:
    store = Semantics(folders[1])
    with pytest.raises(UsageError, match="takes no prompts"):
        bearings.check(standin.bundle(), store)
    store.vocabulary = 4096
    with pytest.raises(UsageError, match="4096 tokens"):
        bearings.check(standin.bundle(prompting=True), store)


def test_a_song_that_is_too_short_is_left_out(folders: tuple[Path, Path]) -> None:
    backend = open_backend("standin", standin.bundle(prompting=True), threads=1)
    found = bearings.stretches(backend, Semantics(folders[1]), folders[0], 20.0, 1)
    assert len(found) == 4 and all(stretch.end == 500 for stretch in found)
