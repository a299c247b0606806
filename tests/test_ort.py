import json
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.backends import open_backend
from engine.backends.ort import OrtBackend, load_runtime
from engine.bundle import Bundle, seal
from engine.controls import Controls
from engine.errors import BundleError, UsageError
from engine.generator import Generator
from engine.golden import golden_error, golden_latents
from engine.spec import GoldenSpec

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

FLOAT, INT = 1, 7
FRAME, DIM, CHUNKS = 480, 8, 6


def graph(
    name: str, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], **weights: Any
) -> Any:
    info = onnx.helper.make_tensor_value_info

    def values(tensors: dict[str, Any]) -> list[Any]:
        kinds = dict.fromkeys(("position", "before"), INT)
        return [info(key, kinds.get(key, FLOAT), shape) for key, shape in tensors.items()]

    constants = [onnx.numpy_helper.from_array(np.asarray(w), key) for key, w in weights.items()]
    body = onnx.helper.make_graph(nodes, name, values(inputs), values(outputs), constants)
    return onnx.helper.make_model(
        body, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def encoder() -> Any:
    mix = np.random.default_rng(0).standard_normal((FRAME, DIM)).astype(np.float32) * 0.2
    return graph(
        "encoder", [node("Reshape", "audio cut", "f"), node("MatMul", "f mix", "latents")],
        {"audio": [1, 1, "samples"]}, {"latents": [1, "frames", DIM]},
        cut=np.array([1, -1, FRAME]), mix=mix,
    )  # fmt: skip


def decoder() -> Any:
    """Every frame's audio, and half of the frame before: a state of one frame."""
    mix = np.random.default_rng(1).standard_normal((DIM, FRAME)).astype(np.float32) * 0.03
    nodes = [
        node("MatMul", "latents mix", "own"),
        node("Concat", "carry own", "both", axis=1),
        node("Slice", "both zero minus one", "late"),
        node("Mul", "late half", "echo"),
        node("Add", "own echo", "sum"),
        node("Reshape", "sum flat", "audio"),
        node("Slice", "both minus end one", "carry_next"),
    ]
    return graph(
        "decoder", nodes,
        {"latents": [1, "frames", DIM], "carry": [1, 1, FRAME]},
        {"audio": [1, 1, "samples"], "carry_next": [1, 1, FRAME]},
        mix=mix, zero=np.array([0]), minus=np.array([-1]), one=np.array([1]),
        end=np.array([2**31]), half=np.float32(0.5), flat=np.array([1, 1, -1]),
    )  # fmt: skip


def velocity() -> Any:
    """v = z·angle/2 + mean of the ring where it is filled; keys are the means of chunks."""
    nodes = [
        node("MatMul", "filled keys", "context"),
        node("Unsqueeze", "context pair", "wide"),
        node("Unsqueeze", "angle ends", "slope"),
        node("Mul", "latents slope", "steep"),
        node("Mul", "steep half", "own"),
        node("Add", "position before", "places"),
        node("Cast", "places", "place", to=FLOAT),
        node("ReduceMean", "sees", "company", axes=[2], keepdims=0),
        node("Add", "place company", "number"),
        node("Mul", "number tiny", "small"),
        node("Unsqueeze", "small ends", "nudge"),
        node("Add", "own wide", "sum"),
        node("Add", "sum nudge", "velocity"),
        node("ReduceMean", "latents", "keys_next", axes=[2], keepdims=0),
    ]
    rows = ["batch", "chunks"]
    return graph(
        "velocity", nodes,
        {
            "latents": [*rows, "frames", DIM], "angle": rows, "position": rows,
            "filled": [*rows, CHUNKS], "sees": [*rows, "chunks"], "before": rows,
            "keys": ["batch", CHUNKS, DIM],
        },
        {"velocity": [*rows, "frames", DIM], "keys_next": [*rows, DIM]},
        pair=np.array([2]), ends=np.array([2, 3]),
        half=np.float32(0.5), tiny=np.float32(1e-3),
    )  # fmt: skip


def values(bundle: Bundle) -> dict[str, Any]:
    """The stand-in's manifest with the states of the graphs above."""
    manifest = bundle.manifest.to_json() | {"name": "tiny"}
    state = {"dtype": "float32", "initial": 0.0}
    manifest["graphs"]["decoder"]["states"] = [
        {"name": "carry", "shape": [1, 1, FRAME], "ring_axis": None, **state}
    ]
    manifest["graphs"]["velocity"]["states"] = [
        {"name": "keys", "shape": ["batch", CHUNKS, DIM], "ring_axis": 1, **state}
    ]
    return manifest


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, model in (("encoder", encoder()), ("decoder", decoder()), ("velocity", velocity())):
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    seal(folder, values(bundle))
    return folder


def test_a_bundle_of_real_graphs_plays(folder: Path, take: np.ndarray) -> None:
    bundle = Bundle.open(folder)
    backend = open_backend("auto", bundle)
    assert backend.name == "ort"
    assert backend.providers() == ["CPUExecutionProvider"]
    streams = []
    for _ in range(2):
        generator = Generator(bundle, backend, seed=3)
        generator.prime(take)
        controls = Controls(bundle.manifest.controls).snapshot()
        streams.append(np.concatenate([generator.tick(controls).audio for _ in range(4)]))
    assert streams[0].shape == (4 * 7680, 1)
    assert 0.01 < streams[0].std() < 1
    np.testing.assert_array_equal(streams[0], streams[1])


@pytest.mark.parametrize("name", ["decoder", "velocity"])
def test_bound_and_unbound_runs_agree(folder: Path, name: str) -> None:
    bundle = Bundle.open(folder)
    session = OrtBackend(bundle).session(name)
    spec = bundle.manifest.graphs[name]
    rng = np.random.default_rng(0)
    sizes = {"batch": 2, "frames": 16, "chunks": 2, "samples": 7680}
    feeds = {
        tensor.name: rng.standard_normal(tensor.resolve(sizes)).astype(tensor.dtype)
        for tensor in (*spec.inputs, *spec.states)
    }
    out = {key: np.zeros_like(value) for key, value in session.run(feeds).items()}
    call = session.bind(feeds, out)
    for _ in range(3):
        feeds["latents"][...] = rng.standard_normal(feeds["latents"].shape)
        call()
        for key, value in session.run(feeds).items():
            np.testing.assert_allclose(out[key], value, atol=1e-6)
    written = session.run(feeds, {spec.outputs[0].name: out[spec.outputs[0].name]})
    assert written[spec.outputs[0].name] is out[spec.outputs[0].name]


def resealed(folder: Path, change: Any) -> None:
    manifest = Bundle.open(folder).manifest.to_json()
    change(manifest)
    seal(folder, manifest)


def test_golden_latents_are_compared(folder: Path) -> None:
    backend = OrtBackend(Bundle.open(folder))
    assert golden_error(Bundle.open(folder), backend) is None
    golden = GoldenSpec("golden.npz", seed=7, steps=4, chunks=2, tolerance=1e-3)
    latents = golden_latents(Bundle.open(folder), backend, golden)
    assert latents.shape == (32, 8)
    for shift, fits in ((0.0, True), (0.01, False)):
        np.savez(folder / "golden.npz", latents=latents + np.float32(shift))
        seal(folder, values_of(folder) | {"golden": asdict(golden)})
        if fits:
            assert golden_error(Bundle.open(folder), backend) == 0.0
        else:
            with pytest.raises(BundleError, match=r"differ by 0\.01, 0\.001 is allowed"):
                golden_error(Bundle.open(folder), backend)


def test_a_tensor_the_graph_does_not_have_is_refused(folder: Path) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["graphs"]["decoder"]["states"][0]["name"] = "memory"

    resealed(folder, rename)
    with pytest.raises(BundleError, match=r"decoder.onnx: inputs are .*'carry'.* says .*'memory'"):
        OrtBackend(Bundle.open(folder))


def test_a_shape_the_graph_does_not_have_is_refused(folder: Path) -> None:
    def grow(manifest: dict[str, Any]) -> None:
        manifest["graphs"]["decoder"]["states"][0]["shape"] = [1, 1, 481]

    resealed(folder, grow)
    with pytest.raises(BundleError, match=r"input carry is float32\[1, 1, 480\], the manifest"):
        OrtBackend(Bundle.open(folder))


def test_an_axis_called_free_must_be_free(folder: Path) -> None:
    model = decoder()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 16
    (folder / "decoder.onnx").write_bytes(model.SerializeToString())
    seal(folder, values_of(folder))
    with pytest.raises(BundleError, match=r"input latents is float32\[1, 16, 8\]"):
        OrtBackend(Bundle.open(folder))


def values_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_bytes()))


