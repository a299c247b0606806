import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_sizes import two_sizes

from engine.backends import standin
from engine.errors import BundleError, UsageError
from engine.manifest import Manifest, SizeSpec
from engine.spec import GoldenSpec


@pytest.mark.parametrize("wanted", [{"kind": "cached"}, {"kind": "window"}, {"prompting": True}])
def test_a_manifest_survives_json(wanted: dict[str, Any]) -> None:
    for manifest in (standin.bundle(**wanted).manifest, two_sizes().manifest):
        assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_a_manifest_without_prompting_says_nothing_of_it() -> None:
    values = standin.bundle().manifest.to_json()
    del values["prompting"]
    for control in values["controls"]:
        del control["optional"]
    manifest = Manifest.from_json(values)
    assert manifest == standin.bundle().manifest and manifest.prompting is None


def test_a_manifest_that_says_nothing_of_a_push_has_none() -> None:
    values = standin.bundle(prompting=True).manifest.to_json()
    for name in ("pull", "push", "fade_s", "key_pull", "beat_pull"):
        del values["prompting"][name]
    prompting = Manifest.from_json(values).prompting
    assert prompting is not None
    assert (prompting.pull, prompting.push) == (0.8, 0.0)
    assert (prompting.key_pull, prompting.beat_pull) == (0.0, 0.0)


def test_another_format_is_refused_with_both_numbers() -> None:
    values = standin.bundle().manifest.to_json()
    with pytest.raises(BundleError, match=r"format is 2, this engine reads 1"):
        Manifest.from_json({**values, "format": 2})


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = [at] if at else []
    for key, inner in items if isinstance(value, dict | list) else ():
        found += paths(inner, (*at, key)) if isinstance(inner, dict | list) else [(*at, key)]
    return found


@given(st.data(), st.booleans())
def test_a_spoilt_field_is_refused_or_read_as_it_stands(
    data: st.DataObject, prompting: bool
) -> None:
    values = json.loads(json.dumps(two_sizes(prompting=prompting).manifest.to_json()))
    path = data.draw(st.sampled_from(paths(values)))
    holder = values
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = data.draw(st.sampled_from([None, -7, "?", [None], {"": 0}]))
    try:
        after = Manifest.from_json(values)
    except BundleError:
        return
    assert Manifest.from_json(after.to_json()) == after


def test_the_length_of_a_chunk() -> None:
    manifest = standin.bundle().manifest
    assert manifest.chunk_samples == 7680
    assert manifest.chunk_s == 0.32


def test_bundles_with_one_size_do_not_mention_sizes() -> None:
    """Their manifests have the same bytes as before there were any."""
    assert "sized" not in standin.bundle().manifest.to_json()


def test_at_its_own_size_a_manifest_is_itself() -> None:
    manifest = two_sizes().manifest
    assert manifest.at(16) is manifest


@pytest.mark.parametrize("manifest", [standin.bundle().manifest, two_sizes().manifest])
def test_a_size_that_is_not_listed_is_refused_with_those_that_are(manifest: Manifest) -> None:
    for frames in (12, 0, -8):
        with pytest.raises(UsageError, match=f"of {frames} frames; bundle standin has: 16, 8"):
            manifest.at(frames)


def test_another_size_brings_its_own_graphs_and_look_back() -> None:
    manifest = two_sizes(prompting=True).manifest
    small = manifest.at(8)
    assert small.chunk_frames == (8, 16) and small.chunk_s == 0.16
    assert (manifest.context.chunks, small.context.chunks) == (6, 12)
    assert small.graphs["velocity"].file == "velocity.8.onnx"
    assert small.graphs["descend"].input("tokens").shape == ("batch", "chunks", 4)
    assert small.graphs["decoder"] == manifest.graphs["decoder"]
    assert small.every_graph != manifest.every_graph
    assert {one.file for one in small.every_graph} == {one.file for one in manifest.every_graph}


def test_from_another_size_there_is_a_way_back() -> None:
    for manifest in (two_sizes().manifest, standin.bundle().manifest):
        assert manifest.at(8).at(16) == manifest


def test_graphs_that_take_any_size_stay_as_they_are() -> None:
    manifest = standin.bundle().manifest
    assert manifest.at(8) == replace(manifest, chunk_frames=(8, 16))


def test_sizes_that_share_the_graphs_of_the_default_go_with_them() -> None:
    """16 and 8 have free graphs, 4 has graphs of its own."""
    manifest = standin.bundle().manifest
    own = SizeSpec(24, {"velocity": replace(manifest.graphs["velocity"], file="v.4.onnx")})
    manifest = replace(manifest, chunk_frames=(16, 8, 4), sized={"4": own})
    small = manifest.at(4)
    assert small.at(8).graphs == manifest.graphs and small.at(8).context.chunks == 6
    assert small.at(8).at(4).graphs == small.graphs


def test_golden_latents_are_of_the_size_that_was_packed() -> None:
    golden = GoldenSpec("golden.npz", seed=7, steps=4, chunks=2, tolerance=1e-3)
    manifest = replace(two_sizes().manifest, golden=golden)
    assert manifest.at(16).golden == golden and manifest.at(8).golden is None
