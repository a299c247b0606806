"""What the commands that listen to a bundle have in common: their options, how they open it, how
they answer.
"""

from __future__ import annotations

import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from engine.backends import BACKENDS, Backend, open_backend
from engine.backends.standin import bundle as standin_bundle
from engine.bundle import Bundle, default_bundle_path
from engine.cli import Parser
from engine.errors import PerpetuoError, UsageError


def bundle_options(name: str, description: str | None) -> Parser:
    """A parser that knows which bundle, on what: `--bundle --backend --threads`."""
    shaped = Parser(prog=f"python -m bench.{name}", description=description)
    shaped.add_argument("--bundle", type=Path, default=default_bundle_path())
    shaped.add_argument("--backend", choices=BACKENDS, default="auto")
    shaped.add_argument("--threads", type=int, default=1, help="of the backend")
    return shaped


def opened(options: Namespace, *, prompting: bool = False) -> tuple[Bundle, Backend]:
    """The bundle of these options and its backend; the stand-in's, with `prompting` or without."""
    standin = options.backend == "standin"
    bundle = standin_bundle(prompting=prompting) if standin else Bundle.open(options.bundle)
    return bundle, open_backend(options.backend, bundle, threads=options.threads)


def answered(name: str, work: Callable[[], int]) -> int:
    """What the work returns, or the exit code of the error that ended it, which goes to stderr.

    SIGTERM ends it as Ctrl-C does: what it started ends with it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    except PerpetuoError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except (ValueError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return UsageError.exit_code
