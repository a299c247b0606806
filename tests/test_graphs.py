from dataclasses import replace
from typing import Any

import pytest
from reshaped import changed, shaped

from engine.backends import standin
from engine.errors import BundleError
from engine.graphs import check_graphs
from engine.spec import LatentSpec
from engine.tensors import StateSpec, TensorSpec


@pytest.mark.parametrize("wanted", [{"kind": "cached"}, {"kind": "window"}, {"prompting": True}])
def test_the_stand_in_fits_itself(wanted: dict[str, Any]) -> None:
    check_graphs(standin.bundle(**wanted).manifest)


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


# ---- prompting ----------------------------------------------------------------------------------

ASKED = standin.bundle(prompting=True).manifest


@pytest.mark.parametrize("missing", ["semantic", "music", "text", "quantise", "prefix", "language"])
def test_prompting_needs_all_its_graphs(missing: str) -> None:
    graphs = {name: graph for name, graph in ASKED.graphs.items() if name != missing}
    with pytest.raises(BundleError, match=f"no {missing}: a bundle with prompting needs it"):
        check_graphs(replace(ASKED, graphs=graphs))


def test_a_brief_without_prompting_is_refused() -> None:
    manifest = standin.bundle().manifest
    brief = TensorSpec("brief", "float32", (1, "chunks", 91))
    inputs = (*manifest.graphs["velocity"].inputs, brief)
    with pytest.raises(BundleError, match=r"there is no manifest\.prompting"):
        check_graphs(replace(changed(manifest, "velocity", inputs=inputs), conditions=("brief",)))


def test_prompting_goes_with_both_conditions() -> None:
    inputs = tuple(t for t in ASKED.graphs["velocity"].inputs if t.name != "brief")
    manifest = changed(replace(ASKED, conditions=("tokens",)), "velocity", inputs=inputs)
    with pytest.raises(BundleError, match="conditions brief and tokens; it is cached, with tokens"):
        check_graphs(manifest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"brief_size": 50}, "brief_size is 50, this engine writes"),
        ({"vocabulary": 33}, r"logits is \[1, 'n', 32\], expected \[1, 'n', 33\]"),
        ({"embedding": 15}, "brief_size"),
        ({"codes": 11}, r"codes is \[1, 12\], expected \[1, 11\]"),
        ({"language_context": 25}, r"filled is \[1, 24\], expected \[1, 25\]"),
        ({"token_frames": 3}, "no whole number of tokens of 3"),
    ],
)
def test_sizes_of_prompting_agree(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        check_graphs(replace(ASKED, prompting=replace(ASKED.prompting, **change)))


def test_music_hears_what_semantic_gives() -> None:
    inputs = shaped(ASKED.graphs["music"], "features", 1, "tokens", 9)
    with pytest.raises(BundleError, match=r"features is \[1, 'tokens', 9\], expected"):
        check_graphs(changed(ASKED, "music", inputs=inputs))


def test_the_prefix_fits_the_language_model() -> None:
    outputs = (TensorSpec("prefix", "float32", (1, 2, 12, 10)),)
    with pytest.raises(BundleError, match=r"language: prefix is \[1, 2, 12, 8\], expected"):
        check_graphs(changed(ASKED, "prefix", outputs=outputs))


def test_the_language_model_has_rings_of_its_context() -> None:
    states = (StateSpec("past_0", "float32", (1, 23, 8), ring_axis=1),)
    with pytest.raises(BundleError, match=r"past_0 is \[1, 23, 8\] with ring axis 1, expected"):
        check_graphs(changed(ASKED, "language", states=states))
    for name, axis in (("none", None), ("first", 0)):
        states = (StateSpec(name, "float32", (24, 24, 8), ring_axis=axis),)
        with pytest.raises(BundleError, match=f"state {name} .* with ring axis {axis}, expected"):
            check_graphs(changed(ASKED, "language", states=states))
    with pytest.raises(BundleError, match="language has no position_period"):
        check_graphs(changed(ASKED, "language", position_period=None))


def test_a_run_of_tokens_goes_behind_the_rings_of_the_language_model() -> None:
    whole = ASKED.graphs["write"]
    fewer = replace(ASKED, graphs={
        name: graph for name, graph in ASKED.graphs.items() if name != "write"
    })  # fmt: skip
    check_graphs(fewer)
    with pytest.raises(BundleError, match="write: its states or its position_period"):
        check_graphs(changed(ASKED, "write", states=whole.states[:1]))
    others = tuple(t for t in whole.inputs if t.name != "favour")
    with pytest.raises(BundleError, match="write has no single tensor favour"):
        check_graphs(changed(ASKED, "write", inputs=others))
