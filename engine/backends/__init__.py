"""What runs the graphs of a bundle; each backend is imported only when it is asked for."""

from __future__ import annotations

from engine.bundle import Bundle
from engine.errors import UsageError
from engine.session import Backend, Session

__all__ = ["BACKENDS", "Backend", "Session", "open_backend"]

BACKENDS = ("auto", "ort", "standin")


def open_backend(name: str, bundle: Bundle, *, threads: int = 1) -> Backend:
    """Load the graphs of a bundle. `auto` is `ort`, or the stand-in for a bundle in memory.

    UsageError for an unknown name or an unusable installation, BundleError for graphs that do
    not load or do not fit the manifest.
    """
    if name not in BACKENDS:
        raise UsageError(f"no backend {name!r:.40}; there are: {', '.join(BACKENDS)}")
    if name == "auto":
        name = "standin" if bundle.path is None else "ort"
    if name == "standin":
        from engine.backends.standin import StandIn

        return StandIn(bundle)
    from engine.backends.ort import OrtBackend

    return OrtBackend(bundle, threads=threads)
