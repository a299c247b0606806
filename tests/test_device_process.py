from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing.connection import Connection

import pytest

from engine.sinks.device_process import start


def about(told: Connection) -> None:
    """Says what is blocked, and prints where nobody should see it."""
    print("chatter")
    print("chatter", file=sys.stderr)
    told.send(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def deaf(told: Connection) -> None:
    told.send("ready")
    time.sleep(1)
    told.send("still here")


def test_a_child_tells_and_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    child, told = start(about)
    assert signal.SIGINT in told.recv()
    child.join(60)
    assert child.exitcode == 0
    assert capfd.readouterr() == ("", "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(EOFError):  # nobody else holds the pipe
        told.recv()


def test_ctrl_c_does_not_reach_it() -> None:
    child, told = start(deaf)
    assert told.recv() == "ready"
    assert child.pid is not None
    os.kill(child.pid, signal.SIGINT)
    assert told.recv() == "still here"
    child.join(60)
