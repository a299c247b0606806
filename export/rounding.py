"""What a bundle's weights are rounded to, and the check that they are fit to ship.

Weights are rounded in the network itself, *before* anything is compared, so that the rounding is
part of the model and not of the export. What runs in every pass keeps float16; what runs once a
take, a prompt or a token keeps whole numbers of −127…127 and a scale for every row. The scale has
16 significant bits: each product of the two is exact in float32, and both can be read off it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.errors import BundleError

Floats = npt.NDArray[np.float32]

LARGEST_HALF = 65504.0
LARGEST_WHOLE = 127
SMALLEST_BYTES = 1024
"""Of an array, below which storing it smaller is not worth a node."""
_SPARE_BITS = 0xFF
"""Of the 23 stored bits of a float32, those that a scale does not use."""


def refuse_unusable(network: nn.Module, name: str) -> None:
    """BundleError if a weight is not finite, or too large for float16."""
    for key, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise BundleError(
                f"{name}: {key} holds NaN or infinity: its training diverged; "
                "export an earlier checkpoint"
            )
        if value.is_floating_point() and float(value.abs().max()) > LARGEST_HALF:
            raise BundleError(
                f"{name}: {key} reaches {float(value.abs().max()):.3g}, half precision ends at "
                f"{LARGEST_HALF:g}: train with weight decay"
            )


def round_to_half(network: nn.Module) -> None:
    """Round every matrix to what float16 holds, in place; vectors (biases, gains) stay as are."""
    for matrix in _matrices(network):
        matrix.copy_(matrix.half().float())


def round_to_int8(network: nn.Module) -> None:
    """Round every trained matrix to int8 rows, in place; tables (buffers) to float16."""
    trained = {parameter.data_ptr() for parameter in network.parameters()}
    for matrix in _matrices(network):
        if matrix.data_ptr() in trained:
            whole, scale = nearest_int8(matrix.numpy())
            matrix.copy_(torch.from_numpy(whole * scale))
        else:
            matrix.copy_(matrix.half().float())


def nearest_int8(array: Floats, axis: int = 0) -> tuple[Floats, Floats]:
    """Whole numbers of −127…127, and a scale for every place along `axis`, axes kept."""
    others = tuple(i for i in range(array.ndim) if i != axis % array.ndim)
    scale = np.abs(array).max(others, keepdims=True) / np.float32(LARGEST_WHOLE)
    scale = (scale.view(np.int32) & ~_SPARE_BITS).view(np.float32)
    whole = np.zeros_like(array)
    np.divide(array, scale, out=whole, where=scale > 0)
    return np.rint(whole).clip(-LARGEST_WHOLE, LARGEST_WHOLE), scale


def as_half(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float16] | None:
    """The array in float16 if that is exact and worth a node; None otherwise."""
    if not _worthwhile(array):
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else None


def as_int8(array: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int8], Floats] | None:
    """The array as int8 and scales if that is exact and worth two nodes; None otherwise.

    The scales lie along the first axis, or the last: exporting transposes weights.
    """
    if not _worthwhile(array):
        return None
    for axis in (0, -1):
        whole, scale = nearest_int8(array.astype(np.float32), axis)
        if np.array_equal(whole * scale, array):
            return whole.astype(np.int8), scale
    return None


def _worthwhile(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype == np.float32 and array.ndim >= 2 and array.nbytes >= SMALLEST_BYTES


def _matrices(network: nn.Module) -> list[Tensor]:
    """Every weight and table of two axes or more, to be written to."""
    values = network.state_dict().values()
    return [v for v in values if v.is_floating_point() and v.dim() >= 2]
