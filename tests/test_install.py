"""The examples of docs/install.md, run as they stand."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.certifying import certified
from tests.serving import PROTOCOLS, listening, packets, playing_tape, say, text

DOCS = Path(__file__).parent.parent / "docs"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SYSTEMD = shutil.which("systemd-analyze")
HOST = "music.example.org"


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """A certificate of its own, as options of the server."""
    return certified(tmp_path, HOST)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(tmp_path: Path, feed: int, port: int, cert: str, key: str) -> Path:
    """The example as a whole configuration, with places and ports of a test in it."""
    example = (DOCS / "install" / "nginx.conf").read_text()
    for old, new in (
        ("127.0.0.1:8765", f"127.0.0.1:{feed}"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("/etc/ssl/music.example.org/fullchain.pem", cert),
        ("/etc/ssl/music.example.org/privkey.pem", key),
    ):
        assert old in example
        example = example.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {tmp_path};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} {example} }}\n"
    )
    return config


@asynccontextmanager
async def proxied(tmp_path: Path, tls: dict[str, str], feed: int) -> AsyncIterator[int]:
    """nginx before a feed; its port."""
    assert NGINX is not None
    port = free_port()
    config = configured(tmp_path, feed, port, tls["tls_cert"], tls["tls_key"])
    nginx = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(config)])
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    assert nginx.poll() is None
                    await asyncio.sleep(0.05)
        yield port
    finally:
        nginx.terminate()
        nginx.wait(30)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def ask(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a request through nginx."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
async def test_the_nginx_example_carries_page_feed_and_lyria(
    tmp_path: Path, certificate: dict[str, str]
) -> None:
    origin = f"https://{HOST}"
    async with (
        playing_tape(origins=(origin,)) as tape,
        proxied(tmp_path, certificate, tape.server.port) as port,
    ):
        status, page = await ask(port, "/")
        assert status == 200 and b"<html" in page
        _, info = await ask(port, "/info")
        assert json.loads(info[info.index(b"{") : info.rindex(b"}") + 1])["feed"] == (
            f"wss://{HOST}/feed"
        )
        assert (await ask(port, "/metrics"))[0] == 200
        options = {"ssl": trusting(), "host": "127.0.0.1", "port": port}
        async with listening(f"wss://{HOST}/feed", origin=origin, **options) as listener:
            heard = await packets(listener, 30)
            positions = [header.position for header, _ in heard]
            assert positions == list(range(positions[0], positions[0] + 30 * 240, 240))
            await say(listener, type="set", id=1, name="gain_db", value=-3)
            assert (await text(listener, "ack"))["value"] == -3
        with pytest.raises(InvalidStatus, match="403"):
            await connect(
                f"wss://{HOST}/feed", origin="https://elsewhere.org", subprotocols=PROTOCOLS,
                **options,
            )  # fmt: skip
        lyria = "google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateMusic"
        async with connect(f"wss://{HOST}/ws/{lyria}", **options) as client:
            await say(client, setup={"model": "models/any"})
            assert b"setupComplete" in await asyncio.wait_for(client.recv(decode=False), 30)


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    unit = (DOCS / "install" / "perpetuo.service").read_text()
    assert re.search(r"^ExecStart=\S+/perpetuo serve", unit, re.MULTILINE)
    copy = tmp_path / "perpetuo.service"
    copy.write_text(unit.replace("/opt/perpetuo/.venv/bin/perpetuo", "/bin/true"))
    done = subprocess.run([str(SYSTEMD), "verify", str(copy)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
