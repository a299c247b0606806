from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import cli, commands
from engine.backends import standin
from engine.bundle import Bundle
from engine.commands.info import describe
from engine.commands.wishes import read_wishes
from engine.errors import UsageError

RATE_HZ = 24000


def perpetuo(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


def render(path: Path, *arguments: object, seconds: float = 1.0) -> int:
    return perpetuo("render", "--backend", "standin", "-o", path, "--seconds", seconds, *arguments)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error: a single line of the command's own, no traceback."""
    words = capsys.readouterr().err
    assert words.startswith("perpetuo: ") and words.count("\n") == 1, words
    return words


def tone(seconds: float, rate_hz: int, channels: int = 1) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat(0.3 * np.sin(2 * np.pi * 220 * time_s)[:, None], channels, axis=1)


# ---- render ---------------------------------------------------------------------------------


def test_render_writes_exactly_the_seconds_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(tmp_path / "out.wav", seconds=1.25) == 0
    audio, rate_hz = soundfile.read(tmp_path / "out.wav")
    assert rate_hz == RATE_HZ and audio.shape == (30000,)
    assert np.abs(audio).max() > 0.01
    said = capsys.readouterr()
    assert "real-time factor" in said.out and said.err == ""


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_render_writes_the_format_that_the_name_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    assert render(path) == 0
    assert soundfile.info(path).format.lower() == suffix


def test_the_same_seed_gives_the_same_samples(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("a.wav", "b.wav", "c.wav"))
    assert render(first, "--seed", 5) == render(again, "--seed", 5) == 0
    assert render(other, "--seed", 6) == 0
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    "ladder", [("--steps", 4), ("--steps", 8, "--depth", 2), ("--chunk", 8), ("--depth", 5)]
)
def test_the_ladder_can_be_chosen(tmp_path: Path, ladder: Sequence[object]) -> None:
    assert render(tmp_path / "usual.wav") == render(tmp_path / "other.wav", *ladder) == 0
    assert (tmp_path / "usual.wav").read_bytes() != (tmp_path / "other.wav").read_bytes()


def test_with_take_puts_the_recording_in_front(tmp_path: Path) -> None:
    take = tone(2.0, RATE_HZ)
    soundfile.write(tmp_path / "take.wav", take, RATE_HZ)
    alone, whole = tmp_path / "alone.wav", tmp_path / "whole.wav"
    assert render(alone, "--from", tmp_path / "take.wav") == 0
    assert render(whole, "--from", tmp_path / "take.wav", "--with-take") == 0
    audio, _ = soundfile.read(whole, always_2d=True)
    assert np.allclose(audio[: len(take)], take, atol=1e-3)
    assert np.array_equal(audio[len(take) :], soundfile.read(alone, always_2d=True)[0])


def test_the_take_itself_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "take.wav"
    soundfile.write(path, tone(1.0, RATE_HZ), RATE_HZ)
    before = path.read_bytes()
    assert render(path, "--from", path) == 2
    assert "another name" in one_line(capsys)
    assert path.read_bytes() == before


# ---- what is asked ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        ("--prompt", "slow jazz, no drums"),
        ("--prompt", "jazz", "--prompt", "waltz", "--weight", 3, "--weight", 0.5),
        ("--bpm", 90), ("--key", "A minor"), ("--key", "f#"), ("--density", 0.1),
        ("--brightness", 1), ("--with", "bass", "--without", "drums", "--without", "organ"),
    ],
)  # fmt: skip
def test_what_is_asked_is_heard(tmp_path: Path, asked: Sequence[object]) -> None:
    usual, other, again = (tmp_path / name for name in ("usual.wav", "other.wav", "again.wav"))
    assert render(usual) == render(other, *asked) == render(again, *asked) == 0
    assert usual.read_bytes() != other.read_bytes() == again.read_bytes()


def test_weights_belong_to_prompts_in_their_order(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "like.wav", tone(2.0, 44100, 2), 44100)
    files = []
    for weights in ((4, 1), (1, 4)):
        asked = ["--prompt", "jazz", "--prompt-audio", tmp_path / "like.wav"]
        for weight in weights:
            asked += ["--weight", weight]
        assert render(tmp_path / f"{weights[0]}.wav", *asked) == 0
        files.append((tmp_path / f"{weights[0]}.wav").read_bytes())
    assert files[0] != files[1]


@pytest.mark.parametrize(
    ("seconds", "level", "words"), [(2.0, 0.0, "silent"), (0.5, 1.0, "it takes 1 s or more")]
)
def test_a_reference_that_says_nothing_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: float, level: float, words: str
) -> None:
    soundfile.write(tmp_path / "like.wav", level * tone(seconds, RATE_HZ), RATE_HZ)
    assert render(tmp_path / "out.wav", "--prompt-audio", tmp_path / "like.wav") == 2
    said = one_line(capsys)
    assert words in said and "like.wav" in said


# ---- takes of every kind ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "channels"), [(0.1, 24000, 1), (2.0, 8000, 1), (1.0, 192000, 6)]
)
def test_odd_takes_are_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: float, rate_hz: int, channels: int
) -> None:
    take = tmp_path / "take.wav"
    soundfile.write(take, tone(seconds, rate_hz, channels), rate_hz)
    assert render(tmp_path / "out.wav", "--from", take) == 0
    audio, _ = soundfile.read(tmp_path / "out.wav")
    assert np.isfinite(audio).all() and np.abs(audio).max() > 0.01
    notes = capsys.readouterr().err
    assert (str(rate_hz) in notes) == (rate_hz != RATE_HZ)
    assert ("mixed down" in notes) == (channels > 1)


