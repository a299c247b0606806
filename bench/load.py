"""Other work on the machine, so that what is measured is measured beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

TOOL = "stress-ng"


def busy_with() -> str:
    """What keeps the machine busy here: stress-ng, or loops of Python where there is none."""
    return TOOL if shutil.which(TOOL) else "loops of Python"


@contextmanager
def busy(processes: int, nice: int = 0) -> Iterator[None]:
    """So many processes that do nothing but work, by `busy_with`."""
    loop = f"import os\nos.nice({nice})\nwhile True: pass"
    command = [sys.executable, "-c", loop]
    if stress := shutil.which(TOOL):
        command = ["nice", "-n", str(nice), stress, "--cpu", "1", "--quiet"]
    with ExitStack() as stack:
        for _ in range(processes):
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.terminate)
        yield
