import pytest

from engine.errors import BundleError
from engine.tensors import StateSpec, TensorSpec


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
