"""Is there an NVIDIA GPU, and which? Asked of the system, without loading a library."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SIGNS = ("/dev/nvidiactl", "/dev/dxg")
"""Of a driver: on Linux, and on Windows' Linux."""
QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """What an engine is built for."""

    name: str
    capability: str
    driver: str


def no_gpu() -> str:
    """Why no GPU can be used; "" where there seems to be one."""
    if any(Path(sign).exists() for sign in SIGNS) or shutil.which(QUERY[0]):
        return ""
    return "this machine has no NVIDIA GPU, or no driver for it"


def first_gpu() -> Gpu | None:
    """The first GPU as its driver describes it; None if that cannot be asked."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parsed(done.stdout)


def parsed(answer: str) -> Gpu | None:
    """The first line of an answer: name, capability, driver."""
    parts = [part.strip() for part in answer.strip().splitlines()[0].split(",")] if answer else []
    return Gpu(*parts) if len(parts) == 3 else None
