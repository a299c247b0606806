"""Every size of chunk that a manifest lists can be played, or it is refused."""

from dataclasses import replace
from typing import Any

import pytest
from reshaped import changed, shaped
from two_sizes import two_sizes

from engine.backends import standin
from engine.errors import BundleError
from engine.manifest import Manifest, SizeSpec
from engine.sizes import check_sizes
from engine.spec import ContextSpec
from engine.tensors import StateSpec, TensorSpec

ASKED = standin.bundle(prompting=True).manifest
SIZED = two_sizes(prompting=True).manifest


def test_a_ring_of_another_length_is_refused() -> None:
    manifest = standin.bundle().manifest
    states = (StateSpec("keys", "float32", ("batch", 1, 5, 8), ring_axis=2),)
    with pytest.raises(BundleError, match="has 5 slots, the context has 6 chunks"):
        check_sizes(changed(manifest, "velocity", states=states))


def test_an_endless_stream_needs_a_position_period() -> None:
    manifest = changed(standin.bundle().manifest, "velocity", position_period=None)
    with pytest.raises(BundleError, match="position_period"):
        check_sizes(manifest)


def test_a_window_holds_whole_chunks() -> None:
    manifest = standin.bundle(kind="window").manifest
    inputs = shaped(manifest.graphs["velocity"], "latents", 1, 95, 8)
    with pytest.raises(BundleError, match="95 frames is not 6 chunks"):
        check_sizes(changed(manifest, "velocity", inputs=inputs))


def test_a_window_cannot_hold_more_in_flight_than_it_is_long() -> None:
    with pytest.raises(BundleError, match="window of 4 chunks"):
        standin.bundle(kind="window", context_chunks=4, steps=10, depth=5)


def test_conditions_and_inputs_agree() -> None:
    manifest = standin.bundle().manifest
    with pytest.raises(BundleError, match="conditions says"):
        check_sizes(replace(manifest, conditions=("tokens",)))
    inputs = (*manifest.graphs["velocity"].inputs, TensorSpec("tokens", "int64", (1, "n")))
    check_sizes(replace(changed(manifest, "velocity", inputs=inputs), conditions=("tokens",)))


def test_a_tensor_of_another_type_is_refused() -> None:
    manifest = standin.bundle().manifest
    inputs = tuple(
        replace(tensor, dtype="float32") for tensor in manifest.graphs["velocity"].inputs
    )
    with pytest.raises(BundleError, match="position is float32, expected int64"):
        check_sizes(changed(manifest, "velocity", inputs=inputs))


def test_the_context_angle_is_an_angle() -> None:
    manifest = replace(standin.bundle().manifest, context=ContextSpec("cached", 6, 2.0))
    with pytest.raises(BundleError, match="angle is 2"):
        check_sizes(manifest)


def test_the_number_of_chunks_is_free() -> None:
    inputs = shaped(ASKED.graphs["velocity"], "latents", "batch", 1, "frames", 8)
    with pytest.raises(BundleError, match="fixed number of chunks"):
        check_sizes(changed(ASKED, "velocity", inputs=inputs))


@pytest.mark.parametrize(("shape", "axis"), [((1, 6, 8), 1), (("batch", 8), None), ((6, 8), 0)])
def test_a_state_is_a_ring_behind_as_many_rows_as_there_are(
    shape: tuple[int | str, ...], axis: int | None
) -> None:
    states = (StateSpec("keys", "float32", shape, ring_axis=axis),)
    with pytest.raises(BundleError, match="expected batch rows in front and a ring behind them"):
        check_sizes(changed(ASKED, "velocity", states=states))


def test_tokens_of_a_chunk_fit_its_frames() -> None:
    manifest = replace(ASKED, chunk_frames=(16,))
    for count, fits in ((8, True), (7, False)):
        inputs = shaped(manifest.graphs["velocity"], "tokens", "batch", "chunks", count)
        bundle = changed(manifest, "velocity", inputs=inputs)
        if fits:
            check_sizes(bundle)
        else:
            with pytest.raises(BundleError, match=r"a chunk has 7 tokens, its frames make 8"):
                check_sizes(bundle)


