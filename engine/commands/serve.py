"""`perpetuo serve`: the feed and the page, and a sound device beside them if one is named.

Engine and feed are processes of their own, watched by this one; see `engine.commands.supervised`.
With a performer's rig or `--sessions` both are one process, and that is watched as well, and the
performer's screen (`engine.commands.guarded`); with `--one-process` nobody watches.
"""

from __future__ import annotations

from argparse import Namespace

from engine.rig.options import wanted


def serve(given: Namespace) -> int:
    """Serve until Ctrl-C; PerpetuoError, or its exit code, where that is impossible."""
    if given.one_process:
        from engine.commands.serve_alone import serve_alone

        return serve_alone(given)
    if given.sessions or wanted(given):
        from engine.commands.guarded import guard

        return guard(given)
    from engine.commands.supervised import supervise

    return supervise(given)
