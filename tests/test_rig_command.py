import json
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.commands.rig import Rigging, replay
from engine.commands.stream import open_stream
from engine.errors import DeviceError, NetworkError, UsageError
from engine.generator import Block
from engine.rig.ports import OscPort
from engine.rig.replay import read_flight
from engine.rig.states import States, load_state
from engine.runner import Runner
from tests.rigging import Remote, until

ROOT = Path(__file__).parent.parent
MUSIC = {
    "bundle": None, "backend": "standin", "steps": None, "depth": None, "threads": 1, "seed": 3,
    "chunk": 8, "take": None, "prompts": [], "weights": [], "bpm": None, "density": None,
    "brightness": None, "guidance": None, "key": None, "play": [], "without": [],
    "osc": None, "osc_host": "127.0.0.1", "announce": False, "midi": None, "show": None,
    "record": None, "states": None, "flight": None, "state": None, "screen": False, "link": False,
}  # fmt: skip


def given(**options: Any) -> Namespace:
    return Namespace(**{**MUSIC, **options})


class Playing:
    """The stand-in, played in real time with a rig beside it; what is sent is handed to it."""

    def __init__(self, **options: Any) -> None:
        self.rigging = Rigging(given(**options), open_stream(given(**options)))
        stream = self.rigging.stream
        self.controls = stream.controls
        self.blocks: list[Block] = []
        self.runner = Runner(
            stream.generator, stream.controls, ring_s=2.0, on_block=self._note, spare=stream.spare
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _note(self, block: Block) -> None:
        self.blocks.append(block)
        self.rigging.note(block)

    def _send(self) -> None:
        began_s, sent, packet = time.monotonic(), 0, np.zeros((1200, 1), np.float32)
        while not self._stopping.wait(0.01):
            while sent < (time.monotonic() - began_s) * 24000:
                self.runner.ring.read_into(packet)
                self.rigging.heard(packet)
                sent += 1200

    def __enter__(self) -> "Playing":
        self.runner.start()
        self.rigging.start(self.runner)
        until(lambda: self.runner.ring.fill_samples > 36_000)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self.runner.stop()
        self.rigging.__exit__(None, None, None)


def test_a_whole_session_with_osc_recording_and_log(tmp_path: Path, capsys) -> None:
    show = tmp_path / "show.json"
    scenes = {"calm": {"controls": {"bpm": 66}, "prompts": [{"text": "piano"}]}}
    cues = [{"scene": "calm", "at": {"bar": 2}}]
    show.write_text(json.dumps({"show": 1, "mood": "?", "scenes": scenes, "cues": cues}))
    flight, out = tmp_path / "flight.jsonl", tmp_path / "out.flac"
    with Playing(osc=0, show=show, record=out, flight=flight) as playing:
        remote = Remote(playing.rigging.rig._osc.port)
        remote.say("/subscribe", remote.port)
        remote.say("/value/density", 0.25)
        remote.say("/control/brightness", 1.0)
        assert remote.hear("/control/density", 0.25)
        remote.say("/quantise", "bar")
        remote.say("/value/density", 0.5)
        assert remote.hear("/scene") == ["calm"]  # bar 2, two seconds in
        assert remote.hear("/control/density", 0.5)
        assert playing.controls.snapshot().prompt is not None
        remote.close()
    assert f"{show}.mood is not known: ignored" in capsys.readouterr().err
    changes = [line for line in read_flight(flight).lines if "set" in line]
    at = {name: line["at"] for line in changes[1:] for name in line["values"]}
    assert at["bpm"] == 48000 // 3840 * 3840 + 3840  # the first chunk that begins after bar 2
    music = np.concatenate([block.audio for block in playing.blocks])
    recorded, _ = soundfile.read(out, dtype="float32", always_2d=True)
    dry = playing.runner.ring.shortfalls > 0  # on a busy machine only its beginning is the music
    size = 36_000 if dry else min(len(recorded), len(music))
    np.testing.assert_allclose(recorded[:size], music[:size], atol=1e-4)
    again = tmp_path / "again.flac"
    assert replay(given(replay=flight, output=again, backend="auto")) == 0
    assert "played again" in capsys.readouterr().out
    replayed, _ = soundfile.read(again, dtype="float32", always_2d=True)
    np.testing.assert_allclose(replayed, music, atol=1e-4)


def perpetuo(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "engine", *map(str, arguments)]


def steer(process: subprocess.Popen[str]) -> None:
    """Some changes by OSC, over two seconds."""
    assert process.stderr is not None
    remote = Remote(int(process.stderr.readline().rpartition(":")[2]))
    remote.say("/subscribe", remote.port)
    assert remote.hear("/value/seed") == [0]
    for n in range(1, 10):
        remote.say("/value/seed", n)
        assert remote.hear("/value/seed", n)
        time.sleep(0.2)
    remote.close()


def test_after_kill_the_recording_is_valid_and_the_session_replays(tmp_path: Path) -> None:
    out, log, again = (tmp_path / name for name in ("out.flac", "log", "again.wav"))
    command = perpetuo(
        "serve", "--port", 0, "--backend", "standin", "--chunk", 8, "--seed", 7, "--ring", 2,
        "--osc", 0, "--record", out, "--flight", log,
    )  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, text=True) as process:
        try:
            steer(process)
            until(lambda: out.exists() and soundfile.info(out).frames > 80_000)
        finally:
            process.send_signal(signal.SIGKILL)
    recorded, rate_hz = soundfile.read(out, dtype="float32", always_2d=True)
    assert rate_hz == 24000
    done = subprocess.run(
        perpetuo("render", "--replay", log, "-o", again), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    replayed, _ = soundfile.read(again, dtype="float32", always_2d=True)
    assert 80_000 < len(recorded) <= len(replayed)
    # What was there before the feed began; on a busy machine the ring may run dry later.
    np.testing.assert_allclose(recorded[:11_000], replayed[:11_000], atol=1e-4)
    assert json.loads(log.read_text().splitlines()[0])["seed"] == 7


@contextmanager
def taken_port() -> Iterator[int]:
    port = OscPort("127.0.0.1", 0)
    yield port.port
    port.close()


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    with taken_port() as port, pytest.raises(NetworkError, match="already in use"):
        Rigging(given(osc=port, flight=tmp_path / "log"), open_stream(given()))
    assert len((tmp_path / "log").read_text().splitlines()) == 2
    with pytest.raises(DeviceError, match="MIDI"):
        Rigging(given(osc=0, midi="no such input"), open_stream(given()))
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("perpetuo-rig")])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"show": Path("/nowhere/show.json")}, "cannot be read: No such file"),
        ({"record": Path("/nowhere")}, r"a name that ends in \.flac, or a folder"),
        ({"flight": Path("/nowhere/log")}, "cannot be begun: No such file"),
    ],
)
def test_bad_places_are_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        Rigging(given(**options), open_stream(given()))


