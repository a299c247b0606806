"""ONNX Runtime with its TensorRT provider: engines and timings kept on disk, profiles given.

The provider keeps its engines itself, in a folder that belongs to one key (`engine.enginecache`),
so that none of another bundle, GPU or version is ever found there. What does not load from it is
thrown away and built once more. It links TensorRT 10, whatever else is installed.

Not run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.backends.gpu import Gpu, first_gpu
from engine.backends.ort import CPU
from engine.backends.ort_device import CUDA, TENSORRT, OrtDeviceBackend, cuda_options
from engine.backends.profiles import Shapes, described, profile
from engine.bundle import Bundle
from engine.enginecache import EngineCache, EngineKey, Say
from engine.errors import BundleError

LIBRARIES = ("onnxruntime-gpu", "tensorrt-cu13", "tensorrt-cu12")


def open_tensorrt(bundle: Bundle, threads: int, say: Say) -> OrtDeviceBackend:
    """The backend; engines are built where there are none, which takes minutes."""
    cache, key = EngineCache(say=say), key_of(bundle, first_gpu())

    def opened() -> OrtDeviceBackend:
        place = cache.place(key)

        def options(graph: str, graphs: bool) -> list[Any]:
            shapes = profile(bundle.manifest, graph)
            return [(TENSORRT, tensorrt_options(graph, shapes, place, graphs)),
                    (CUDA, cuda_options(False)), CPU]  # fmt: skip

        if place is not None and not any(place.iterdir()):
            say("ort-tensorrt: building engines; this is done once, and takes minutes")
        return OrtDeviceBackend(
            bundle, name="ort-tensorrt", provider=TENSORRT, threads=threads, options=options
        )

    return _twice(opened, lambda: cache.forget(key), say)


def _twice(
    opened: Callable[[], OrtDeviceBackend], forget: Callable[[], None], say: Say
) -> OrtDeviceBackend:
    """Once more without what is kept, where it does not load."""
    try:
        return opened()
    except BundleError as error:
        say(f"ort-tensorrt: {error}; what is kept is built again")
    forget()
    return opened()


def tensorrt_options(
    graph: str, shapes: dict[str, Shapes], place: Path | None, graphs: bool
) -> dict[str, str]:
    """The provider's options, all of them texts; it knows True and False, not 1 and 0."""
    options = {
        "trt_cuda_graph_enable": str(graphs),
        "trt_profile_min_shapes": _profile(shapes, 0),
        "trt_profile_opt_shapes": _profile(shapes, 1),
        "trt_profile_max_shapes": _profile(shapes, 2),
    }
    if place is not None:
        options |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(place),
            "trt_engine_cache_prefix": graph,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(place),
        }
    return options


def _profile(shapes: dict[str, Shapes], which: int) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, three[which]))}" for name, three in shapes.items())


def key_of(bundle: Bundle, gpu: Gpu | None) -> EngineKey:
    """What all its engines together are built for."""
    graphs = sorted(bundle.manifest.graphs)
    hot = [graph for graph in graphs if graph in ("velocity", "decoder")]
    return EngineKey(
        bundle=bundle.hash,
        graph="ort-tensorrt",
        shapes=" | ".join(described(profile(bundle.manifest, graph)) for graph in hot),
        precision="single",
        gpu=f"{gpu.name} {gpu.capability}" if gpu else "unknown",
        driver=gpu.driver if gpu else "unknown",
        libraries=tuple(f"{name} {version}" for name in LIBRARIES if (version := _version(name))),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
