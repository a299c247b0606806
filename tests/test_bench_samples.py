"""bench.samples: what is played, where it changes, and the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import samples
from engine.backends import standin
from model.corpus.labels import STYLE_NAMES

pytest.importorskip("matplotlib")

BUNDLE = standin.bundle(prompting=True)
RATE_HZ = BUNDLE.manifest.audio.sample_rate_hz


def recording(path: Path, seconds: float = 6.0) -> Path:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 300 * time_s), RATE_HZ)
    return path


def test_every_style_has_a_file_of_its_own() -> None:
    made = samples.styles()
    assert [one.title for one in made] == list(STYLE_NAMES)
    assert len({one.file for one in made}) == len(STYLE_NAMES)
    assert {"style-lo-fi", "style-drum-and-bass"} <= {one.file for one in made}


def test_a_recording_stands_in_front_and_the_mark_at_its_end(tmp_path: Path) -> None:
    take = samples.cut(BUNDLE, recording(tmp_path / "a.wav"), 1.0, 3.0)
    change, continued, nothing = samples.others([("mine", take)], RATE_HZ)
    assert samples.mark_s(change, RATE_HZ) == samples.CHANGE_S
    assert samples.mark_s(continued, RATE_HZ) == pytest.approx(3.0)
    assert samples.mark_s(nothing, RATE_HZ) is None
    stage = samples.Stage(BUNDLE, standin.StandIn(BUNDLE), 1)
    short = samples.Sample("mine", "mine", (("", 2.0), ("", 1.0)), take)
    audio = stage.play(short)
    assert len(audio) == 6 * RATE_HZ
    np.testing.assert_array_equal(audio[: len(take)], take)
    assert np.abs(audio[-RATE_HZ:]).max() > 0.01 and not audio[-1].any()


def test_a_stretch_that_is_not_there_or_too_long_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path / "a.wav")
    for start, seconds in (("7", "3"), ("0", "30")):
        words = ["--backend", "standin", "--take", "x", str(file), start, seconds]
        assert samples.main([*words, "--out", str(tmp_path)]) == 2
        assert "name a stretch of it shorter than 24 s" in capsys.readouterr().err


def test_the_command_writes_sounds_and_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "STYLE_NAMES", ("ambient", "waltz"))  # what the stand-in knows
    monkeypatch.setattr(samples, "CHANGE", ("waltz", "ambient"))
    monkeypatch.setattr(samples, "STYLE_S", 0.5)
    monkeypatch.setattr(samples, "CHANGE_S", 0.5)
    assert samples.main(["--backend", "standin", "--out", str(tmp_path)]) == 0
    sounds = {path.name for path in tmp_path.glob("*.ogg")}
    assert sounds == {f"{one.file}.ogg" for one in samples.styles()} | {"change.ogg", "nothing.ogg"}
    assert soundfile.info(tmp_path / "change.ogg").duration == pytest.approx(1.0, abs=0.05)
    assert {path.name for path in tmp_path.glob("*.png")} == {"styles.png", "others.png"}