# ---- sizes beside the default -------------------------------------------------------------------


def of_8(**changes: Any) -> Manifest:
    """With another entry for chunks of 8 frames."""
    return replace(SIZED, sized={"8": replace(SIZED.sized["8"], **changes)})


def test_graphs_of_their_own_fit_their_size_both_ways() -> None:
    check_sizes(SIZED)
    check_sizes(SIZED.at(8))


@pytest.mark.parametrize("sizes", [(), (16, 8, 16)])
def test_every_size_is_listed_once(sizes: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match="it names each size of chunk once"):
        check_sizes(replace(ASKED, chunk_frames=sizes))


@pytest.mark.parametrize("name", ["16", "4", "08", "eight", ""])
def test_an_entry_is_for_a_listed_size_beside_the_default(name: str) -> None:
    manifest = replace(SIZED, sized={name: SIZED.sized["8"]})
    with pytest.raises(BundleError, match=f"sized.{name} is no size beside the default"):
        check_sizes(manifest)


def test_a_listed_size_can_be_played() -> None:
    with pytest.raises(
        BundleError, match="with chunks of 8 frames, velocity takes chunks of 16 frames only"
    ):
        check_sizes(replace(SIZED, sized={}))
    with pytest.raises(BundleError, match=r"^velocity takes chunks of 16 frames only, not of 8"):
        check_sizes(replace(SIZED, chunk_frames=(8,), sized={}))


def test_a_size_has_all_graphs_that_depend_on_it() -> None:
    graphs = dict(SIZED.sized["8"].graphs)
    with pytest.raises(BundleError, match="graphs has velocity, expected descend, velocity"):
        check_sizes(of_8(graphs={"velocity": graphs["velocity"]}))
    with pytest.raises(BundleError, match="graphs has decoder, descend, velocity, expected"):
        check_sizes(of_8(graphs={**graphs, "decoder": SIZED.graphs["decoder"]}))
    plain = {name: graph for name, graph in SIZED.graphs.items() if name != "descend"}
    with pytest.raises(BundleError, match="graphs has descend, velocity, expected velocity"):
        check_sizes(replace(SIZED, graphs=plain))
    lean = SizeSpec(12, {"velocity": graphs["velocity"]})
    check_sizes(replace(SIZED, graphs=plain, sized={"8": lean}))


def test_another_size_is_checked_as_the_default_is() -> None:
    with pytest.raises(BundleError, match=r"with chunks of 8 frames, .* expected .* 11\]"):
        check_sizes(of_8(context_chunks=11))
    graphs = SIZED.sized["8"].graphs
    velocity = replace(graphs["velocity"], position_period=None)
    with pytest.raises(BundleError, match="of 8 frames, velocity has no position_period"):
        check_sizes(of_8(graphs={**graphs, "velocity": velocity}))
    tokens = shaped(graphs["velocity"], "tokens", "batch", "chunks", 8)
    velocity = replace(graphs["velocity"], inputs=tokens)
    descend = replace(
        graphs["descend"], inputs=shaped(graphs["descend"], "tokens", *tokens[6].shape)
    )
    with pytest.raises(BundleError, match="a chunk has 8 tokens, its frames make 4"):
        check_sizes(of_8(graphs={"velocity": velocity, "descend": descend}))


def test_a_window_of_a_fixed_length_holds_chunks_of_one_size() -> None:
    manifest = standin.bundle(kind="window").manifest
    inputs = shaped(manifest.graphs["velocity"], "latents", 1, 96, 8)
    with pytest.raises(BundleError, match=r"8 frames, .*96 frames is not 6 chunks of 8 frames"):
        check_sizes(changed(manifest, "velocity", inputs=inputs))


def test_a_condition_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BundleError, match="conditions names mood: not known here"):
        check_sizes(replace(standin.bundle().manifest, conditions=("mood",)))
