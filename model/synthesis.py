"""From spectra to windows of sound: phases that a frame counter determines, and two transforms."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOWEST_HZ = 27.5
"""Of the oscillators: A0."""
CLOCK_SECONDS = 60
"""The clock wraps after this time; every oscillator makes a whole number of turns in it."""


class Clock(nn.Module):
    """Phases that a frame counter alone determines: oscillators on a grid of pitches, and noise.

    The counter wraps after CLOCK_SECONDS. An oscillator makes a whole number of turns in that
    time, so months of playing lose no precision; the noise is a quadratic phase in whole numbers,
    a different one for every bin of every source, flat and without a period that could be heard.
    """

    turns: Tensor
    chirps: Tensor

    def __init__(
        self, rate_hz: int, hop: int, bins: int, sources: int, per_octave: int, octaves: int
    ) -> None:
        super().__init__()
        self.rate_hz = rate_hz
        self.period = rate_hz // hop * CLOCK_SECONDS
        self.count = per_octave * octaves
        steps = torch.arange(self.count, dtype=torch.float64) / max(per_octave, 1)
        turns = torch.round(LOWEST_HZ * 2.0**steps * CLOCK_SECONDS).to(torch.int64)
        random = torch.Generator().manual_seed(bins)
        chirps = torch.randint(1, self.period, (2, sources, bins), generator=random)
        self.register_buffer("turns", turns, persistent=False)
        self.register_buffer("chirps", chirps, persistent=False)

    @property
    def hz(self) -> Tensor:
        """float64 [count]: pitches of the oscillators."""
        return self.turns.double() / CLOCK_SECONDS

    def tonal(self, ticks: Tensor) -> Tensor:
        """ticks int64 [spectra] -> phases [spectra, count] of the oscillators, in radians."""
        return self._radians(ticks[:, None] * self.turns[None, :])

    def noise(self, ticks: Tensor) -> Tensor:
        """ticks int64 [spectra] -> phases [spectra, sources, bins] that look random, in radians."""
        square, linear = self.chirps.unbind(0)
        ticks = ticks[:, None, None]
        return self._radians(ticks * (ticks * square + linear))

    def _radians(self, turned: Tensor) -> Tensor:
        scale = 2 * math.pi / self.period
        return torch.remainder(turned, self.period).double() * scale

    def basis(self, samples: int) -> Tensor:
        """[2·count, samples]: what the real and imaginary unit of each adds to one window."""
        n = torch.arange(samples, dtype=torch.float64)
        phase = 2 * math.pi * self.turns.double()[:, None] * n / (CLOCK_SECONDS * self.rate_hz)
        return torch.cat([torch.cos(phase), -torch.sin(phase)]).float()


class InverseTransform(nn.Module):
    """One-sided spectra to real windows, orthonormal, in two stages of short products.

    Cooley and Tukey's step for N = rows · columns, k = k₁ + rows·k₂, n = columns·n₁ + n₂: sums over
    k₂, a turn by k₁·n₂/N, sums over k₁. For N = 1,920 that is a tenth of the one product with
    the whole table, and unlike a transform of the runtime's it is exact on every backend.
    """

    inner: Tensor
    twist: Tensor
    outer: Tensor
    edges: Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.rows = max(n for n in range(1, math.isqrt(samples) + 1) if samples % n == 0)
        self.columns = samples // self.rows
        self.bins = samples // 2 + 1
        self.depth = -(-self.bins // self.rows)  # values of k₂ that a one-sided spectrum has
        within = self._waves(self.depth, self.columns, self.columns)
        across = self._waves(self.rows, self.rows, self.rows)
        edges = torch.full((self.bins,), 2.0 / math.sqrt(samples), dtype=torch.float64)
        edges[[0, -1]] /= 2
        for name, table in (
            ("inner", _complex_product(within)),  # [2·depth, 2·columns]
            ("twist", torch.stack(self._waves(self.rows, self.columns, samples))),
            ("outer", torch.cat([across[0], -across[1]], dim=1)),  # [rows, 2·rows]
            ("edges", edges),
        ):
            self.register_buffer(name, table.float(), persistent=False)

    @staticmethod
    def _waves(one: int, other: int, turn: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine [one, other] of 2π·j·k/turn."""
        product = torch.arange(one)[:, None] * torch.arange(other)[None, :]
        phase = torch.remainder(product, turn).double() * (2 * math.pi / turn)
        return torch.cos(phase), torch.sin(phase)

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Both [..., samples/2 + 1] -> windows [..., samples]."""
        missing = self.depth * self.rows - self.bins
        parts = [F.pad(x * self.edges, (0, missing)).unflatten(-1, (self.depth, self.rows))
                 for x in (real, imaginary)]  # fmt: skip
        sums = torch.cat(parts, dim=-2).transpose(-1, -2) @ self.inner  # [..., rows, 2·columns]
        re, im = sums.chunk(2, dim=-1)
        cosine, sine = self.twist.unbind(0)
        turned = torch.cat([re * cosine - im * sine, re * sine + im * cosine], dim=-2)
        return (self.outer @ turned).flatten(-2)


def _complex_product(waves: tuple[Tensor, Tensor]) -> Tensor:
    """What multiplies [real, imaginary] by e^{iφ} and sums, as one real table."""
    cosine, sine = waves
    return torch.cat([torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)])
