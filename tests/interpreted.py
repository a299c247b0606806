"""The kernels under Triton's interpreter, and what their tests share; skips without Triton."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="no Triton here: pip install 'perpetuo[kernels]'")

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")
    launch, sru, ladder = (
        importlib.reload(importlib.import_module(f"kernels.{name}"))
        for name in ("launch", "sru", "ladder")
    )

LENGTHS = (1, 63, 65)
COLUMNS = 500
ELEMENTS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
ALLOWED = {torch.float32: 2.0, torch.bfloat16: 3.0, torch.float16: 2.0}
"""Times the plain version's own error. The interpreter cuts off where a GPU rounds to bfloat16."""


@contextmanager
def memory_of_nan() -> Iterator[None]:
    """Memory that is not initialised holds NaN."""
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        yield
    finally:
        torch.use_deterministic_algorithms(was)


def errors(found: Tensor, plain: Tensor, truth: Tensor) -> tuple[float, float]:
    """Greatest errors against float64: of the kernel, and of the plain version."""
    assert found.shape == plain.shape == truth.shape and found.dtype == plain.dtype
    assert truth.dtype == torch.float64 and found.isfinite().all()
    return tuple(float((x.double() - truth).abs().max()) for x in (found, plain))  # type: ignore[return-value]


def compiled(
    kernel: Any, pointers: dict[str, str], constants: dict[str, Any], arch: int, cache: Path
) -> dict[str, Any]:
    """PTX and machine code of a kernel for sm_`arch`; addresses and sizes divide by 16."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile
    from triton.runtime.jit import JITFunction

    function: Callable[..., None] = kernel.fn
    names = JITFunction(function).arg_names
    signature = {name: pointers.get(name, "i32") for name in names}
    signature |= dict.fromkeys(constants, "constexpr")
    divided = [["tt.divisibility", 16]]
    aligned = {(i,): divided for i, name in enumerate(names) if name not in constants}
    source = ASTSource(JITFunction(function), signature, constants, aligned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(cache))
        options = {"num_warps": 4, "enable_fp_fusion": True}
        made: dict[str, Any] = compile(source, GPUTarget("cuda", arch, 32), options).asm
    return made


def assert_is_code(made: dict[str, Any], arch: int) -> None:
    """It came out, for that processor, and went through the assembler."""
    assert f".target sm_{arch}" in made["ptx"] and ".visible .entry" in made["ptx"]
    assert made["cubin"][:4] == b"\x7fELF"