def test_what_is_no_graph_is_refused(folder: Path) -> None:
    (folder / "encoder.onnx").write_bytes(b"\x0a\x02hi")
    seal(folder, values_of(folder))
    with pytest.raises(BundleError, match=r"encoder.onnx does not load in ONNX Runtime"):
        OrtBackend(Bundle.open(folder))


@pytest.mark.parametrize("location", ["../outside.data", "/etc/passwd", "unlisted.data"])
def test_data_outside_the_bundle_is_refused_before_it_is_read(folder: Path, location: str) -> None:
    model = encoder()
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "encoder.onnx").write_bytes(model.SerializeToString())
    seal(folder, values_of(folder))
    with pytest.raises(BundleError, match="which the bundle lacks"):
        OrtBackend(Bundle.open(folder))


def test_data_beside_the_graph_is_read(folder: Path) -> None:
    model = encoder()
    tensor = model.graph.initializer[1]
    (folder / "weights.data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.data")
    (folder / "encoder.onnx").write_bytes(model.SerializeToString())
    seal(folder, values_of(folder))
    OrtBackend(Bundle.open(folder))


def test_the_variant_for_the_machine_is_loaded(folder: Path) -> None:
    def vary(manifest: dict[str, Any]) -> None:
        variants = {"cpu": "velocity.cpu.onnx", "accelerator": "velocity.onnx"}
        manifest["graphs"]["velocity"]["variants"] = variants

    (folder / "velocity.cpu.onnx").write_bytes(velocity().SerializeToString())
    (folder / "velocity.onnx").write_bytes(b"not for this machine")
    seal(folder, values_of(folder))
    resealed(folder, vary)
    backend = OrtBackend(Bundle.open(folder))
    assert backend.session("velocity")


def test_two_wheels_of_the_runtime_are_refused_with_the_cure(monkeypatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.31.1")
    with pytest.raises(UsageError, match=r"onnxruntime and onnxruntime-gpu .* uninstall both"):
        load_runtime()


def test_a_bundle_in_memory_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="lies in memory"):
        OrtBackend(bundle)
