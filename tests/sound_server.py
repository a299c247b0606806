"""A JACK server without hardware, for tests of the real PortAudio."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from ctypes.util import find_library
from pathlib import Path
from typing import Self

import pytest

NAME = "perpetuo-test"
"""JACK remembers eight names of servers that were killed; one of our own is used again."""

LISTED = (
    "from engine.sinks.device_list import outputs, portaudio; "
    "raise SystemExit(not outputs(portaudio()))"
)


class SoundServer:
    """Runs while it is entered; `kill` and `start` are its death and its return."""

    def __init__(self, rate_hz: int = 24000, channels: int = 2) -> None:
        if shutil.which("jackd") is None or find_library("portaudio") is None:
            pytest.skip("needs: apt install --no-install-recommends jackd2 libportaudio2")
        own = {"JACK_NO_AUDIO_RESERVATION": "1", "JACK_NO_START_SERVER": "1"}
        self.environment = {**os.environ, **own, "JACK_DEFAULT_SERVER": NAME}
        patience = ["-t", "10000"]  # ms until a client that is late is sent away
        dummy = ["-d", "dummy", "-r", str(rate_hz), "-p", str(rate_hz // 100), "-P", str(channels)]
        self._command = ["jackd", "-r", "-n", NAME, *patience, *dummy]
        self._server: subprocess.Popen[bytes] | None = None
        self._lock = open(Path(tempfile.gettempdir()) / f"{NAME}.lock", "w")  # noqa: SIM115

    def __enter__(self) -> Self:
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # other tests of this machine wait
        self.start()
        for _ in range(60):
            if self.run(LISTED).wait(60) == 0:
                return self
            assert self._server is not None
            assert self._server.poll() is None, "jackd ended; are there leftovers in /dev/shm?"
            time.sleep(0.3)
        raise AssertionError("jackd has no outputs")

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)
        self._lock.close()

    def start(self) -> None:
        """Begin; it takes a while."""
        self._server = subprocess.Popen(
            self._command, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self) -> None:
        """As the power cut does."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(30)

    def run(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A Python script as a client, in a process group of its own."""
        return self.command(sys.executable, "-c", script, *arguments)

    def command(self, *command: str) -> subprocess.Popen[str]:
        """Any program as a client."""
        return subprocess.Popen(
            command, env=self.environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
