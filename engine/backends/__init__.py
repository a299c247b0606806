"""What runs the graphs of a bundle; each backend is imported only when it is asked for.

ort            ONNX Runtime on the processor; ort-int8 with int8 products
ort-cuda       ONNX Runtime's CUDA provider
ort-tensorrt   ONNX Runtime's TensorRT provider
tensorrt       TensorRT itself; tensorrt-half with half precision in the velocity graph
torch          the graphs in torch, on a GPU or on the processor; torch-half likewise
standin        a sine, for a bundle in memory
auto           ort-cuda or torch: the first that plays the bundle as it was packed; else ort-int8
               where the bundle has that form, else ort
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from engine.bundle import Bundle
from engine.choices import BACKENDS, precision_of
from engine.errors import PerpetuoError, UsageError
from engine.manifest import Manifest
from engine.session import Backend, Session

__all__ = ["BACKENDS", "Backend", "Session", "choose", "on_processor", "open_backend"]

AUTO = ("ort-cuda", "torch")
"""Tried where there is a GPU, in this order; TensorRT builds for minutes and waits to be asked."""

Say = Callable[[str], None]


def tell(line: str) -> None:
    """To whoever started the program."""
    print(f"perpetuo: {line}", file=sys.stderr, flush=True)


def open_backend(name: str, bundle: Bundle, *, threads: int = 1, say: Say = tell) -> Backend:
    """Load the graphs of a bundle; `say` is told of long work, and of what `auto` chose on a GPU.

    UsageError for an unknown name, or for a backend that does not load or plays something else
    than was packed; BundleError for graphs that do not load or do not fit the manifest.
    """
    if name not in BACKENDS:
        raise UsageError(f"no backend {name!r:.40}; there are: {', '.join(BACKENDS)}")
    if name == "auto":
        backend, others = choose(bundle, threads=threads, say=say)
        if any(other in AUTO for other in others) or backend.name in AUTO:
            say(described(backend, others))
        return backend
    if name == "standin":
        from engine.backends.standin import StandIn

        return StandIn(bundle)
    if name in ("ort", "ort-int8"):
        return _on_cpu(name, bundle, threads)
    return _on_gpu(name, bundle, threads, say)


def choose(
    bundle: Bundle, *, threads: int = 1, say: Say = tell
) -> tuple[Backend, dict[str, str]]:  # fmt: skip
    """What `auto` opens, and why none of those before it."""
    from engine.backends.gpu import no_gpu

    if bundle.path is None:
        return open_backend("standin", bundle), {}
    why = no_gpu()
    if why:
        return on_processor(bundle, threads=threads), {"a GPU": why}
    others: dict[str, str] = {}
    for name in AUTO:
        try:
            return _on_gpu(name, bundle, threads, say), others
        except PerpetuoError as error:
            others[name] = str(error)
    return on_processor(bundle, threads=threads), others


def on_processor(bundle: Bundle, *, threads: int = 1) -> Backend:
    """What `auto` opens where there is no GPU."""
    return _on_cpu("ort-int8" if has_int8(bundle.manifest) else "ort", bundle, threads)


def has_int8(manifest: Manifest) -> bool:
    """Has a bundle a form with int8 products?"""
    return any("int8" in graph.variants for graph in manifest.graphs.values())


def described(backend: Backend, others: dict[str, str]) -> str:
    """What was chosen, on what it runs, and why not the others, in one line."""
    where = ", ".join(backend.providers())
    without = "".join(f"; not {name}: {why}" for name, why in others.items())
    return f"backend {backend.name} on {where}{without}"


def _on_cpu(name: str, bundle: Bundle, threads: int) -> Backend:
    """ONNX Runtime on the processor."""
    from engine.backends.ort import OrtBackend

    int8 = name == "ort-int8"
    if int8 and not has_int8(bundle.manifest):
        raise UsageError(f"bundle {bundle.manifest.name} has no int8 form: use --backend ort")
    return OrtBackend(bundle, threads=threads, int8=int8)


def _on_gpu(name: str, bundle: Bundle, threads: int, say: Say) -> Backend:
    """A backend that has to prove itself first."""
    from engine.backends.trial import refuse_wrong

    kind, half = name.removesuffix("-half"), precision_of(name) == "half"
    backend: Backend
    if kind == "ort-cuda":
        from engine.backends.ort_device import open_cuda

        backend = open_cuda(bundle, threads)
    elif kind == "ort-tensorrt":
        from engine.backends.ort_tensorrt import open_tensorrt

        backend = open_tensorrt(bundle, threads, say)
    elif kind == "tensorrt":
        from engine.backends.tensorrt import TensorRtBackend

        backend = TensorRtBackend(bundle, threads=threads, half=half, say=say)
    else:
        from engine.backends.torch import TorchBackend

        backend = TorchBackend(bundle, threads=threads, half=half)
    refuse_wrong(bundle, backend)
    return backend
