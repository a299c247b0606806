from dataclasses import replace
from pathlib import Path

import pytest

from engine.backends import ort_tensorrt
from engine.backends.gpu import Gpu
from engine.backends.profiles import profile
from engine.bundle import Bundle
from engine.errors import BundleError

GPU = Gpu("NVIDIA H200", "9.0", "580.1")


def test_shapes_and_places_are_told_as_texts(bundle: Bundle, tmp_path: Path) -> None:
    shapes = profile(bundle.manifest, "decoder")
    options = ort_tensorrt.tensorrt_options("decoder", shapes, tmp_path, graphs=True)
    assert all(isinstance(value, str) for value in options.values())
    assert options["trt_profile_min_shapes"].startswith("latents:1x1x8,phase:1x1,")
    assert options["trt_profile_opt_shapes"].startswith("latents:1x16x8,")
    assert options["trt_profile_max_shapes"].startswith("latents:1x116x8,")
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path)
    assert options["trt_cuda_graph_enable"] == "True"


def test_without_a_place_nothing_is_kept(bundle: Bundle) -> None:
    shapes = profile(bundle.manifest, "decoder")
    options = ort_tensorrt.tensorrt_options("decoder", shapes, None, graphs=False)
    assert not any("cache" in name for name in options)
    assert options["trt_cuda_graph_enable"] == "False"


def test_its_folder_belongs_to_bundle_shapes_gpu_and_driver(bundle: Bundle) -> None:
    key = ort_tensorrt.key_of(bundle, GPU)
    others = [
        ort_tensorrt.key_of(replace(bundle, hash="1" * 64), GPU),
        ort_tensorrt.key_of(bundle, replace(GPU, driver="590.1")),
        ort_tensorrt.key_of(bundle, replace(GPU, capability="8.0")),
        ort_tensorrt.key_of(bundle, None),
    ]
    assert len({key.name, *(other.name for other in others)}) == 5
    assert "latents (1, 1, 8, 8)" in key.shapes


def test_what_does_not_load_is_thrown_away_once() -> None:
    tried: list[str] = []

    def opened() -> str:
        tried.append("open")
        if tried.count("open") == 1:
            raise BundleError("decoder.onnx does not load: deserialisation failed")
        return "backend"

    said: list[str] = []
    found = ort_tensorrt._twice(opened, lambda: tried.append("forget"), said.append)  # type: ignore[arg-type]
    assert found == "backend" and tried == ["open", "forget", "open"]
    assert "built again" in said[0]

    def never() -> str:
        raise BundleError("no")

    with pytest.raises(BundleError):
        ort_tensorrt._twice(never, lambda: None, said.append)  # type: ignore[arg-type]