def test_a_broken_show_file_is_refused_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "show.json").write_text('{"show": 1,\n "scenes": }')
    with pytest.raises(UsageError, match=r"show\.json, line 2, column 12"):
        Rigging(given(show=tmp_path / "show.json"), open_stream(given()))


def test_a_log_of_another_bundle_is_not_replayed(tmp_path: Path) -> None:
    with Playing(flight=tmp_path / "log"):
        pass
    text = (tmp_path / "log").read_text()
    (tmp_path / "other").write_text(text.replace("0" * 64, "1" * 64))
    with pytest.raises(UsageError, match="name it with --bundle"):
        replay(given(replay=tmp_path / "other", output=tmp_path / "out.wav", backend="auto"))
    assert not (tmp_path / "out.wav").exists()


def blocks_after(playing: Playing, samples: int, count: int) -> list[Block]:
    """The next blocks, without cover, whose place in the stream is behind a sample."""

    def found() -> list[Block]:
        return [b for b in list(playing.blocks) if b.position_samples >= samples and not b.cover]

    until(lambda: len(found()) >= count)
    return found()[:count]


def turned(playing: Playing) -> Block:
    """The short cover in front of music that goes on from elsewhere."""

    def found() -> list[Block]:
        return [b for b in list(playing.blocks) if b.cover and b.audio.shape[0] < 1000]

    until(found)
    return found()[-1]


SEAM = 720
"""Samples of the crossfade into restored music."""


