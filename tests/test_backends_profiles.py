import numpy as np
import pytest
from two_sizes import two_sizes

from engine.backends import standin
from engine.backends.profiles import described, profile, spans
from engine.bundle import Bundle, default_bundle_path
from engine.errors import BundleError
from engine.manifest import Manifest
from engine.tensors import GraphSpec, TensorSpec


def test_a_tick_and_the_beginning_fit_the_profile(asked_bundle: Bundle) -> None:
    found = profile(asked_bundle.manifest, "velocity")
    assert found["latents"] == ((1, 1, 8, 8), (1, 1, 16, 8), (16, 6, 16, 8))
    assert found["keys"] == ((1, 2, 6, 8), (1, 2, 6, 8), (16, 2, 6, 8))
    assert found["sees"] == ((1, 1, 1), (1, 1, 1), (16, 6, 6))
    assert profile(asked_bundle.manifest, "decoder")["latents"][2] == (1, 116, 8)


@pytest.mark.parametrize("graph", ["velocity", "decoder"])
def test_the_shipped_bundle_has_a_profile(graph: str) -> None:
    for least, usual, most in profile(Bundle.open(default_bundle_path()).manifest, graph).values():
        assert (np.array(least) <= usual).all() and (np.array(usual) <= most).all()


def test_a_window_has_one_size_for_every_chunk_size() -> None:
    manifest = standin.bundle(kind="window", chunk_frames=(16, 8)).manifest
    found = spans(manifest, "velocity")["window_frames"]
    assert (found.least, found.usual, found.most) == (48, 96, 96)


def test_an_axis_nobody_knows_is_named(bundle: Bundle) -> None:
    odd = GraphSpec("odd.onnx", (TensorSpec("x", "float32", (1, "stars")),), ())
    manifest = bundle.manifest
    manifest = type(manifest)(**{name: getattr(manifest, name) for name in manifest.__slots__}
                              | {"graphs": {**manifest.graphs, "odd": odd}})  # fmt: skip
    with pytest.raises(BundleError, match="odd: x has a free axis stars"):
        profile(manifest, "odd")


def test_a_key_tells_profiles_apart() -> None:
    one, other = (
        described(profile(standin.bundle(context_chunks=n).manifest, "velocity")) for n in (5, 6)
    )
    assert one != other and "latents (1, 1, 8, 8)" in one


@pytest.mark.parametrize("manifest", [standin.bundle().manifest, two_sizes().manifest])
def test_a_key_tells_sizes_of_chunk_apart(manifest: Manifest) -> None:
    for graph in ("velocity", "decoder"):
        one, other = (described(profile(manifest.at(frames), graph)) for frames in (16, 8))
        assert one != other
