from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from interpreted import (
    ALLOWED,
    COLUMNS,
    ELEMENTS,
    LENGTHS,
    assert_is_code,
    compiled,
    errors,
    ladder,
    launch,
    memory_of_nan,
)
from torch import Tensor

from engine.angles import schedule

WINDOW = dict.fromkeys(("z", "asked", "turn", "absent", "guidance"))


def window(frames: int, dtype: torch.dtype, dim: int = COLUMNS) -> dict[str, Tensor]:
    """A window whose first half is context, each frame in flight with its own turn and guidance."""
    draw = torch.Generator().manual_seed(frames)
    z, asked, absent = torch.randn(3, frames, dim, generator=draw)
    turn = torch.rand(frames, generator=draw) * (math.pi / 2)
    turn[: frames // 2] = 0.0
    guidance = 1 + 3 * torch.rand(frames, generator=draw)
    parts = (z, asked, turn, absent, guidance)
    return {name: x.to(dtype) for name, x in zip(WINDOW, parts, strict=True)}


def doubled(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.double() for name, x in parts.items()}


def unguided(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: parts[name] for name in ("z", "asked", "turn")}


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("dtype", ELEMENTS)
@pytest.mark.parametrize("frames", LENGTHS)
def test_errs_at_most_twice_as_much_as_the_plain_version(
    frames: int, dtype: torch.dtype, guided: bool
) -> None:
    parts = window(frames, dtype)
    parts = parts if guided else unguided(parts)
    truth = ladder.ladder_step_plain(**doubled(parts))
    with memory_of_nan():
        found = ladder.ladder_step(**parts)
    error, allowed = errors(found, ladder.ladder_step_plain(**parts), truth)
    assert error <= ALLOWED[dtype] * allowed


@pytest.mark.parametrize("run", [ladder.ladder_step, ladder.ladder_step_plain])
@pytest.mark.parametrize("in_place", [True, False])
def test_context_keeps_its_bits_whatever_its_velocity_holds(run: object, in_place: bool) -> None:
    parts = window(65, torch.float32)
    parts["z"][0] = torch.tensor([-0.0, 1e-42, torch.inf, torch.nan]).repeat(COLUMNS // 4)
    for name in ("asked", "absent", "guidance"):
        parts[name][:32] = torch.nan
    before = parts["z"].clone()
    out = run(**parts, out=parts["z"] if in_place else None)  # type: ignore[operator]
    assert (out is parts["z"]) == in_place
    assert torch.equal(out[:32].view(torch.int32), before[:32].view(torch.int32))
    assert out[32:].isfinite().all() and (out[32:] != before[32:]).any(dim=1).all()


def test_in_place_is_the_same_and_nothing_beyond_is_written() -> None:
    parts = window(63, torch.float32, dim=17)
    wanted = ladder.ladder_step(**parts)
    kept = torch.full((64, 17), torch.nan)
    kept[:63] = parts["z"]
    parts["z"] = kept[:63]
    assert torch.equal(ladder.ladder_step(**parts, out=kept[:63]), wanted)
    assert kept[63].isnan().all()


def test_a_whole_schedule_with_the_true_velocity_ends_at_the_music() -> None:
    music, noise = torch.randn(2, 5, 16, dtype=torch.float64)
    angles = schedule(10)
    z = noise.clone()
    for high, low in pairwise(angles):
        v = math.cos(high) * noise - math.sin(high) * music
        z = ladder.ladder_step(z, v, torch.full((5,), high - low, dtype=torch.float64))
    assert torch.allclose(z, music, atol=1e-12)


def test_velocities_may_be_narrower_and_have_any_axes_and_strides() -> None:
    parts = window(12, torch.float32, dim=2000)
    parts["asked"], parts["absent"] = parts["asked"].half(), parts["absent"].half()
    flat = ladder.ladder_step(**parts)
    split = {name: x.reshape(3, 4, *x.shape[1:]).transpose(0, 1) for name, x in parts.items()}
    found = ladder.ladder_step(**split)
    assert found.dtype == torch.float32
    assert torch.equal(found.transpose(0, 1).reshape(12, 2000), flat)
    assert torch.allclose(flat, ladder.ladder_step_plain(**parts), atol=1e-2)


def test_a_derivative_comes_from_the_plain_version() -> None:
    parts = window(4, torch.float64, dim=3)
    parts["asked"].requires_grad_()
    ladder.ladder_step(**parts).sum().backward()
    wanted = -torch.sin(parts["turn"]) * parts["guidance"]
    assert parts["asked"].grad is not None
    assert torch.allclose(parts["asked"].grad, wanted[:, None].expand(4, 3))


def test_runs_plain_where_no_kernel_can(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = window(5, torch.float32)
    wanted = ladder.ladder_step_plain(**parts)
    monkeypatch.setattr(launch, "INTERPRETED", False)
    monkeypatch.setattr(ladder, "launch", None)
    assert torch.equal(ladder.ladder_step(**parts), wanted)
    assert torch.equal(ladder.ladder_step(**parts, out=parts["z"]), wanted)


@pytest.mark.parametrize("run", [ladder.ladder_step, ladder.ladder_step_plain])
def test_what_does_not_fit_is_named(run: object) -> None:
    parts = window(4, torch.float32, dim=3)
    for change, says in (
        ({"asked": parts["asked"][:3]}, r"asked is \[3, 3\], \[4, 3\] goes with z"),
        ({"turn": parts["turn"][:, None]}, r"turn is \[4, 1\], \[4\] goes with z"),
        ({"guidance": None}, "absent and guidance go together"),
        ({"absent": parts["absent"].int()}, "absent is torch.int32 on cpu"),
        ({"out": torch.empty(3, 4).T}, "out is to be contiguous"),
        ({"z": torch.tensor(1.0)}, "z is a single number"),
    ):
        with pytest.raises(ValueError, match=says):
            run(**{**parts, **change})  # type: ignore[operator]


@pytest.mark.parametrize("dtype", ELEMENTS)
@pytest.mark.parametrize("arch", [80, 90])
def test_compiles_without_a_gpu(arch: int, dtype: torch.dtype, tmp_path: Path) -> None:
    pointers = dict.fromkeys((*WINDOW, "out"), f"*{ELEMENTS[dtype]}")
    for guided in (True, False):
        constants = {"GUIDED": guided, "IN_PLACE": True, "ROWS": 64, "COLUMNS": 16,
                     "WIDE": launch.wide(torch.empty(0, dtype=dtype))}  # fmt: skip
        assert_is_code(compiled(ladder._step, pointers, constants, arch, tmp_path), arch)
