"""`perpetuo serve`: the feed and the page, and a sound device beside them if one is named.

Engine and feed are processes of their own, watched by this one; see `engine.commands.supervised`.
With a performer's rig, `--sessions` or `--one-process`, all of it is one process.
"""

from __future__ import annotations

from argparse import Namespace

from engine.rig.options import wanted


def serve(given: Namespace) -> int:
    """Serve until Ctrl-C; PerpetuoError, or its exit code, where that is impossible."""
    if given.one_process or given.sessions or wanted(given):
        from engine.commands.serve_alone import serve_alone

        return serve_alone(given)
    from engine.commands.supervised import supervise

    return supervise(given)
