from pathlib import Path
from typing import Any

import pytest

from engine import backends
from engine.backends import choose, described, gpu, open_backend
from engine.bundle import Bundle
from engine.choices import BACKENDS, GPU_BACKENDS, precision_of
from engine.errors import UsageError
from tests.tiny_graphs import tiny_bundle

pytest.importorskip("onnxruntime")


def test_a_bundle_in_memory_is_played_by_the_stand_in(bundle: Bundle) -> None:
    assert open_backend("auto", bundle).name == "standin"
    assert open_backend("standin", bundle).name == "standin"


def test_an_unknown_backend_is_refused_with_those_there_are(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no backend 'magic'; there are: auto, ort, ort-int8, "):
        open_backend("magic", bundle)
    assert set(backends.AUTO) < set(GPU_BACKENDS) < set(BACKENDS)


def test_without_a_gpu_auto_is_the_processor_and_says_nothing(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(gpu, "no_gpu", lambda: "this machine has no NVIDIA GPU")
    said: list[str] = []
    bundle = tiny_bundle(tmp_path / "tiny")
    assert open_backend("auto", bundle, say=said.append).name == "ort"
    assert said == []
    backend, others = choose(bundle)
    assert described(backend, others) == (
        "backend ort on CPUExecutionProvider; not a GPU: this machine has no NVIDIA GPU"
    )


@pytest.mark.parametrize("works", ["ort-cuda", "torch", ""])
def test_with_a_gpu_auto_takes_the_first_that_plays_and_says_why_not_the_others(
    works: str, tmp_path: Path, monkeypatch: Any
) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    plain = open_backend("ort", bundle)

    def on_gpu(name: str, *rest: Any) -> Any:
        if name != works:
            raise UsageError(f"{name} makes numbers that are not finite")
        plain.name = name
        return plain

    monkeypatch.setattr(gpu, "no_gpu", lambda: "")
    monkeypatch.setattr(backends, "_on_gpu", on_gpu)
    said: list[str] = []
    assert open_backend("auto", bundle, say=said.append).name == (works or "ort")
    (line,) = said
    assert line.startswith(f"backend {works or 'ort'} on CPUExecutionProvider")
    assert ("not ort-cuda: ort-cuda makes numbers" in line) == (works != "ort-cuda")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ort-cuda", r"no CUDAExecutionProvider: .* perpetuo\[gpu\]"),
        ("ort-tensorrt", r"no TensorrtExecutionProvider: .* perpetuo\[gpu,tensorrt\]"),
        ("tensorrt", r"TensorRT cannot be loaded .* perpetuo\[tensorrt\]"),
        ("tensorrt-half", r"TensorRT cannot be loaded .* perpetuo\[tensorrt\]"),
    ],
)
def test_a_backend_that_cannot_load_says_what_to_install(
    name: str, says: str, tmp_path: Path, monkeypatch: Any
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(runtime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    monkeypatch.setenv("PERPETUO_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match=says) as caught:
        open_backend(name, tiny_bundle(tmp_path / "tiny"), say=lambda line: None)
    assert "\n" not in str(caught.value)


def test_a_backend_is_named_for_its_precision() -> None:
    found = {name: precision_of(name) for name in BACKENDS}
    assert {name for name, kind in found.items() if kind == "int8"} == {"ort-int8"}
    assert {name for name, kind in found.items() if kind == "half"} == {
        "tensorrt-half", "torch-half"
    }  # fmt: skip
    assert found["ort"] == found["standin"] == "single"
