"""Where a kernel can run: on a GPU beside Triton, or on a CPU under Triton's interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from torch import Tensor

try:
    import triton
    from triton import language as tl
except ImportError:  # the plain versions need neither
    triton = tl = None

__all__ = ["FUSED", "INTERPRETED", "can_launch", "jit", "tl", "triton", "wide"]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Read once, as Triton does: a kernel is made for the GPU or for the interpreter."""

FUSED: dict[str, bool] = {} if INTERPRETED else {"enable_fp_fusion": True}
"""a·b + c is rounded once, whatever Triton's default is; the interpreter rounds twice."""


def jit(function: Callable[..., None]) -> Any:
    """`triton.jit`; the function as it is where there is no Triton."""
    return function if triton is None else triton.jit(function)


def can_launch(*tensors: Tensor | None) -> bool:
    """True if kernels can work on these tensors; without it the plain versions do."""
    on_gpu = all(tensor.is_cuda for tensor in tensors if tensor is not None)
    return triton is not None and (INTERPRETED or on_gpu)


def wide(tensor: Tensor) -> Any:
    """The type a kernel computes in: float64 for float64, else float32."""
    return tl.float64 if tensor.itemsize == 8 else tl.float32
