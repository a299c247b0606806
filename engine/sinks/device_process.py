"""Child processes that own PortAudio: spawned, deaf to Ctrl-C, silent on the terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

SPAWN = get_context("spawn")
"""A fork would copy the locks of threads that do not exist in the child."""


def start(target: Callable[..., None], *arguments: Any) -> tuple[SpawnProcess, Connection]:
    """Run `target(*arguments, told)` in a child; the other end of the pipe `told` is returned.

    Any thread may call it. The child ends with this process at the latest.
    """
    heard, told = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=_begin, args=(target, *arguments, told), daemon=True)
    # The child inherits a blocked SIGINT: Ctrl-C reaches all of a terminal, this process ends it.
    resource_tracker.ensure_running()  # which would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        told.close()
    return child, heard


def _begin(target: Callable[..., None], *arguments: Any) -> None:
    """In the child: what the sound system's libraries print is not for the terminal."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    target(*arguments)
