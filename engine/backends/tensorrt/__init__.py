"""The graphs of a tick as TensorRT engines, built on this machine; the others on the processor.

TensorRT 10 and 11. Engines are kept (`engine.enginecache`); one that was built for other weights
of the same structure is refitted instead of built anew. `half` writes half precision into the
velocity graph; a decoder's phases stay in float32.

Not run on a GPU: what is not TensorRT's is tested with stand-ins for it and for CUDA.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.backends.device import graphs_of
from engine.backends.gpu import Gpu, first_gpu
from engine.backends.onnx_half import fold, in_half
from engine.backends.onnx_model import Model, read_model
from engine.backends.onnx_write import write_model
from engine.backends.ort import load_runtime, open_cpu
from engine.backends.profiles import described, profile
from engine.backends.resident import DeviceBackend
from engine.backends.tensorrt.build import build_engine, load_tensorrt, refit_engine
from engine.backends.tensorrt.cudart import Cuda, load_cudart
from engine.backends.tensorrt.device import TensorRtDevice
from engine.bundle import Bundle
from engine.enginecache import EngineCache, EngineKey
from engine.errors import UsageError
from engine.session import Session

__all__ = ["TensorRtBackend"]

HOT = ("velocity", "decoder")
HALVES = ("velocity",)

Say = Callable[[str], None]


class TensorRtBackend(DeviceBackend):
    """The graphs of a bundle."""

    name = "tensorrt"

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, half: bool = True, say: Say = print,
        cache: EngineCache | None = None,
    ) -> None:  # fmt: skip
        """UsageError where TensorRT, CUDA or a GPU is missing, BundleError for an unfit graph."""
        if bundle.path is None:
            raise UsageError(f"bundle {bundle.manifest.name} lies in memory: use its own backend")
        trt, cuda = load_tensorrt(), Cuda(load_cudart())
        gpu = first_gpu() or Gpu("unknown", "unknown", "unknown")
        cache = cache or EngineCache(say=say)
        plans = {
            graph: Plan(trt, bundle, graph, gpu, half and graph in HALVES).made(cache, say)
            for graph in HOT
        }
        device = TensorRtDevice(trt, cuda, plans, f"{gpu.name}, TensorRT {trt.__version__}")
        runtime = load_runtime()
        host: dict[str, Session] = {
            graph: open_cpu(runtime, bundle, graph, threads)
            for graph in graphs_of(bundle) if graph not in HOT
        }  # fmt: skip
        super().__init__(bundle, device, host)
        self._where = device.name

    def providers(self) -> list[str]:
        """The GPU that runs the graphs of a tick, and what runs the others."""
        return [self._where, "CPUExecutionProvider"]


class Plan:
    """What one engine is built of."""

    def __init__(self, trt: Any, bundle: Bundle, graph: str, gpu: Gpu, half: bool) -> None:
        spec = bundle.manifest.graphs[graph]
        model = read_model(bundle.file(spec.variants.get("accelerator", spec.file)))
        self._trt = trt
        self._model = in_half(model) if half else fold(model)
        self._half = half
        self._shapes = profile(bundle.manifest, graph)
        self.key = EngineKey(
            bundle=bundle.hash,
            graph=f"{graph} {structure(self._model)}",
            shapes=described(self._shapes),
            precision="half" if half else "single",
            gpu=f"{gpu.name} {gpu.capability}",
            driver=gpu.driver,
            libraries=(f"tensorrt {trt.__version__}",),
        )

    def made(self, cache: EngineCache, say: Say) -> bytes:
        """The engine: kept, refitted or built."""
        model = write_model(self._model)

        def built() -> bytes:
            plan, timings = build_engine(
                self._trt, model, self._shapes, say, exact=not self._half,
                timings=cache.timings(self.key),
            )  # fmt: skip
            cache.keep_timings(self.key, timings)
            return plan

        return cache.engine(self.key, built, lambda old: refit_engine(self._trt, old, model))


def structure(model: Model) -> str:
    """A name for a graph without its weights' values: what refitting may not change."""
    found = hashlib.sha256()
    for name, array in sorted(model.graph.weights.items()):
        fixed = array.tobytes() if array.dtype.kind in "iub" else b""
        found.update(f"{name}{array.dtype}{array.shape}".encode() + fixed)
    bare = replace(model, graph=replace(model.graph, weights={}))
    found.update(write_model(bare))
    return found.hexdigest()[:16]
