"""The graphs of a bundle as files: each in every form it has, over one file of weights.

`graph.onnx` is the exact form, with recurrences as one Scan; `graph.unrolled.onnx` has them step
by step, for accelerators and for CPUs, which are faster with it; `graph.int8.onnx` has int8
products, and what it looks back on is marked (`model.layers.marked`). Graphs for chunks of another
size carry it in their names: `graph.8.onnx`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from engine.tensors import GraphSpec
from export import integer
from export.graphs import Graph
from export.onnx_graph import to_onnx
from export.parity import LIMIT, measure
from export.streams import CHUNKS
from export.weights import Pool, note_names

COARSE = ("velocity", "descend", "write")
"""What weighs most in a tick: these have a form with int8 products."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Forms:
    """What is written beside the exact form: of the velocity network, of what weighs most."""

    accelerator: bool = True
    int8: bool = False

    def of(self, graph: Graph, stem: str) -> dict[str, str]:
        """The file of each form of a graph, by what plays it."""
        forms = {}
        if self.accelerator and graph.name == "velocity":
            forms = dict.fromkeys(("cpu", "accelerator"), f"{stem}.unrolled.onnx")
        if self.int8 and graph.name in COARSE:
            forms["int8"] = f"{stem}.int8.onnx"
        return forms


def coarse(graph: Graph, scan: bool) -> tuple[ir.Model, int]:
    """The form that a CPU plays, and how many of its products are in int8."""
    model = traced(graph, scan, marking=True)
    return model, integer.in_int8(model)


def traced(graph: Graph, scan: bool, marking: bool = False) -> ir.Model:
    """A graph in one form, that knows what its weights are called in torch."""
    model = to_onnx(graph, scan, marking)
    note_names(model, graph.module)
    return model


class GraphWriter:
    """Writes graphs into a folder; `finish` writes their weights and compares them with torch."""

    def __init__(self, folder: Path, forms: Forms, say: Say) -> None:
        self._folder, self._forms, self._say = folder, forms, say
        self._pool = Pool(folder / "weights.data")
        self._written: list[tuple[Graph, str]] = []

    def write(self, graph: Graph, stem: str = "") -> GraphSpec:
        """Every form of a graph; its entry in the manifest."""
        stem = stem or graph.name
        plain, forms = f"{stem}.onnx", self._forms.of(graph, stem)
        made = {plain: self._traced(graph, plain, scan=True)}
        if "cpu" in forms:
            made[forms["cpu"]] = self._traced(graph, forms["cpu"], scan=False)
        if "int8" in forms:
            made[forms["int8"]] = self._coarse(graph, forms["int8"], scan="cpu" not in forms)
        for file, model in made.items():
            self._pool.take(model)
            ir.save(model, self._folder / file)
            self._written.append((graph, file))
        return graph.spec(plain, forms)

    def _traced(self, graph: Graph, file: str, scan: bool) -> ir.Model:
        self._say(f"{file}: exporting")
        return traced(graph, scan)

    def _coarse(self, graph: Graph, file: str, scan: bool) -> ir.Model:
        self._say(f"{file}: exporting")
        model, count = coarse(graph, scan)
        self._say(f"{file}: {count} products in int8")
        return model

    def finish(self) -> dict[str, float | str]:
        """Write the weights; how far each file is from torch, or BundleError."""
        self._pool.write()
        figures: dict[str, float | str] = {}
        for graph, file in self._written:
            limit = integer.LIMIT if file.endswith(".int8.onnx") else LIMIT
            parity = measure(graph, self._folder / file, limit=limit)
            figures |= parity.figures(file.removesuffix(".onnx"))
            self._say(f"{file}: {parity.against_torch:.1e} from torch over {CHUNKS} chunks")
        return figures
