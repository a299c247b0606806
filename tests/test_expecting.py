import pytest

from engine.errors import BundleError
from engine.expecting import expect, expect_dtype, expect_numbers
from engine.tensors import StateSpec, TensorSpec

LATENTS = TensorSpec("latents", "float32", (1, "frames", 8))


def test_a_name_fits_any_size_and_a_number_itself() -> None:
    expect("decoder", (LATENTS,), ("latents", (1, "frames", 8)))
    expect("decoder", (LATENTS,), ("latents", ("rows", "anything", "dim")))
    for wrong in ((1, "frames", 9), (1, 16, 8), (1, "frames"), ()):
        with pytest.raises(BundleError, match=r"decoder: latents is \[1, 'frames', 8\], expected"):
            expect("decoder", (LATENTS,), ("latents", wrong))


@pytest.mark.parametrize("tensors", [(), (LATENTS, LATENTS)])
def test_a_tensor_is_there_once(tensors: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(BundleError, match="decoder has no single tensor latents"):
        expect("decoder", tensors, ("latents", (1, "frames", 8)))


def test_the_type_is_named() -> None:
    with pytest.raises(BundleError, match="latents is float32, expected int64"):
        expect_dtype("decoder", LATENTS, "int64")


def test_a_state_has_a_fixed_shape_behind_what_may_be_free() -> None:
    ring = StateSpec("keys", "float32", ("batch", 6, 8), ring_axis=1)
    expect_numbers("velocity", ring, free=1)
    with pytest.raises(BundleError, match="expected float32 with a fixed shape"):
        expect_numbers("velocity", ring)
    with pytest.raises(BundleError, match="state places is int64"):
        expect_numbers("velocity", StateSpec("places", "int64", (6, 2)))
