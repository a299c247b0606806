"""48 kHz and two channels, through every way that the music leaves: the right side of the stand-in
is 0.8 of the left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from serving import get, listening, packets, playing_live, text
from sound_server import SoundServer
from test_lyria_feed import chunks, client, samples
from test_web import LEVEL, SAMPLES, STATUS, press

from bench.chromium import PROGRAM, browsing
from engine.cli import run
from engine.rig.recorder import Recorder
from engine.spec import AudioSpec

STEREO = {"rate_hz": 48000, "channels": 2}


def check_sides(audio: np.ndarray, tolerance: float) -> None:
    """Loud enough, and the right side follows the left."""
    left, right = audio[:, 0].astype(np.float64), audio[:, 1].astype(np.float64)
    assert np.sqrt((left**2).mean()) > 0.02
    rest = right - 0.8 * left
    assert np.sqrt((rest**2).mean()) < tolerance * np.sqrt((left**2).mean())


async def test_the_feed_says_and_sends_both_sides() -> None:
    async with playing_live(**STEREO) as server, listening(url(server)) as listener:
        assert listener.hello["audio"]["sample_rate_hz"] == 48000
        heard = await packets(listener, 15)
        _, _, info = await get(server.port, "/info")
    assert json.loads(info)["audio"]["channels"] == 2
    assert {(header.channels, header.sample_rate_hz) for header, _ in heard} == {(2, 48000)}
    check_sides(np.concatenate([audio for _, audio in heard])[9600:], 1e-5)


def url(server: object) -> str:
    return f"ws://127.0.0.1:{server.port}/feed"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("codec", "name", "tolerance"), [
    ("s16", "a.wav", 0.001), ("f32", "a.flac", 0.001), ("opus", "a.wav", 0.05),
])  # fmt: skip
async def test_listen_writes_both_sides(
    tmp_path: Path, codec: str, name: str, tolerance: float
) -> None:
    if codec == "opus":
        pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")
    words = ["-o", str(tmp_path / name), "--seconds", "1.5", "--codec", codec]
    async with playing_live(**STEREO) as server, listening(url(server)) as listener:
        await packets(listener, 5)
        assert await asyncio.to_thread(run, ["listen", url(server), *words]) == 0
    audio, rate_hz = soundfile.read(tmp_path / name, always_2d=True)
    assert (rate_hz, audio.shape[1]) == (48000, 2)
    check_sides(audio[9600:], tolerance)


async def test_a_client_of_lyria_gets_both_sides_unresampled() -> None:
    async with playing_live(**STEREO) as server:
        async with listening(url(server)) as listener:
            await text(listener, "state")
        async with client(SimpleNamespace(server=server)) as one:
            await one.send(json.dumps({"playbackControl": "PLAY"}))
            heard = samples(await chunks(one, 15))
    check_sides(heard[9600:] / 32768, 0.001)


def test_a_recording_has_both_sides(tmp_path: Path) -> None:
    recorder = Recorder(AudioSpec(48000, 2))
    recorder.start(tmp_path / "a.flac")
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (96000, 1)).astype(np.float32)
    for at in range(0, 96000, 4800):
        recorder.take(noise[at : at + 4800] * np.array([[1.0, 0.8]], np.float32))
    recorder.stop()
    audio, rate_hz = soundfile.read(tmp_path / "a.flac")
    assert rate_hz == 48000 and audio.shape == (96000, 2)
    check_sides(audio, 1e-3)


@pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")
@pytest.mark.parametrize("codec", ["pcm_s16le", "opus"])
async def test_the_page_plays_both_sides(tmp_path: Path, codec: str) -> None:
    if codec == "opus":
        pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")
    async with (
        playing_live(**STEREO) as server,
        browsing(tmp_path, f"{server.url}?codec={codec}") as tab,
    ):
        await tab.until("document.getElementById('bundle').textContent")
        await tab.evaluate(
            """(() => { const Node = AudioWorkletNode;
            globalThis.AudioWorkletNode = class extends Node {
              constructor(context, name, options) {
                super(context, name, options);
                const split = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
                globalThis.sides = [0, 1].map((side) => {
                  const ear = new AnalyserNode(context, { fftSize: 32768 });
                  split.connect(ear, side);
                  return ear;
                });
                this.connect(split);
              }
            };})()"""
        )
        await press(tab, "#start")
        await tab.until(f"{STATUS} === 'live' && {SAMPLES} > 96000 && {LEVEL} > -40")
        levels = await tab.evaluate(
            """(() => sides.map((ear) => {
              const heard = new Float32Array(ear.fftSize);
              ear.getFloatTimeDomainData(heard);
              return Math.hypot(...heard);
            }))()"""
        )
        assert levels[1] == pytest.approx(0.8 * levels[0], rel=0.02)
        assert not tab.errors


PLAY = """
import time
import numpy as np
from engine.ring import AudioRing
from engine.sinks.device import DeviceSink
from engine.spec import AudioSpec
ring = AudioRing(960000, 2)
ring.write(np.full((960000, 2), 0.25, np.float32))
with DeviceSink(AudioSpec(48000, 2), ring=ring) as sink:
    while sink.status().callbacks < 50 or ring.read_samples < 48000:
        time.sleep(0.02)
    status = sink.status()
print(status.sample_rate_hz, status.playing, status.restarts)
"""


def test_a_device_takes_both_sides_as_they_are() -> None:
    """Through a real PortAudio, on a dummy device of JACK's."""
    with SoundServer(rate_hz=48000, channels=2) as server:
        said, errors = server.run(PLAY).communicate(timeout=90)
    assert said.split() == ["48000", "True", "0"], errors
