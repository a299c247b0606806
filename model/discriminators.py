"""The two discriminators of the paper's VAE-GAN (MeLoDy, arXiv 2305.15719, appendix).

HiFi-GAN's multi-period one (arXiv 2010.05646) hears the waveform folded at five prime periods;
UnivNet's multi-resolution spectrogram one (arXiv 2106.07889) sees linear magnitudes. One dial,
`width`, the channels of the first layer: 32 as published, 8 trains on two cores.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from model.losses import (
    Judgement,
    Stft,
    discriminator_loss,
    feature_loss,
    generator_loss,
    power_spectrogram,
)
from model.training import clip_and_step

LIMIT = 5.0
"""Of the norm of the discriminators' gradient."""
PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (Stft(1024, 600, 120), Stft(2048, 1200, 240), Stft(512, 240, 50))
SLOPE = 0.1


def _conv(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
) -> nn.Module:
    """A weight-normalised 2-D convolution, padded to keep its stride exact."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding))


class Discriminator(nn.Module):
    """Convolutions, each followed by a leaky ReLU and kept as a feature, then a score."""

    def __init__(self, layers: list[nn.Module], score: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.score = score

    def judge(self, x: Tensor) -> Judgement:
        """x [N, 1, height, width] -> scores [N, 1, ...], features of every layer."""
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        score: Tensor = self.score(x)
        return score, [*features, score]


class PeriodDiscriminator(Discriminator):
    """The waveform folded into rows of one period; looks along columns only."""

    def __init__(self, period: int, width: int = 32) -> None:
        sizes = [1, width, 4 * width, 16 * width, 32 * width]
        layers = [_conv(a, b, (5, 1), (3, 1)) for a, b in pairwise(sizes)]
        layers.append(_conv(32 * width, 32 * width, (5, 1)))
        super().__init__(layers, _conv(32 * width, 1, (3, 1)))
        self.period = period

    def forward(self, audio: Tensor) -> Judgement:
        """audio [B, C, samples] -> judgement; the channels are judged one by one."""
        flat = audio.reshape(-1, 1, audio.shape[-1])
        flat = F.pad(flat, (0, -flat.shape[-1] % self.period), "reflect")
        return self.judge(flat.reshape(flat.shape[0], 1, -1, self.period))


class SpectrogramDiscriminator(Discriminator):
    """The linear magnitudes of one resolution."""

    def __init__(self, stft: Stft, width: int = 32) -> None:
        layers = [_conv(1, width, (3, 9))]
        layers += [_conv(width, width, (3, 9), (1, 2)) for _ in range(3)]
        layers.append(_conv(width, width, (3, 3)))
        super().__init__(layers, _conv(width, 1, (3, 3)))
        self.stft = stft

    def forward(self, audio: Tensor) -> Judgement:
        """audio [B, C, samples] -> judgement; the channels are judged one by one."""
        magnitude = power_spectrogram(audio, self.stft).clamp(min=1e-9).sqrt()
        return self.judge(magnitude[:, None])


class Discriminators(nn.Module):
    """All of them: periods 2, 3, 5, 7, 11 and three spectrograms."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.all = nn.ModuleList(
            [PeriodDiscriminator(period, width) for period in PERIODS]
            + [SpectrogramDiscriminator(stft, width) for stft in RESOLUTIONS]
        )

    def forward(self, audio: Tensor) -> list[Judgement]:
        """audio [B, C, samples] -> one judgement a discriminator."""
        return [discriminator(audio) for discriminator in self.all]


def both(
    discriminators: Discriminators, real: Tensor, fake: Tensor
) -> tuple[list[Judgement], list[Judgement]]:
    """Judgements of real and of made audio [B, C, samples], in one pass over both."""
    count = real.shape[0] * real.shape[1]
    judged = discriminators(torch.cat([real, fake]))
    reals = [(score[:count], [f[:count] for f in features]) for score, features in judged]
    fakes = [(score[count:], [f[count:] for f in features]) for score, features in judged]
    return reals, fakes


def teach(
    judges: Discriminators, optimiser: torch.optim.Optimizer, audio: Tensor, copy: Tensor
) -> None:
    """One step of the discriminators; audio and its copy [B, C, samples], which learns nothing."""
    real, fake = both(judges, audio, copy.detach())
    discriminator_loss(real, fake).backward()  # type: ignore[no-untyped-call]
    clip_and_step(optimiser, judges, LIMIT)


def opinion(judges: Discriminators, audio: Tensor, copy: Tensor) -> tuple[Tensor, Tensor]:
    """Feature matching and least squares loss of a copy; the gradient passes the judges by."""
    judges.requires_grad_(False)
    real, fake = both(judges, audio, copy)
    judges.requires_grad_(True)
    return feature_loss(real, fake), generator_loss(fake)
