"""What several processes share: memory, a ring in it, controls, a small pipe; and who watches them.

    the watcher ──── starts, watches, replaces ────┐
        │                                          │
    the engine ── ring, marks, status, tail ──▶ the feed ──▶ listeners
        ◀────────── controls, requests ────────────┘

Everything shared lies in memory that the watcher holds, so it outlives both of the others.
"""
