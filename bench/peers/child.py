"""One contender in a process of its own: `python -m bench.peers.child NAME TASK`.

TASK is the JSON of a `Task`; the rows are the last line of what it prints, as JSON. What fails is
one line on stderr and exit code 1.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path

from bench.machine import peak_memory_mb
from bench.peers.stopwatch import DECODER, MUSIC, Measured, Task


@dataclass(frozen=True)
class Contender:
    """Who is timed: the function `module:name` makes its rows."""

    kind: str
    function: str
    threads: int | None = None  # None: as many as there are cores
    own_python: bool = False  # runs in the environment that --rave-python names


CONTENDERS = {
    "live": Contender(MUSIC, "bench.peers.live:measure", threads=1),
    "paper": Contender(MUSIC, "bench.peers.paper:measure"),
    "musicgen-small": Contender(MUSIC, "bench.peers.musicgen:measure"),
    "live-decoder": Contender(DECODER, "bench.peers.live:measure_decoder", threads=1),
    "paper-decoder": Contender(DECODER, "bench.peers.paper:measure_decoder"),
    "encodec-24khz": Contender(DECODER, "bench.peers.codec:measure_encodec_24khz"),
    "encodec-32khz": Contender(DECODER, "bench.peers.codec:measure_encodec_32khz"),
    "dac-44khz": Contender(DECODER, "bench.peers.codec:measure_dac_44khz"),
    "rave-v2": Contender(DECODER, "bench.peers.rave:measure", own_python=True),
}
"""In the order of the table. Ours take the one thread that the engine takes unasked."""

REFERENCES = {MUSIC: "live", DECODER: "live-decoder"}
"""What the ratios of each kind are to."""


def measure(name: str, task: Task) -> list[Measured]:
    """The rows of one contender; where it does not say, with the most memory this process took."""
    module, _, function = CONTENDERS[name].function.partition(":")
    made = getattr(importlib.import_module(module), function)
    if "torch" in sys.modules:  # ours comes without
        sys.modules["torch"].set_num_threads(task.threads)
    rows: list[Measured] = made(task)
    return [replace(row, peak_mb=peak_memory_mb()) if isnan(row.peak_mb) else row for row in rows]


def main(argv: Sequence[str]) -> int:
    """Print the rows."""
    name, task = argv
    fields = json.loads(task)
    try:
        rows = measure(name, Task(**{**fields, "bundle": Path(fields["bundle"])}))
    except ImportError as error:
        print(f"{sys.executable} cannot import what it needs: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # one contender's failure is one line of the table
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(json.dumps([asdict(row) for row in rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