def test_a_take_with_nan_is_mended_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tone(1.0, RATE_HZ)
    audio[100:200] = np.nan
    soundfile.write(tmp_path / "take.wav", audio, RATE_HZ, subtype="FLOAT")
    assert render(tmp_path / "out.wav", "--from", tmp_path / "take.wav") == 0
    assert "100 samples" in capsys.readouterr().err
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() > 0.01


@pytest.mark.parametrize("content", [b"", b"RIFF", b"these are words, not music\n" * 99])
def test_what_is_no_audio_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    take = tmp_path / "take.wav"
    take.write_bytes(content)
    assert render(tmp_path / "out.wav", "--from", take) == 2
    assert str(take) in one_line(capsys)
    assert not (tmp_path / "out.wav").exists()


def test_a_take_without_samples_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "take.wav", np.zeros((0, 1)), RATE_HZ)
    assert render(tmp_path / "out.wav", "--from", tmp_path / "take.wav") == 2
    assert "no samples" in one_line(capsys)


# ---- what cannot be done ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--seconds", "nan"), "--seconds"),
        (("--seconds", "-1"), "--seconds"),
        (("--seed", "x"), "--seed"),
        (("--steps", "0"), "--steps"),
        (("--steps", "8", "--depth", "3"), "depth"),
        (("--steps", "900"), "steps"),
        (("--chunk", "7"), "7"),
        (("--backend", "tape"), "tape"),
        (("--from", "nowhere.wav"), "nowhere.wav"),
        (("--prompt", ""), "text is empty"),
        (("--prompt", "a" * 10_000), "10,000 characters"),
        (("--prompt", "xyzzy 🎹"), "no word of"),
        (("--prompt", "jazz", "--weight", "nan"), "weight is nan"),
        (("--prompt", "jazz", "--weight", "-1"), "weight is -1"),
        (("--prompt", "jazz", "--weight", "0"), "0 < weight ≤ 100"),
        (("--prompt", "jazz", "--weight", "much"), "--weight"),
        (("--weight", "1"), "1 of them for 0 prompts"),
        (("--prompt-audio", "nowhere.wav"), "nowhere.wav"),
        (("--bpm", "0"), "bpm is 0.0, it takes 40 … 220 bpm"),
        (("--bpm", "1e9"), "40 … 220"),
        (("--key", "A lydian"), "major, minor, dorian, mixolydian"),
        (("--key", ""), "--key"),
        (("--density", "2"), "density is 2.0, it takes 0 … 1"),
        (("--brightness", "nan"), "brightness"),
        (("--with", "kazoo"), "one of drums, bass"),
        (("--with", "bass", "--without", "bass"), "both name bass"),
        (("--guidance", "0.5"), "guidance is 0.5, it takes 1 … 5"),
        (("--louder",), "--louder"),
        (("-o", "out.mp7"), ".wav"),
        (("-o", "no/such/folder/out.wav"), "folder"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], word: str
) -> None:
    assert render(tmp_path / "out.wav", *arguments) == 2
    assert word in one_line(capsys)


@pytest.mark.parametrize("asked", [("--prompt", "a waltz"), ("--bpm", "90")])
def test_a_bundle_that_takes_no_words_says_so(asked: tuple[str, str]) -> None:
    given = cli.parser().parse_args(["render", "-o", "out.wav", *asked])
    with pytest.raises(UsageError, match="no words and no musical wishes"):
        read_wishes(given, standin.bundle().manifest)


def test_an_unknown_command_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert perpetuo("dance") == 2
    assert "serve" in one_line(capsys)


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert perpetuo() == 2
    assert "render" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert perpetuo("--version") == 0
    assert capsys.readouterr().out == f"perpetuo {commands.version()}\n"


@pytest.mark.parametrize("command", [("info",), ("render", "-o", "never.wav", "--bundle")])
def test_a_broken_bundle_is_one_line_and_exit_3(
    dummy_bundle: Path, capsys: pytest.CaptureFixture[str], command: Sequence[str]
) -> None:
    graph = dummy_bundle / "decoder.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert perpetuo(*command, dummy_bundle) == 3
    assert re.search(r"500.*499", one_line(capsys))
    assert not Path("never.wav").exists()


def test_info_describes_a_whole_bundle(
    dummy_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert perpetuo("info", dummy_bundle) == 0
    said = capsys.readouterr().out
    for word in ("standin", "24000 Hz", "cached", "gain_db", "velocity.onnx", "10 steps"):
        assert word in said


def test_info_tells_what_may_be_asked(asked_bundle: Bundle) -> None:
    said = "\n".join(describe(asked_bundle))
    for words in ("20 known: no", "dorian", "synth_lead", "25 Hz of 32; looks back 0.96 s"):
        assert words in said
    assert "40 … 220 bpm, usually free" in said


def test_bench_goes_to_whoever_registered_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> object:
            return lambda arguments: len(arguments)

    def found(*, group: str, name: str) -> list[Entry]:
        return [Entry()] if (group, name) == ("perpetuo.commands", "bench") else []

    monkeypatch.setattr("importlib.metadata.entry_points", found)
    assert perpetuo("bench", "--seconds", "60", "compare", "a", "b") == 5


def test_without_benchmarks_bench_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [])
    assert perpetuo("bench") == 2
    assert "pip install" in one_line(capsys)


def test_an_unknown_sound_device_is_one_line_and_exit_4(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert perpetuo("play", "--backend", "standin", "--device", "no such device") == 4
    assert "perpetuo serve" in one_line(capsys)
