"""The process behind `perpetuo` and `python -m engine`: signals in, exit code out.

Imports next to nothing before it is ready for Ctrl-C.
"""

from __future__ import annotations

import os
import sys

SIGNALLED = 128
"""Added to the number of the signal that ended the command: 130 after Ctrl-C."""


def main() -> None:
    """Run the command line and exit; Ctrl-C and SIGTERM end it tidily, at any moment."""
    try:
        code = _run()
    except KeyboardInterrupt:  # before there was a handler
        code = SIGNALLED + 2
    _handle(ignored=True)
    _leave(code)


def _run() -> int:
    _handle()
    from engine.cli import run

    return run(sys.argv[1:])


def _leave(code: int) -> None:
    from engine.errors import DeviceError

    if code == DeviceError.exit_code:  # with its sound server gone, PortAudio's farewell aborts
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _handle(*, ignored: bool = False) -> None:
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN if ignored else _stop)


def _stop(number: int, _frame: object) -> None:
    """Unwind the command; tidying up is not interrupted by another signal."""
    _handle(ignored=True)
    raise SystemExit(SIGNALLED + number)


if __name__ == "__main__":
    main()
