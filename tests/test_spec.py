import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends import standin
from engine.errors import BundleError, UsageError
from engine.spec import LadderSpec, Manifest, StateSpec, TensorSpec


@pytest.mark.parametrize("wanted", [{"kind": "cached"}, {"kind": "window"}, {"prompting": True}])
def test_a_manifest_survives_json(wanted: dict[str, Any]) -> None:
    manifest = standin.bundle(**wanted).manifest
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
    for name in ("pull", "push", "fade_s", "key_pull"):
        del values["prompting"][name]
    prompting = Manifest.from_json(values).prompting
    assert prompting is not None
    assert (prompting.pull, prompting.push, prompting.key_pull) == (0.8, 0.0, 0.0)


@pytest.mark.parametrize("wrong", [{"pull": -1}, {"push": -0.5}, {"key_pull": -1}, {"fade_s": 0}])
def test_a_pull_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    values = standin.bundle(prompting=True).manifest.to_json()
    values["prompting"] |= wrong
    with pytest.raises(BundleError, match=r"are at least 0, fade_s .* is more than 0"):
        Manifest.from_json(values)


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
    values = json.loads(json.dumps(standin.bundle(prompting=prompting).manifest.to_json()))
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


def test_the_depth_divides_the_steps() -> None:
    assert LadderSpec(10, 5).passes_per_chunk == 2
    with pytest.raises(UsageError, match="10 steps cannot hold 3 chunks"):
        LadderSpec(10, 3)


def test_steps_are_rounded_up_to_the_depth() -> None:
    assert [LadderSpec(10, 5).rounded(steps) for steps in (0, 1, 5, 6)] == [5, 5, 5, 10]


def test_shapes_are_resolved_by_name() -> None:
    tensor = TensorSpec("latents", "float32", (1, "chunks", "frames", 8))
    assert tensor.resolve({"chunks": 2, "frames": 16}) == (1, 2, 16, 8)
    with pytest.raises(BundleError, match='free axis "frames"'):
        tensor.resolve({"chunks": 2})


def test_a_ring_state_leaves_as_many_slots_as_chunks_in_flight() -> None:
    ring = StateSpec("keys", "float32", (2, 1, 20, 8), ring_axis=2)
    plain = StateSpec("tail", "float32", (1, 2, 8))
    assert ring.next_spec == TensorSpec("keys_next", "float32", (2, 1, "chunks", 8))
    assert plain.next_spec == TensorSpec("tail_next", "float32", (1, 2, 8))


def test_the_length_of_a_chunk() -> None:
    manifest = standin.bundle().manifest
    assert manifest.chunk_samples == 7680
    assert manifest.chunk_s == 0.32
