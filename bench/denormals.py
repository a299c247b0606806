"""Whether numbers too small for the processor's fast path are taken for zero.

A state that decays would slow a tick down many times over. ONNX Runtime sets this for the thread
that opens the first session, and threads inherit it from the one that starts them.
"""

from __future__ import annotations

import threading

import numpy as np

DENORMAL = 1e-39


def flushed() -> bool:
    """True if a thread that is started now, as a worker is, has denormals flushed to zero."""
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(_flushes()))
    thread.start()
    thread.join()
    return found[0]


def _flushes() -> bool:
    small = np.full(64, DENORMAL, np.float32)
    with np.errstate(all="ignore"):
        return not (small * np.float32(0.5)).any()
