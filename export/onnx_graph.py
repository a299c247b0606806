"""A `Graph` as an ONNX model, by torch's dynamo exporter.

The exporter's own optimiser stays off: it deletes `x + ε` for ε ≤ 1e-8, which turns the log
spectra of silence into -inf. What is safe of it (inlining, folding of small constants, common
subexpressions) runs here and makes a pass twice as fast; the rest is ONNX Runtime's work.
"""

from __future__ import annotations

import logging
import warnings

import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript import optimizer

from export.graphs import Graph, form

OPSET = 20
EXAMPLE_SIZES = {"batch": 2, "chunks": 3, "frames": 5, "tokens": 9, "words": 6, "n": 4,
                 "rungs": 8}  # fmt: skip
"""Sizes of free axes while tracing: any but 0 and 1, which the tracer takes for constants, and such
that the passes behind the first, rungs - 1, are no size of a network: they would be one to it."""


def to_onnx(graph: Graph, scan: bool, marking: bool = False) -> ir.Model:
    """The graph in one `form`, with its weights inside, free axes where its tensors have names for
    them.
    """
    sizes = {**EXAMPLE_SIZES, "samples": EXAMPLE_SIZES["frames"] * graph.unit_samples}
    free = torch.export.Dim.DYNAMIC
    dynamic = {
        tensor.name: {i: free for i, axis in enumerate(tensor.shape) if isinstance(axis, str)}
        for tensor in graph.entering
    }
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with (
        form(graph.module, scan and not graph.unrolled, marking),
        # With free axes torch's cache of shapes costs more than it saves: a third of the time.
        torch._dynamo.config.patch(fake_tensor_cache_enabled=False),
        torch.no_grad(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.module.eval(), (), kwargs={"feeds": graph.example(sizes)}, dynamo=True,
            opset_version=OPSET, optimize=False, verbose=False,
            dynamic_shapes={"feeds": dynamic},
            input_names=[tensor.name for tensor in graph.entering],
            output_names=list(graph.leaving),
        )  # fmt: skip
    assert program is not None
    tidy(program.model)
    program.model.graph.name = graph.name
    return program.model


def tidy(model: ir.Model) -> None:
    """Inline, fold and deduplicate, in place; changes no figure."""
    passes.InlinePass()(model)
    optimizer.fold_constants(model)
    ir.passes.Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
        passes.ClearMetadataAndDocStringPass(),
    )(model)
    turn_matrices(model)


def turn_matrices(model: ir.Model) -> None:
    """Let every product read its stored matrix as it lies, not transposed, in place.

    A product of rows exports as Gemm with a transposed factor, one of more axes as MatMul with a
    factor that was transposed before, and what several graphs read is not folded: turned, those
    that share a network share what is stored.
    """
    for node in list(model.graph.all_nodes()):
        turn = node.attributes.get("transB") if node.op_type == "Gemm" else None
        if turn is not None and turn.as_int() and _is_stored(node.inputs[1]):
            node.replace_input_with(1, _turned(model, node.inputs[1]))
            node.attributes["transB"] = ir.AttrInt64("transB", 0)
        order = node.attributes.get("perm") if node.op_type == "Transpose" else None
        if order is not None and tuple(order.as_ints()) == (1, 0) and _is_stored(node.inputs[0]):
            turned = _turned(model, node.inputs[0])
            ir.convenience.replace_all_uses_with(node.outputs[0], turned)
            assert node.graph is not None
            node.graph.remove(node, safe=True)
    for name, value in list(model.graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del model.graph.initializers[name]


def _is_stored(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None


def _turned(model: ir.Model, matrix: ir.Value | None) -> ir.Value:
    """The transpose of a stored matrix, stored too."""
    assert matrix is not None and matrix.const_value is not None
    initializers, name = model.graph.initializers, f"{matrix.name}.turned"
    if name not in initializers:
        turned = matrix.const_value.numpy().T.copy()
        tensor = ir.tensor(turned, name=name)
        kind, shape = ir.TensorType(tensor.dtype), ir.Shape(turned.shape)
        model.graph.register_initializer(
            ir.Value(name=name, shape=shape, type=kind, const_value=tensor)
        )
    return initializers[name]
