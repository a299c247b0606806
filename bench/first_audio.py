"""A process of its own that makes one block and says when: time to first audio, from nothing.

    python -m bench.first_audio BACKEND THREADS [BUNDLE]

prints the monotonic time in seconds at which the first block was ready, which the process that
started this one can subtract its own from.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from engine.backends import open_backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Generator


def main(argv: Sequence[str]) -> None:
    """Open, start from nothing, make one block, print the time."""
    backend, threads, *path = argv
    if backend == "standin":
        from engine.backends import standin

        bundle = standin.bundle()
    else:
        bundle = Bundle.open(path[0])
    generator = Generator(bundle, open_backend(backend, bundle, threads=int(threads)))
    generator.tick(Controls(bundle.manifest.controls).snapshot())
    print(time.monotonic())


if __name__ == "__main__":
    main(sys.argv[1:])
