"""Tables of sinusoids, such as the bases of a Fourier transform, as two small factors.

A sinusoid cut into equal pieces is a matrix of rank two, cos(a·(i + j)) being cos(a·i)·cos(a·j) −
sin(a·i)·sin(a·j); so a table with one in each row is a product of two that are far smaller.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SMALLEST_BYTES = 1 << 18
LARGEST_ERROR = 6e-7
"""Of the product, against the largest value of the table: a few roundings of float32."""


def as_waves(array: npt.NDArray[np.generic]) -> tuple[Floats, Floats] | None:
    """The factors [rows, i, 2] and [rows, 2, j] of a table [rows, i·j]; None if it is no such one.

    The table is their product to within a few roundings of float32.
    """
    if array.dtype != np.float32 or array.ndim != 2 or array.nbytes < SMALLEST_BYTES:
        return None
    table = array.astype(np.float32)
    rows, columns = table.shape
    pieces = next(n for n in range(math.isqrt(columns), 0, -1) if columns % n == 0)
    if pieces < 3 or _unlike(table[:: max(rows // 4, 1)], pieces):
        return None
    left, right = _factors(table, pieces)
    error = np.abs((left @ right).reshape(table.shape) - table).max()
    return (left, right) if error <= LARGEST_ERROR * np.abs(table).max() else None


def _unlike(rows: Floats, pieces: int) -> bool:
    """Is it plain from a few rows that these are no sinusoids?"""
    values = np.linalg.svd(rows.reshape(len(rows), pieces, -1), compute_uv=False)
    return bool((values[:, 2] > 1e-5 * values[:, 0]).any())


def _factors(array: Floats, pieces: int) -> tuple[Floats, Floats]:
    cut = array.astype(np.float64).reshape(len(array), pieces, -1)
    left, sizes, right = np.linalg.svd(cut, full_matrices=False)
    root = np.sqrt(sizes[:, :2])
    return (
        (left[:, :, :2] * root[:, None, :]).astype(np.float32),
        (right[:, :2] * root[:, :, None]).astype(np.float32),
    )
