"""ONNX operators with weights: products, convolutions, norms, spectra, and the scan."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.onnx_model import Graph, Node
from engine.backends.torch.ops import Known, Run, number, operator, refused, text, whole, wholes
from engine.backends.torch.unroll import TURNED

CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d}
TRANSPOSED = {3: F.conv_transpose1d, 4: F.conv_transpose2d}
"""By the rank of what enters."""


@operator("MatMul")
def _matmul(node: Node, known: Known) -> Run:
    return torch.matmul


@operator("Gemm")
def _gemm(node: Node, known: Known) -> Run:
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    turn_a, turn_b = whole(node, "transA", 0), whole(node, "transB", 0)

    def gemm(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = a.T if turn_a else a, b.T if turn_b else b
        if c is None:
            return alpha * (a @ b)
        return torch.addmm(c, a, b, beta=beta, alpha=alpha)

    return gemm


@operator("Conv")
def _conv(node: Node, known: Known) -> Run:
    group, strides = whole(node, "group", 1), wholes(node, "strides", (1,))
    dilations, pads = wholes(node, "dilations", (1,)), wholes(node, "pads", (0, 0))
    if text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise refused(node, "that pads by itself")
    axes = len(pads) // 2
    uneven = pads[:axes] != pads[axes:]
    flat = [n for i in reversed(range(axes)) for n in (pads[i], pads[i + axes])]

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = F.pad(x, flat) if uneven else x
        run: Any = CONVOLUTIONS[x.dim()]
        around = 0 if uneven else pads[:axes]
        return run(x, weight, bias, strides, around, dilations, group)  # type: ignore[no-any-return]

    return conv


@operator("ConvTranspose")
def _conv_transpose(node: Node, known: Known) -> Run:
    pads = wholes(node, "pads", (0, 0))
    axes = len(pads) // 2
    if pads[:axes] != pads[axes:] or "output_shape" in node.attributes:
        raise refused(node, "with uneven edges")
    strides, more = wholes(node, "strides", (1,)), wholes(node, "output_padding", (0,))
    group, dilations = whole(node, "group", 1), wholes(node, "dilations", (1,))

    def spread(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        run: Any = TRANSPOSED[x.dim()]
        return run(x, weight, bias, strides, pads[:axes], more, group, dilations)  # type: ignore[no-any-return]

    return spread


@operator("LayerNormalization")
def _layer_norm(node: Node, known: Known) -> Run:
    axis, epsilon = whole(node, "axis", -1), number(node, "epsilon", 1e-5)

    def norm(x: Tensor, gain: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.layer_norm(x, x.shape[axis:], gain, bias, epsilon)

    return norm


@operator("RMSNormalization")
def _rms_norm(node: Node, known: Known) -> Run:
    axis, epsilon = whole(node, "axis", -1), number(node, "epsilon", 1e-5)
    return lambda x, gain: F.rms_norm(x, x.shape[axis:], gain, epsilon)


@operator("BatchNormalization")
def _batch_norm(node: Node, known: Known) -> Run:
    if whole(node, "training_mode", 0):
        raise refused(node, "in training")
    epsilon = number(node, "epsilon", 1e-5)
    return lambda x, gain, bias, mean, var: F.batch_norm(x, mean, var, gain, bias, eps=epsilon)


@operator("STFT")
def _stft(node: Node, known: Known) -> Run:
    """Signal [B, L, 1] -> [B, frames, bins, 2], real and imaginary."""
    (step,) = known.numbers(1)
    half = bool(whole(node, "onesided", 1))

    def spectra(signal: Tensor, _: Tensor, window: Tensor, *__: Tensor) -> Tensor:
        frames = signal.squeeze(-1).unfold(1, window.shape[0], step) * window
        return torch.view_as_real(torch.fft.rfft(frames) if half else torch.fft.fft(frames))

    return spectra


def is_recurrence(node: Node) -> bool:
    """Is it a Scan c ← f·c + e, with c as its state, and c what leaves it?"""
    body = node.attributes.get("body")
    turned = any(any(wholes(node, name, ())) for name in TURNED)
    if not isinstance(body, Graph) or turned:
        return False
    names = {name: name for name in body.inputs}
    nodes = []
    for node in body.nodes:
        if node.op == "Identity":
            names[node.outputs[0]] = names.get(node.inputs[0], node.inputs[0])
        else:
            nodes.append(node)
            names[node.outputs[0]] = node.outputs[0]
    if [node.op for node in nodes] != ["Mul", "Add"] or len(body.inputs) != 3:
        return False
    product, total = nodes
    state, forget, entering = body.inputs
    return (
        {names.get(n) for n in product.inputs} == {state, forget}
        and {names.get(n) for n in total.inputs} == {product.outputs[0], entering}
        and all(names.get(n) == total.outputs[0] for n in body.outputs)
        and len(body.outputs) == 2
    )


@operator("Scan")
def _scan(node: Node, known: Known) -> Run:
    """The recurrence of the SRU, by the kernel where there is a GPU; others are unrolled before."""
    from kernels.sru import sru  # loads Triton where there is one

    def recur(initial: Tensor, forget: Tensor, entering: Tensor) -> tuple[Tensor, Tensor]:
        states, final = sru(forget.contiguous(), entering.contiguous(), initial.contiguous())
        return final, states

    return recur
