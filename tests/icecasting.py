"""Debian's icecast2, on loopback, as the tests of the relay want it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = shutil.which("icecast2") or shutil.which("icecast")
CONFIG = """<icecast>
  <limits><clients>20</clients><sources>4</sources><queue-size>65536</queue-size>
    <source-timeout>5</source-timeout><burst-size>16384</burst-size></limits>
  <authentication><source-password>right</source-password>
    <admin-user>admin</admin-user><admin-password>admin</admin-password></authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><basedir>{folder}</basedir><logdir>{folder}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel>
  </logging>
  {owner}
</icecast>
"""
OWNER = """<security><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def icecast(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An Icecast that takes connections; the password of sources is `right`."""
    assert PROGRAM is not None
    root = os.geteuid() == 0  # it will not run as root
    for place in (folder, *folder.parents) if root else ():
        if place.is_relative_to("/tmp") and place != Path("/tmp"):
            place.chmod(0o755)
    folder.chmod(0o777)
    config = folder / "icecast.xml"
    config.write_text(CONFIG.format(port=port, folder=folder, owner=OWNER if root else ""))
    process = subprocess.Popen(
        [PROGRAM, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 30
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < until, "icecast does not start"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    """Icecast does, and not a socket that connected to itself, or to what had the port before."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as asked:
            asked.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"Icecast" in asked.recv(4096)
    except OSError:
        return False
