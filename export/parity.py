"""Does the exported graph say what torch says? Streamed, against float32 and against float64.

Every form carries its own states through the whole stream, so that errors may add up as they
would in use. An error is max |difference| / max |reference| over everything that came out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from engine.errors import BundleError
from export.graphs import Arrays, Graph, recurrence

LIMIT = 1e-4
"""Largest relative error of ONNX Runtime against torch that may ship."""
CHUNKS = 20

Array = npt.NDArray[Any]
Run = Callable[[Arrays], Arrays]


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
        with torch.no_grad(), recurrence(module, scan=False):
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


def stream(graph: Graph, run: Run, frame_samples: int, chunks: int = CHUNKS) -> Array:
    """Everything the graph says about a fixed stream, flat."""
    if graph.name == "encoder":
        audio = take(chunks * 16 * frame_samples, int(graph.inputs[0].shape[1]))
        return run({"audio": audio})["latents"].ravel()
    if graph.name == "decoder":
        return _stream_decoder(graph, run, chunks)
    if graph.states:
        return _stream_cached(graph, run, chunks)
    return _stream_window(graph, run, chunks)


def take(samples: int, channels: int) -> npt.NDArray[np.float32]:
    """[1, channels, samples]: noise that swells over 60 dB, a sine, then digital silence."""
    rng = np.random.default_rng(0)
    swell = 10.0 ** np.linspace(-3.5, -0.5, samples)
    audio = rng.standard_normal((1, channels, samples)) * swell
    audio += 0.1 * np.sin(0.07 * np.arange(samples))
    audio[..., -samples // 4 :] = 0.0
    return np.clip(audio, -1, 1).astype(np.float32)


def _stream_decoder(graph: Graph, run: Run, chunks: int) -> Array:
    """Latents in pieces of uneven length."""
    rng = np.random.default_rng(1)
    states, heard = graph.initial_states(), []
    for index in range(chunks):
        frames = (16, 1, 7)[index % 3]
        feeds = _noise(graph, rng, {"frames": frames}) | states
        after = run(feeds)
        heard.append(after["audio"].ravel())
        states = {s.name: after[s.next_name] for s in graph.states}
    return np.concatenate(heard)


def _stream_cached(graph: Graph, run: Run, chunks: int) -> Array:
    """For each chunk a pass with one to three chunks in flight, then its commit."""
    rng = np.random.default_rng(2)
    states, said = graph.initial_states(), []
    slots = graph.inputs[3].resolve({})[1]
    filled = np.zeros((1, slots), np.float32)
    assert graph.position_period is not None
    for index in range(chunks):
        position = (graph.position_period - chunks // 2 + index) % graph.position_period
        told = {"position": np.array([position]), "filled": filled}
        flying = _noise(graph, rng, {"chunks": 1 + index % 3, "tokens": 3}) | told
        said.append(run(flying | states)["velocity"].ravel())
        oldest = {name: x[:, :1] for name, x in flying.items() if name not in told} | told
        after = run(oldest | states)
        said.append(after["velocity"].ravel())
        _commit(graph, states, after, index % slots)
        filled[0, index % slots] = 1.0
    return np.concatenate(said)


def _commit(graph: Graph, states: Arrays, after: Arrays, slot: int) -> None:
    """Ring states take the first chunk of the run into their slot; plain ones are replaced."""
    for state in graph.states:
        new = after[state.next_name]
        if state.ring_axis is None:
            states[state.name] = new
        else:
            ring = states[state.name].astype(new.dtype)
            np.moveaxis(ring, state.ring_axis, 0)[slot] = np.moveaxis(new, state.ring_axis, 0)[0]
            states[state.name] = ring


def _stream_window(graph: Graph, run: Run, chunks: int) -> Array:
    """One whole window after the other."""
    rng = np.random.default_rng(3)
    return np.concatenate(
        [run(_noise(graph, rng, {"tokens": 3}))["velocity"].ravel() for _ in range(chunks)]
    )


def _noise(graph: Graph, rng: np.random.Generator, sizes: dict[str, int]) -> Arrays:
    """N(0, 1) latents and guide, angles in 0…π/2, tokens; not `position` and `filled`."""
    feeds: Arrays = {}
    for tensor in graph.inputs:
        if tensor.name in ("position", "filled"):
            continue
        shape = tensor.resolve(sizes)
        if tensor.dtype == "int64":
            feeds[tensor.name] = rng.integers(0, 8, shape)
        elif tensor.name == "angle":
            feeds[tensor.name] = rng.uniform(0, np.pi / 2, shape).astype(np.float32)
        else:
            feeds[tensor.name] = rng.standard_normal(shape, np.float32)
    return feeds


def relative(found: Array, wanted: Array) -> float:
    """max |found - wanted| / max |wanted|; infinite where anything is not finite."""
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def measure(graph: Graph, path: Path, frame_samples: int, chunks: int = CHUNKS) -> Parity:
    """Compare the exported file with torch; BundleError past the limit."""
    ort, single, double = (
        stream(graph, run, frame_samples, chunks)
        for run in (
            in_onnxruntime(path), in_torch(graph, torch.float32), in_torch(graph, torch.float64)
        )
    )  # fmt: skip
    parity = Parity(relative(ort, single), relative(ort, double), relative(single, double))
    if not parity.against_torch <= LIMIT:
        raise BundleError(
            f"{path.name}: ONNX Runtime differs from torch by {parity.against_torch:.2g} "
            f"relative over {chunks} streamed chunks, at most {LIMIT:g} may ship"
        )
    return parity
