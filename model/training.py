"""What every training command shares: a run folder that survives a kill, EMA, progress, a plot.

A run folder holds `checkpoint.pt` (everything needed to go on), `log.jsonl` (one line a
validation), `samples/` (audio and pictures as it goes) and `curve.png`. Checkpoints are written
beside and renamed, so a kill at any moment leaves the last whole one.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

LOG = "log.jsonl"
Network = TypeVar("Network", bound=nn.Module)


def run_options(
    p: argparse.ArgumentParser, *, minutes: float, batch: int, lr: float, validate_every: int
) -> None:
    """The options of a run: where, how long, how fast, on what. The figures are the defaults."""
    p.add_argument("--out", type=Path, required=True, help="run folder, resumed if it exists")
    p.add_argument("--steps", type=int, default=100_000)
    p.add_argument("--minutes", type=float, default=minutes)
    p.add_argument("--batch", type=int, default=batch)
    p.add_argument("--lr", type=float, default=lr)
    p.add_argument("--validate-every", type=int, default=validate_every)
    p.add_argument("--precision", choices=["bf16", "fp32"], default="bf16",
                   help="of the matrix products; weights stay fp32")  # fmt: skip
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)


class Average(Generic[Network]):
    """Exponential moving average of a network's parameters and buffers."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards `network`; faster in the first updates, so that the start is forgotten."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        pairs = zip(self.network.parameters(), network.parameters(), strict=True)
        for mine, theirs in pairs:
            mine.lerp_(theirs, 1 - decay)
        for held, now in zip(self.network.buffers(), network.buffers(), strict=True):
            held.copy_(now)


@dataclass(slots=True)
class Budget:
    """How long to train: whichever of the two ends first; the rate falls to zero with it."""

    steps: int
    minutes: float
    warmup: int = 100

    def progress(self, step: int, seconds: float) -> float:
        """Part of the budget that is spent, 0…1."""
        return min(1.0, max(step / self.steps, seconds / (60 * self.minutes)))

    def rate(self, step: int, seconds: float) -> float:
        """Factor on the learning rate: linear warm-up, then half a cosine down to 2 %."""
        fall = 0.5 * (1 + math.cos(math.pi * self.progress(step, seconds)))
        return min(1.0, (step + 1) / self.warmup) * max(0.02, fall)


def last_figures(folder: Path) -> dict[str, Any]:
    """The last line of the log of a run folder; nothing where there is none."""
    log = folder / LOG
    lines = log.read_text().splitlines() if log.exists() else []
    return dict(json.loads(lines[-1])) if lines else {}


@dataclass
class Run:
    """One training run on disk."""

    folder: Path
    budget: Budget
    save_every_s: float = 180.0
    step: int = 0
    seconds: float = 0.0
    _saved_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        (self.folder / "samples").mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Where the run's state lies."""
        return self.folder / "checkpoint.pt"

    @property
    def log_path(self) -> Path:
        """Where its figures lie, a line of JSON each time they are taken."""
        return self.folder / LOG

    def load(self, parts: dict[str, Any]) -> dict[str, Any] | None:
        """Resume: give each part its state back; the checkpoint, or None where there is none.

        Ends the command with a line if the folder holds weights to start from, but no training.
        """
        if not self.checkpoint.exists():
            return None
        state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
        if not parts.keys() <= state.keys():
            raise SystemExit(f"{self.folder} holds no training: name it as --init, not as --out")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]
        return state

    def save(self, parts: dict[str, Any], **extra: Any) -> None:
        """Write the checkpoint whole, or not at all."""
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"step": self.step, "seconds": self.seconds, **extra}
        beside = self.checkpoint.with_suffix(".part")
        torch.save(state, beside)
        os.replace(beside, self.checkpoint)
        self._saved_at = time.monotonic()

    @property
    def finished(self) -> bool:
        """Is the budget spent?"""
        return self.budget.progress(self.step, self.seconds) >= 1.0

    def due(self) -> bool:
        """Is it time to save?"""
        return time.monotonic() - self._saved_at > self.save_every_s

    def log(self, **figures: Any) -> None:
        """Append one line of figures."""
        line = {"step": self.step, "minutes": round(self.seconds / 60, 2), **figures}
        with self.log_path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def steps(self, optimisers: list[torch.optim.Optimizer]) -> Iterator[tqdm[Any]]:
        """Yield a progress bar once a step, until the budget is spent; sets learning rates."""
        base = [[group["lr"] for group in o.param_groups] for o in optimisers]
        bar_format = (
            "{desc} {percentage:5.1f}% |{bar:24}| {elapsed} done, {remaining} left {postfix}"
        )
        bar: tqdm[Any]
        with tqdm(total=1.0, bar_format=bar_format, mininterval=2.0) as bar:
            bar.update(self.budget.progress(self.step, self.seconds))
            while not self.finished:
                began = time.monotonic()
                rate = self.budget.rate(self.step, self.seconds)
                for optimiser, rates in zip(optimisers, base, strict=True):
                    for group, lr in zip(optimiser.param_groups, rates, strict=True):
                        group["lr"] = lr * rate
                yield bar
                self.step += 1
                self.seconds += time.monotonic() - began
                bar.set_description(f"step {self.step}")
                bar.update(self.budget.progress(self.step, self.seconds) - bar.n)
        for optimiser, rates in zip(optimisers, base, strict=True):
            for group, lr in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = lr

    def write_audio(self, name: str, audio: NDArray[np.float32], rate_hz: int) -> None:
        """An audible sample: float32 [samples, channels]."""
        path = self.folder / "samples" / f"{name}.flac"
        soundfile.write(path, np.clip(audio, -1, 1), rate_hz)

    def plot(self, names: list[str]) -> None:
        """curve.png: the named figures of log.jsonl against the minutes of training."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt

        lines = [json.loads(s) for s in self.log_path.read_text().splitlines()]
        figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 3.5), squeeze=False)
        for axis, name in zip(axes[0], names, strict=True):
            points = [(line["minutes"], line[name]) for line in lines if name in line]
            axis.plot(*zip(*points, strict=True) if points else ([], []))
            axis.set(xlabel="minutes", title=name)
            axis.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(self.folder / "curve.png", dpi=100)
        plt.close(figure)


def clip_and_step(optimiser: torch.optim.Optimizer, network: nn.Module, limit: float) -> float:
    """One optimiser step on clipped gradients; returns their norm. A norm of NaN is not taken."""
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), limit))
    if math.isfinite(norm):
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return norm


def tensor(audio: NDArray[np.float32]) -> Tensor:
    """float32 [B, samples, channels] -> tensor [B, channels, samples]."""
    return torch.from_numpy(np.ascontiguousarray(audio)).transpose(-1, -2).contiguous()


@contextmanager
def cores(threads: int, seed: int) -> Iterator[np.random.Generator]:
    """Inside: torch's threads and seeds set, denormals flushed; gives what draws the windows.

    Denormals are flushed for the whole process, so the end of the training ends that too.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    try:
        yield np.random.default_rng(seed)
    finally:
        torch.set_flush_denormal(False)
