"""Precedence for the processes that music waits for, where the system grants it.

On a busy machine the kernel shares a core among all that want it. A process that works a ninth of
the time and must be in time asks for more: niceness −11, as sound servers do. Root may; others
with a limit that allows it (`LimitNICE=` of a systemd unit, `nice` in limits.conf). Elsewhere it
stays as it was, and the ring has to hold. All of its threads go before others, not those alone
that make music: whoever holds the interpreter's lock is waited for.
"""

from __future__ import annotations

import os
import sys
import threading

NICENESS = -11


def take_precedence() -> bool:
    """The calling thread, and all that it starts from now on, before others; True if granted."""
    return _renice(NICENESS)


def give_way() -> bool:
    """The calling thread takes only the time that nobody else wants."""
    return _renice(19)


def _renice(niceness: int) -> bool:
    if sys.platform != "linux":  # elsewhere this would be the whole process
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    except OSError:
        return False
    return True
