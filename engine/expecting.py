"""What a manifest must say of a tensor; each is a BundleError with both figures."""

from __future__ import annotations

from engine.errors import BundleError
from engine.tensors import Shape, StateSpec, TensorSpec


def expect(
    graph: str, tensors: tuple[TensorSpec, ...], wanted: tuple[str, Shape], dtype: str = "float32"
) -> None:
    """The tensor is there with that rank, dtype and those sizes; a wanted name fits any size."""
    name, shape = wanted
    found = [tensor for tensor in tensors if tensor.name == name]
    if len(found) != 1:
        names = ", ".join(tensor.name for tensor in tensors)
        raise BundleError(f"{graph} has no single tensor {name} (it has: {names})")
    fits = len(found[0].shape) == len(shape) and all(
        isinstance(want, str) or have == want
        for have, want in zip(found[0].shape, shape, strict=True)
    )
    if not fits:
        raise BundleError(f"{graph}: {name} is {list(found[0].shape)}, expected {list(shape)}")
    expect_dtype(graph, found[0], dtype)


def expect_dtype(graph: str, tensor: TensorSpec, dtype: str) -> None:
    """It has elements of that type."""
    if tensor.dtype != dtype:
        raise BundleError(f"{graph}: {tensor.name} is {tensor.dtype}, expected {dtype}")


def expect_numbers(graph: str, state: StateSpec, free: int = 0) -> None:
    """float32 of a fixed shape, but for the first `free` axes."""
    if any(isinstance(axis, str) for axis in state.shape[free:]) or state.dtype != "float32":
        raise BundleError(
            f"{graph}: state {state.name} is {state.dtype}{list(state.shape)}, "
            "expected float32 with a fixed shape"
        )
