"""Opus in the page, in a real browser: decoded where its header says, and PCM where it cannot."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import playing_live
from test_web import LEVEL, SAMPLES, STATUS, press

from bench.chromium import PROGRAM, browsing
from engine.opus import RATE_HZ, OpusEncoder, delay_samples

pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

CODEC = "document.body.dataset.codec"
DECODE = """(async () => {
  const { OpusDecoder } = await import('/opus.js');
  const heard = [];
  const decoder = new OpusDecoder((packet) => heard.push(packet));
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  for (const [at, text] of PACKETS.entries())
    decoder.decode({ epoch: EPOCHS[at], channels: 2, rate: 24000, position: 2400 * at,
                     frames: 2400, payload: bytes(text) });
  await decoder.decoder.flush();
  const joined = heard.flatMap(({ samples }) => [...samples]);
  return JSON.stringify({ positions: heard.map(({ position }) => position), joined });
})()"""


async def test_the_browser_decodes_what_the_feed_encodes(tmp_path: Path) -> None:
    time_s = np.arange(24000) / 24000
    sides = [0.3 * np.sin(2 * np.pi * hertz * time_s) for hertz in (440.0, 700.0)]
    audio = np.stack(sides, axis=1).astype(np.float32)
    encoder = OpusEncoder(24000, 2, 2400)
    packets = [
        base64.b64encode(encoder.encode(audio[at : at + 2400])).decode()
        for at in range(0, 24000, 2400)
    ]
    script = DECODE.replace("PACKETS", json.dumps(packets)).replace("EPOCHS", str([7] * 10))
    async with playing_live() as server, browsing(tmp_path, server.url) as tab:
        told = json.loads(await tab.evaluate(script))
    assert told["positions"] == [2400 * at for at in range(10)]
    heard = np.array(told["joined"]).reshape(-1, 2)[:: RATE_HZ // 24000]
    late = delay_samples(24000)
    rest = heard[4800:] - audio[4800 - late : heard.shape[0] - late]
    assert np.sqrt((rest**2).mean()) < 0.05 * np.sqrt((audio**2).mean())


async def test_the_page_plays_opus_where_it_is_asked_for(tmp_path: Path) -> None:
    async with (
        playing_live() as server,
        browsing(tmp_path, server.url + "?codec=opus") as tab,
    ):
        await tab.until("document.getElementById('bundle').textContent")
        await press(tab, "#start")
        await tab.until(f"{STATUS} === 'live' && {SAMPLES} > 96000")
        assert await tab.evaluate(CODEC) == "opus"
        assert await tab.evaluate(LEVEL) > -40
        await tab.until("ring.getAttribute('aria-label').startsWith('Chunk ')")
        await press(tab, "[data-hand=panic]")
        await tab.until("document.getElementById('answer').textContent.startsWith('panic: heard')")
        await tab.until(f"{LEVEL} <= -60")
        assert not tab.errors


async def test_the_page_takes_pcm_where_the_server_has_no_opus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    async with (
        playing_live() as server,
        browsing(tmp_path, server.url + "?codec=opus") as tab,
    ):
        await tab.until("document.getElementById('bundle').textContent")
        await press(tab, "#start")
        await tab.until(f"{STATUS} === 'live' && {SAMPLES} > 24000")
        assert await tab.evaluate(CODEC) == "pcm_s16le"
        assert not tab.errors