@pytest.mark.parametrize("unit", ["now", "bar"])
def test_a_state_is_saved_and_gone_on_from_exactly(tmp_path: Path, capsys, unit: str) -> None:
    with Playing(osc=0, states=tmp_path) as playing:
        remote = Remote(playing.rigging.rig._osc.port)
        remote.say("/subscribe", remote.port)
        remote.say("/value/bpm", 140.0)
        assert remote.hear("/value/bpm", 140.0) == [140.0]
        remote.say("/save/verse")
        assert "state verse is saved in" in remote.hear("/note")[0]
        index = load_state(tmp_path / "verse.state.npz").about["next"]
        until(lambda: playing.blocks[-1].index > index + 12)
        first = [b for b in list(playing.blocks) if b.index >= index and not b.cover][:10]
        remote.say("/value/bpm", 60.0)
        assert remote.hear("/value/bpm", 60.0) == [60.0]
        remote.say("/quantise", unit)
        remote.say("/restore/verse")
        assert remote.hear("/state") == ["verse"]
        cover = turned(playing)
        again = blocks_after(playing, cover.position_samples, 10)
        assert playing.controls.snapshot().values["bpm"] == 140
        remote.say("/restore/chorus")
        assert remote.hear("/error") == ["no state 'chorus'; there are: verse"]
        remote.close()
    assert [b.index for b in again] == [b.index for b in first] == list(range(index, index + 10))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.latents, other.latents)
    np.testing.assert_array_equal(again[0].audio[SEAM:], first[0].audio[SEAM:])
    for one, other in zip(first[1:], again[1:], strict=True):
        np.testing.assert_array_equal(one.audio, other.audio)


def test_a_stream_begins_from_a_state(tmp_path: Path, capsys) -> None:
    with Playing(osc=0, states=tmp_path, bpm=100.0, prompts=["slow jazz"]) as playing:
        remote = Remote(playing.rigging.rig._osc.port)
        remote.say("/subscribe", remote.port)
        remote.say("/save/verse")
        remote.hear("/note")
        remote.close()
        state = tmp_path / "verse.state.npz"
        index = load_state(state).about["next"]
        until(lambda: playing.blocks[-1].index > index + 6)
    first = [b for b in playing.blocks if b.index >= index and not b.cover][:5]
    stream = open_stream(given(state=state, seed=0, chunk=None))
    assert [(one.text, one.weight) for one in stream.prompted] == [("slow jazz", 1.0)]
    assert stream.controls.snapshot().values["bpm"] == 100
    for block in first:
        made = stream.generator.tick(stream.controls.snapshot())
        assert made.index == block.index
        np.testing.assert_array_equal(made.audio, block.audio)
    faster = open_stream(given(state=state, bpm=150.0))
    assert faster.controls.snapshot().values["bpm"] == 150
    with pytest.raises(UsageError, match="--from and --state"):
        open_stream(given(state=state, take=tmp_path / "take.wav"))
    with pytest.raises(UsageError, match="--depth"):
        open_stream(given(state=state, depth=2))


def test_a_flight_goes_over_restored_states(tmp_path: Path, capsys) -> None:
    log = tmp_path / "log"
    with Playing(osc=0, states=tmp_path, flight=log) as playing:
        remote = Remote(playing.rigging.rig._osc.port)
        remote.say("/subscribe", remote.port)
        remote.say("/save/verse")
        remote.hear("/note")
        remote.say("/value/seed", 5)
        until(lambda: playing.blocks[-1].index > 20)
        remote.say("/restore/verse")
        remote.hear("/state")
        cover = turned(playing)
        blocks_after(playing, cover.position_samples, 6)
        remote.close()
    again = tmp_path / "again.wav"
    assert replay(given(replay=log, output=again)) == 0
    made = np.concatenate([block.audio for block in playing.blocks])
    sound, _ = soundfile.read(again, dtype="float32", always_2d=True)
    samples = min(len(sound), len(made))
    assert samples > cover.position_samples + 7680
    np.testing.assert_allclose(sound[:samples], made[:samples], atol=2e-4)
    states = States(tmp_path)
    states.save(
        "verse", replace(states.load("verse"), about={**states.load("verse").about, "next": 1})
    )
    with pytest.raises(UsageError, match="is not the state any more"):
        replay(given(replay=log, output=tmp_path / "b.wav"))
