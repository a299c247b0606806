"""HLS as the public hears it: hls.js, in a real browser, plays the folder that a relay fills."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from broadcasting import Station, on_air

from bench.chromium import PROGRAM, browsing
from engine.relays.hls import LIST, HlsFolder, HlsRelay
from engine.relays.source import Source
from engine.wire.packets import Codec

pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")
HLS_JS = Path(__file__).parent.parent / "node_modules" / "hls.js" / "dist" / "hls.light.min.js"
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium"),
    pytest.mark.skipif(not HLS_JS.exists(), reason="needs: npm install --no-save hls.js"),
]
PAGE = """<!doctype html><title>hls</title><audio id="player"></audio><script src="hls.js"></script>
<script>
const faults = [], player = document.getElementById("player");
const hls = new Hls({ liveSyncDurationCount: 2 });
hls.on(Hls.Events.ERROR, (_, data) => data.fatal && faults.push(data.details));
hls.loadSource("live.m3u8");
hls.attachMedia(player);
player.play().catch((reason) => faults.push(String(reason)));
</script>"""


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_hls_js_plays_while_the_list_rolls(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    made = HlsFolder(folder, segment_s=1.0)
    (folder / "index.html").write_text(PAGE)
    shutil.copy(HLS_JS, folder / "hls.js")
    station = Station(Codec.PCM_S16LE)
    async with on_air(station), Source(station.url, Codec.PCM_S16LE) as source:
        tasks = [asyncio.create_task(HlsRelay(made).run(source))]
        await station.heard()
        station.send(40)
        tasks.append(asyncio.create_task(station.play()))
        while not (folder / LIST).exists():
            await asyncio.sleep(0.05)
        with web_server(folder) as port:
            async with browsing(tmp_path / "profile", f"http://127.0.0.1:{port}/") as tab:
                await tab.until("player.currentTime > 0 && !player.paused")
                began = await tab.evaluate("player.currentTime")
                await tab.until(f"player.currentTime > {began} + 8", 120.0)
                assert await tab.evaluate("faults") == []
                assert await tab.evaluate("player.webkitAudioDecodedByteCount") > 0
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
