"""What a bundle's weights are rounded to, and the check that they are fit to ship.

Weights are rounded in the network itself, *before* anything is compared, so that the rounding is
part of the model and not of the export. What runs in every tick keeps float16; what runs once a
take, a prompt or a token keeps whole numbers of −127…127 and a scale for every row, and so does
what is multiplied as bytes, with −63…63. The scale has 16 significant bits: each product of the two
is exact in float32, and both can be read off it.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.errors import BundleError

Floats = npt.NDArray[np.float32]

LARGEST_HALF = 65504.0
LARGEST_WHOLE = 127
LARGEST_FACTOR = 63
"""Of a weight that is multiplied as it is: where a processor adds two products with bytes of 0…255
in 16 bits (AVX2 without VNNI), 2·255·63 is the most that fits."""
SMALLEST_FACTORS = 32_768
"""Values of a matrix, below which rounding what is multiplied with it costs what bytes save."""
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


def round_to_half(network: nn.Module, but: Collection[int] = ()) -> None:
    """Round every matrix to what float16 holds, in place; vectors (biases, gains) stay as are.

    So do matrices that lie at `but`, as `round_to_factors` gives them.
    """
    for matrix in _matrices(network, but):
        matrix.copy_(matrix.half().float())


def round_to_int8(network: nn.Module, but: Collection[int] = ()) -> None:
    """Round every trained matrix to int8 rows, in place; tables (buffers) to float16."""
    trained = {parameter.data_ptr() for parameter in network.parameters()}
    for matrix in _matrices(network, but):
        if matrix.data_ptr() in trained:
            whole, scale = nearest_int8(matrix.numpy())
            matrix.copy_(torch.from_numpy(whole * scale))
        else:
            matrix.copy_(matrix.half().float())


def round_to_factors(network: nn.Module) -> set[int]:
    """Round the large matrices of products to rows of −63…63, in place; where these lie."""
    products = [part.weight.data for part in network.modules() if isinstance(part, nn.Linear)]
    large = [matrix for matrix in products if matrix.numel() >= SMALLEST_FACTORS]
    for matrix in large:
        whole, scale = nearest_int8(matrix.numpy(), largest=LARGEST_FACTOR)
        matrix.copy_(torch.from_numpy(whole * scale))
    return {matrix.data_ptr() for matrix in large}


def nearest_int8(
    array: Floats, axis: int = 0, largest: int = LARGEST_WHOLE
) -> tuple[Floats, Floats]:
    """Whole numbers up to `largest`, and a scale for every place along `axis`, axes kept."""
    others = tuple(i for i in range(array.ndim) if i != axis % array.ndim)
    scale = np.abs(array).max(others, keepdims=True) / np.float32(largest)
    scale = (scale.view(np.int32) & ~_SPARE_BITS).view(np.float32)
    whole = np.zeros_like(array)
    np.divide(array, scale, out=whole, where=scale > 0)
    return np.rint(whole).clip(-largest, largest), scale


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
    exact = array.astype(np.float32)
    for largest, axis in product((LARGEST_WHOLE, LARGEST_FACTOR), (0, -1)):
        whole, scale = nearest_int8(exact, axis, largest)
        if np.array_equal(whole * scale, exact):
            return whole.astype(np.int8), scale
    return None


def _worthwhile(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype == np.float32 and array.ndim >= 2 and array.nbytes >= SMALLEST_BYTES


def _matrices(network: nn.Module, but: Collection[int]) -> list[Tensor]:
    """Every weight and table of two axes or more, to be written to, that does not lie there."""
    values = [v for v in network.state_dict().values() if v.data_ptr() not in but]
    return [v for v in values if v.is_floating_point() and v.dim() >= 2]
