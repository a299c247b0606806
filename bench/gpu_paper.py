"""The published sizes on this device, with random weights: the paper's table of speeds again.

Speed does not depend on what the weights are. A window of four chunks goes through every pass, as
published; a pass is one CUDA graph. From nothing, T passes make a window of 10.24 s, which is how
the published figures were taken; the language model is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, pi, sin
from statistics import median
from typing import Any

import torch
from torch import nn

from bench.gpu_clock import Clock, captured
from engine.errors import UsageError
from model.autoencoder_paper import PAPER_TINY, PaperAutoencoder, PaperPreset, remove_weight_norm
from model.presets import PAPER, PRESETS, VelocityPreset
from model.velocity import VelocityNetwork

STEPS = (5, 10, 20)
PUBLISHED_V100 = {5: 7.5, 10: 4.4, 20: 2.4}
"""Times real time on a V100 (MeLoDy, table 2), language model included."""
TURN = pi / 20  # of one step; its size costs nothing
FORMS = ("float32", "tf32", "bfloat16")
"""In this order: the last one narrows the weights."""
PRODUCTS = (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)


@dataclass(frozen=True)
class Speed:
    """One row of the table."""

    form: str
    steps: int
    pass_s: float
    decode_s: float
    window_s: float  # of audio

    @property
    def cost_s(self) -> float:
        """Of a window from nothing."""
        return self.steps * self.pass_s + self.decode_s

    @property
    def times_real_time(self) -> float:
        """Audio made in a second."""
        return self.window_s / self.cost_s


class Paper:
    """Velocity network and decoder of the published sizes, or tiny ones of the same form."""

    def __init__(self, where: torch.device, *, tiny: bool = False) -> None:
        sizes: VelocityPreset = PRESETS["tiny-paper"].velocity if tiny else PAPER.velocity
        codec = PAPER_TINY if tiny else PaperPreset()
        self.where, self.audio = where, codec
        self.velocity = VelocityNetwork(sizes).to(where).eval().requires_grad_(False)
        self.decoder = PaperAutoencoder(codec).eval().requires_grad_(False)
        del self.decoder.encoder
        remove_weight_norm(self.decoder)
        self.decoder.to(where)
        self.frames = sizes.context_chunks * sizes.chunk_frames
        self.latents = torch.randn(1, self.frames, sizes.dim, device=where)
        self._angle = torch.full((1, self.frames), pi / 2, device=where)
        tokens = -(-self.frames // sizes.token_frames)
        self._tokens = torch.zeros(1, tokens, dtype=torch.int64, device=where)
        self._noise = self.latents.clone()

    @property
    def window_s(self) -> float:
        """Audio of a window."""
        return self.frames * self.audio.frame_samples / self.audio.sample_rate_hz

    def narrow(self) -> None:
        """Store the weights of products in bfloat16, so that autocast has none to convert."""
        for network in (self.velocity, self.decoder):
            for part in network.modules():
                if isinstance(part, PRODUCTS):
                    part.to(torch.bfloat16)

    def one_pass(self) -> None:
        """The whole window one rung down, in place."""
        velocity = self.velocity.window_pass(self.latents, self._angle, self._tokens)
        self.latents.copy_(cos(TURN) * self.latents - sin(TURN) * velocity)

    def decode(self) -> None:
        """The audio of the window."""
        self.decoder.decode(self._noise)


def measure(clock: Clock, *, tiny: bool = False) -> list[Speed]:
    """A row for every form and number of steps; UsageError where numbers are not finite."""
    paper = Paper(clock.where, tiny=tiny)
    forms = FORMS if clock.gpu else ("float32",)
    return [row for form in forms for row in _rows(paper, form, clock)]


def _rows(paper: Paper, form: str, clock: Clock) -> list[Speed]:
    if form == "bfloat16":
        paper.narrow()
    patience_s = min(20.0, max(clock.left_s / 6, 1.0))
    with torch.inference_mode(), torch.device(paper.where), arithmetic(form, clock.gpu):
        one = captured(paper.one_pass, paper.where)
        pass_s = median(clock.seconds(one, 50, patience_s=patience_s))
        decode = captured(paper.decode, paper.where)
        decode_s = median(clock.seconds(decode, 20, patience_s=patience_s))
    if not bool(torch.isfinite(paper.latents).all()):
        raise UsageError(f"the passes in {form} make numbers that are not finite")
    return [Speed(form, steps, pass_s, decode_s, paper.window_s) for steps in STEPS]


@contextmanager
def arithmetic(form: str, gpu: bool) -> Iterator[None]:
    """Inside, products are of this form; norms and recurrences keep float32 range."""
    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn] if gpu else []
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = form != "float32"
    narrow = form == "bfloat16"
    try:
        with torch.autocast("cuda", torch.bfloat16, enabled=narrow, cache_enabled=False):
            yield
    finally:
        for place, was in zip(places, before, strict=True):
            place.allow_tf32 = was
