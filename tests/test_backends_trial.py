from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from engine.backends import standin
from engine.backends.trial import refuse_wrong
from engine.bundle import Bundle, seal
from engine.errors import UsageError
from engine.golden import golden_latents
from engine.spec import GoldenSpec
from tests.tiny_graphs import tiny_bundle

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from engine.backends.ort import OrtBackend


def test_a_backend_without_numbers_is_refused(bundle: Bundle, backend: standin.StandIn) -> None:
    refuse_wrong(bundle, backend)
    for graph in ("decoder", "velocity"):
        backend.faults.graph, backend.faults.poison = graph, "nan"
        with pytest.raises(UsageError, match="numbers that are not finite: the GPU or its driver"):
            refuse_wrong(bundle, backend)
    with pytest.raises(UsageError, match="half precision overflows; use the same backend without"):
        backend.name = "standin-half"
        refuse_wrong(bundle, backend)


def with_golden(bundle: Bundle, shift: float) -> Bundle:
    golden = GoldenSpec("golden.npz", seed=7, steps=4, chunks=2, tolerance=1e-3)
    assert bundle.path is not None
    latents = golden_latents(bundle, OrtBackend(bundle), golden)
    np.savez(bundle.path / "golden.npz", latents=latents + np.float32(shift))
    return seal(bundle.path, bundle.manifest.to_json() | {"golden": asdict(golden)})


def test_another_music_is_refused_and_half_precision_has_more_room(tmp_path: Path) -> None:
    bundle = with_golden(tiny_bundle(tmp_path / "tiny"), 0.01)
    backend = OrtBackend(bundle)
    with pytest.raises(UsageError, match=r"ort differs by 0\.01 .*, 0\.001 is allowed"):
        refuse_wrong(bundle, backend)
    backend.name = "ort-half"
    refuse_wrong(bundle, backend)
    refuse_wrong(replace(with_golden(bundle, 0.0)), backend)
