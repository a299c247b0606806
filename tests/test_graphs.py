from dataclasses import replace
from typing import Any

import pytest

from engine.backends import standin
from engine.errors import BundleError
from engine.graphs import check_graphs
from engine.spec import ContextSpec, GraphSpec, LatentSpec, Manifest, StateSpec, TensorSpec


def changed(manifest: Manifest, graph: str, **changes: Any) -> Manifest:
    graphs = {**manifest.graphs, graph: replace(manifest.graphs[graph], **changes)}
    return replace(manifest, graphs=graphs)


def shaped(graph: GraphSpec, name: str, *shape: int | str) -> tuple[TensorSpec, ...]:
    return tuple(
        replace(tensor, shape=shape) if tensor.name == name else tensor for tensor in graph.inputs
    )


@pytest.mark.parametrize("kind", ["cached", "window"])
def test_the_stand_in_fits_itself(kind: str) -> None:
    check_graphs(standin.bundle(kind=kind).manifest)


def test_rates_that_do_not_fit_are_refused_with_all_figures() -> None:
    manifest = replace(standin.bundle().manifest, latent=LatentSpec(50, 8, 481))
    with pytest.raises(BundleError, match=r"50 frames/s of 481 samples do not make 24000 Hz"):
        check_graphs(manifest)


@pytest.mark.parametrize("missing", ["encoder", "decoder", "velocity"])
def test_every_graph_is_needed(missing: str) -> None:
    manifest = standin.bundle().manifest
    graphs = {name: graph for name, graph in manifest.graphs.items() if name != missing}
    with pytest.raises(BundleError, match=f"no {missing}"):
        check_graphs(replace(manifest, graphs=graphs))


def test_a_latent_of_another_width_is_refused() -> None:
    manifest = standin.bundle().manifest
    inputs = shaped(manifest.graphs["decoder"], "latents", 1, "frames", 9)
    with pytest.raises(BundleError, match=r"latents is \[1, 'frames', 9\], expected"):
        check_graphs(changed(manifest, "decoder", inputs=inputs))


def test_a_ring_of_another_length_is_refused() -> None:
    manifest = standin.bundle().manifest
    states = (StateSpec("keys", "float32", (2, 1, 5, 8), ring_axis=2),)
    with pytest.raises(BundleError, match="has 5 slots, the context has 6 chunks"):
        check_graphs(changed(manifest, "velocity", states=states))


def test_an_endless_stream_needs_a_position_period() -> None:
    manifest = changed(standin.bundle().manifest, "velocity", position_period=None)
    with pytest.raises(BundleError, match="position_period"):
        check_graphs(manifest)


def test_a_window_holds_whole_chunks() -> None:
    manifest = standin.bundle(kind="window").manifest
    inputs = shaped(manifest.graphs["velocity"], "latents", 1, 95, 8)
    with pytest.raises(BundleError, match="95 frames is not 6 chunks"):
        check_graphs(changed(manifest, "velocity", inputs=inputs))


def test_a_window_cannot_hold_more_in_flight_than_it_is_long() -> None:
    with pytest.raises(BundleError, match="window of 4 chunks"):
        standin.bundle(kind="window", context_chunks=4, steps=10, depth=5)


def test_conditions_and_inputs_agree() -> None:
    manifest = standin.bundle().manifest
    with pytest.raises(BundleError, match="conditions says"):
        check_graphs(replace(manifest, conditions=("tokens",)))
    inputs = (*manifest.graphs["velocity"].inputs, TensorSpec("tokens", "int64", (1, "n")))
    check_graphs(replace(changed(manifest, "velocity", inputs=inputs), conditions=("tokens",)))


def test_a_tensor_of_another_type_is_refused() -> None:
    manifest = standin.bundle().manifest
    inputs = tuple(
        replace(tensor, dtype="float32") for tensor in manifest.graphs["velocity"].inputs
    )
    with pytest.raises(BundleError, match="position is float32, expected int64"):
        check_graphs(changed(manifest, "velocity", inputs=inputs))


def test_the_context_angle_is_an_angle() -> None:
    manifest = replace(standin.bundle().manifest, context=ContextSpec("cached", 6, 2.0))
    with pytest.raises(BundleError, match="angle is 2"):
        check_graphs(manifest)
