from __future__ import annotations

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
    launch,
    memory_of_nan,
    sru,
)
from torch import Tensor

import model.layers
from model.layers import SRULayer


def inputs(length: int, dtype: torch.dtype, columns: int = COLUMNS) -> tuple[Tensor, ...]:
    """forget in (0, 1), entering, an initial state, and what a loss says of both outputs."""
    draw = torch.Generator().manual_seed(length)
    forget = torch.sigmoid(2 * torch.randn(length, columns, generator=draw) + 1)
    entering = (1 - forget) * torch.randn(length, columns, generator=draw)
    initial, d_final = torch.randn(2, columns, generator=draw)
    d_states = torch.randn(length, columns, generator=draw)
    return tuple(x.to(dtype) for x in (forget, entering, initial, d_states, d_final))


def with_gradients(run: object, parts: tuple[Tensor, ...]) -> list[Tensor]:
    """states, final, and the gradients of forget, entering and initial."""
    *given, d_states, d_final = parts
    given = [x.clone().requires_grad_() for x in given]
    states, final = run(*given)  # type: ignore[operator]
    torch.autograd.backward([states, final], [d_states, d_final])
    return [states.detach(), final.detach(), *(x.grad for x in given if x.grad is not None)]


@pytest.mark.parametrize("dtype", ELEMENTS)
@pytest.mark.parametrize("length", LENGTHS)
def test_errs_at_most_twice_as_much_as_the_plain_version(length: int, dtype: torch.dtype) -> None:
    parts = inputs(length, dtype)
    truth = with_gradients(sru.sru_plain, tuple(x.double() for x in parts))
    plain = with_gradients(sru.sru_plain, parts)
    with memory_of_nan():
        found = with_gradients(sru.sru, parts)
    assert len(found) == 5
    for got, beside, true in zip(found, plain, truth, strict=True):
        error, allowed = errors(got, beside, true)
        assert error <= ALLOWED[dtype] * allowed


@pytest.mark.parametrize("length", [1, 2, 5])
def test_gradients_are_those_of_finite_differences(length: int) -> None:
    given = [x.requires_grad_() for x in inputs(length, torch.float64, columns=3)[:3]]
    assert torch.autograd.gradcheck(sru.sru, given)


def test_two_runs_joined_by_the_state_are_one() -> None:
    forget, entering, initial = inputs(65, torch.float32)[:3]
    whole, final = sru.sru(forget, entering, initial)
    first, state = sru.sru(forget[:20], entering[:20], initial)
    second, last = sru.sru(forget[20:], entering[20:], state)
    assert torch.equal(whole, torch.cat([first, second])) and torch.equal(final, last)
    assert torch.equal(final, whole[-1])


def test_starts_from_zeros_and_takes_any_axes_and_strides() -> None:
    forget, entering, initial = inputs(7, torch.float32, columns=6)[:3]
    flat, _ = sru.sru(forget, entering, torch.zeros_like(initial))
    split = [x.reshape(7, 3, 2).transpose(1, 2).contiguous().transpose(1, 2)
             for x in (forget, entering)]  # fmt: skip
    assert not split[0].is_contiguous()
    states, final = sru.sru(*split)
    assert torch.equal(states.reshape(7, 6), flat) and final.shape == (3, 2)


def test_an_output_that_no_loss_uses_leaves_gradients_whole() -> None:
    parts = inputs(5, torch.float64)
    forget, entering, initial = (x.clone().requires_grad_() for x in parts[:3])
    sru.sru(forget, entering, initial)[1].sum().backward()
    rest = torch.flip(torch.cumprod(torch.flip(forget.detach(), (0,)), 0), (0,))
    assert initial.grad is not None and torch.allclose(initial.grad, rest[0])


def test_nothing_is_written_beyond_the_outputs() -> None:
    forget, entering, initial = inputs(3, torch.float32)[:3]
    states, final = torch.full((4, COLUMNS), torch.nan), torch.full((2, COLUMNS), torch.nan)
    sru.launch_forward(forget, entering, initial, states[:3], final[0])
    assert states[:3].isfinite().all() and states[3].isnan().all() and final[1].isnan().all()
    made = [torch.full((4, COLUMNS), torch.nan) for _ in range(3)]
    sru.launch_backward(
        forget, states[:3], initial, entering, final[0], made[0][:3], made[1][:3], made[2][0]
    )
    assert all(x[3].isnan().all() for x in made) and made[2][1].isnan().all()


def test_a_layer_is_the_same_with_the_kernel_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = SRULayer(6, 3)
    x = torch.randn(2, 5, 6)

    def outcome() -> list[Tensor]:
        layer.zero_grad()
        h = layer(x)
        h.square().sum().backward()
        return [h.detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]

    plain = outcome()
    monkeypatch.setattr(
        model.layers, "recurrence",
        lambda f, e, dim: sru.sru(f.transpose(0, dim), e.transpose(0, dim))[0].transpose(0, dim),
    )  # fmt: skip
    for got, wanted in zip(outcome(), plain, strict=True):
        assert torch.allclose(got, wanted, atol=1e-6)


def test_runs_plain_where_no_kernel_can(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = inputs(4, torch.float32)[:3]
    for name, value in (("INTERPRETED", False), ("triton", None)):
        with monkeypatch.context() as patch:
            patch.setattr(launch, name, value)
            patch.setattr(sru, "launch_forward", None)
            assert torch.equal(sru.sru(*parts)[0], sru.sru_plain(*parts)[0])


@pytest.mark.parametrize("run", [sru.sru, sru.sru_plain])
def test_what_does_not_fit_is_named(run: object) -> None:
    forget, entering, initial = inputs(4, torch.float32, columns=3)[:3]
    for given, says in (
        ((forget[:3], entering), r"forget is \[3, 3\], with entering \[4, 3\] is meant"),
        ((forget, entering, initial[:2]), r"initial is \[2\]"),
        ((forget.double(), entering), "forget is torch.float64 on cpu"),
        ((forget[:0], entering[:0]), r"entering is \[0, 3\]: the leading axis"),
        ((forget.int(), entering.int()), "entering is torch.int32, a floating type"),
    ):
        with pytest.raises(ValueError, match=says):
            run(*given)  # type: ignore[operator]


@pytest.mark.parametrize("dtype", ELEMENTS)
@pytest.mark.parametrize("arch", [80, 90])
def test_compiles_without_a_gpu(arch: int, dtype: torch.dtype, tmp_path: Path) -> None:
    pointer = f"*{ELEMENTS[dtype]}"
    constants = {"BLOCK": sru.COLUMNS, "WIDE": launch.wide(torch.empty(0, dtype=dtype))}
    forward = ("forget", "entering", "initial", "states", "final")
    backward = ("forget", "states", "initial", "d_states", "d_final", "d_forget", "d_entering",
                "d_initial")  # fmt: skip
    for kernel, tensors in ((sru._forward, forward), (sru._backward, backward)):
        made = compiled(kernel, dict.fromkeys(tensors, pointer), constants, arch, tmp_path)
        assert_is_code(made, arch)
        assert "cp.async" in made["ptx"]  # the rows to come are fetched ahead
