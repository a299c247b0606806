"""Does the exported graph say what torch says? Streamed, against float32 and against float64.

Every form carries its own states through the whole stream, so that errors may add up as they
would in use. An error is max |difference| / max |reference| over everything that came out.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from engine.clock import SIXTEENTHS, clock_rows
from engine.errors import BundleError
from export.graphs import Arrays, Graph, form
from export.prompting import language_graph
from export.streams import CHUNKS, TOKENS, Array, Run, stream, stream_tokens
from model.language import LanguageModel

LIMIT = 1e-4
"""Largest relative error of ONNX Runtime against torch that may ship."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Relative errors of one exported graph."""

    against_torch: float
    against_float64: float
    torch_against_float64: float

    def figures(self, graph: str) -> dict[str, float]:
        """For the manifest's `measured`."""
        return {
            f"parity.{graph}.ort_torch": self.against_torch,
            f"parity.{graph}.ort_float64": self.against_float64,
            f"parity.{graph}.torch_float64": self.torch_against_float64,
        }


def in_torch(graph: Graph, dtype: torch.dtype) -> Run:
    """Run the graph in torch at float32 or float64; arrays come and go at that precision."""
    module = copy.deepcopy(graph.module).to(dtype).eval()

    def run(feeds: Arrays) -> Arrays:
        tensors = {name: torch.from_numpy(np.asarray(x)) for name, x in feeds.items()}
        tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
        with torch.no_grad(), form(module, scan=False):
            return {name: value.numpy() for name, value in module(tensors).items()}

    return run


def in_onnxruntime(path: Path) -> Run:
    """Run an exported file on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(feeds: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, feeds), strict=True))

    return run


def relative(found: Array, wanted: Array) -> float:
    """max |found - wanted| / max |wanted|; infinite where anything is not finite."""
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def measure(graph: Graph, path: Path, chunks: int = CHUNKS, limit: float = LIMIT) -> Parity:
    """Compare the exported file with torch; BundleError past the limit."""
    ort, single, double = (
        stream(graph, run, chunks)
        for run in (
            in_onnxruntime(path), in_torch(graph, torch.float32), in_torch(graph, torch.float64)
        )
    )  # fmt: skip
    parity = Parity(relative(ort, single), relative(ort, double), relative(single, double))
    if not parity.against_torch <= limit:
        raise BundleError(
            f"{path.name}: ONNX Runtime differs from torch by {parity.against_torch:.2g} "
            f"relative over {chunks} streamed chunks, at most {limit:g} may ship"
        )
    return parity


def measure_whole(language: LanguageModel, folder: Path) -> float:
    """The exported language model, token by token, against torch's pass over the whole.

    BundleError past the limit.
    """
    rng, count = np.random.default_rng(5), TOKENS * CHUNKS
    codes = rng.integers(0, language.preset.code_vocabulary, (1, language.preset.codes))
    tokens = rng.integers(0, language.preset.vocabulary, (1, count))
    brief = (rng.random((1, language.brief)) < 0.1).astype(np.float32)
    prefix = in_onnxruntime(folder / "prefix.onnx")({"codes": codes})["prefix"]
    run = in_onnxruntime(folder / "language.onnx")
    clock = clock_rows(rng.random(count) * SIXTEENTHS)[None]
    held = {"brief": brief, "prefix": prefix}
    found = stream_tokens(run, language_graph(language), tokens, clock, held)
    with torch.no_grad():
        every = torch.from_numpy(brief)[:, None].expand(-1, count, -1)
        wanted = language.whole_pass(
            torch.from_numpy(tokens), every, torch.from_numpy(clock), torch.from_numpy(codes)
        )
    error = relative(found, wanted.numpy().ravel())
    if not error <= LIMIT:
        raise BundleError(
            f"language.onnx: token by token it differs from the whole pass by {error:.2g} "
            f"relative over {count} tokens, at most {LIMIT:g} may ship"
        )
    return error
