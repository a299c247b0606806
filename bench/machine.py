"""Where a measurement was taken: machine, versions, revision, memory, timer jitter."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.timing import Tail

PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "websockets", "soundfile", "soxr")


def describe() -> dict[str, str | int]:
    """Processor, cores this process may use, memory, system."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "memory_mb": _total_memory_mb(),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Python and the installed packages that the engine runs on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def revision() -> str:
    """The git revision of this source tree, "-dirty" where it was changed, or "unknown"."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _total_memory_mb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6)


def memory_mb(process_id: int | str = "self") -> float:
    """Resident memory of a process now; NaN where the system does not say."""
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_memory_mb() -> float:
    """Resident memory of this process at its highest."""
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def timer_jitter_ms(sleeps: int = 200, period_s: float = 0.005) -> Tail:
    """How late this machine wakes a thread that does nothing else, in ms: the floor under ours."""
    late = []
    start = time.monotonic()
    for index in range(1, sleeps + 1):
        intended = start + index * period_s
        time.sleep(max(0.0, intended - time.monotonic()))
        late.append((time.monotonic() - intended) * 1e3)
    return Tail.of(late)
