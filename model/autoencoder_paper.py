"""The audio VAE-GAN as published (MeLoDy, arXiv 2305.15719, appendix): 24 kHz to 250 Hz × 16.

A down-sampling encoder and a HiFi-GAN decoder (arXiv 2010.05646). It is the reference; what
plays live is `model.autoencoder`, with the same interface. Latents z travel in the units of the
posterior; the published clamp(z/3, -1, 1) stands at the decoder's door and is idempotent.

Published are strides, channels, kernels and the parameter counts of the whole (40.0 M and
60.1 M). Inferred here, from the counts: an encoder stage enters with the published channels,
leaves with twice as many and refines what leaves; a decoder stage mirrors it, refines what
enters and leaves with half as many. Refining is HiFi-GAN's multi-receptive-field stack, whose
kernels (`*_stack`) are the ones that come closest to the counts: 39.3 M and 59.9 M.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

EDGE_KERNEL = 7
DILATIONS = (1, 3, 5)
SLOPE = 0.1
BOUND = 3.0


@dataclass(frozen=True, slots=True)
class PaperPreset:
    """Sizes of the VAE-GAN; encoder and decoder lists run from input to output."""

    sample_rate_hz: int = 24000
    channels: int = 1
    dim: int = 16
    strides: tuple[int, ...] = (2, 3, 4, 4)
    encoder_channels: tuple[int, ...] = (32, 64, 128, 256)
    encoder_kernels: tuple[int, ...] = (5, 7, 9, 9)
    encoder_stack: tuple[int, ...] = (7, 11)
    rates: tuple[int, ...] = (4, 4, 3, 2)
    decoder_channels: tuple[int, ...] = (768, 384, 192, 96)
    decoder_kernels: tuple[int, ...] = (9, 9, 5, 7)
    decoder_stack: tuple[int, ...] = (5, 7)
    snake: bool = False

    def __post_init__(self) -> None:
        if prod(self.strides) != prod(self.rates):
            raise ValueError(
                f"the encoder takes {prod(self.strides)} samples a frame, the decoder makes "
                f"{prod(self.rates)}: strides {self.strides} and rates {self.rates} must agree"
            )

    @property
    def heard_part(self) -> int:
        """It hears every sample."""
        return 1

    @property
    def frame_samples(self) -> int:
        """Samples in one latent frame: 96, which is 1/250 s at 24 kHz."""
        return prod(self.strides)

    @property
    def latent_rate_hz(self) -> int:
        """Latent frames a second."""
        return self.sample_rate_hz // self.frame_samples


PAPER = PaperPreset()
PAPER_TINY = PaperPreset(
    sample_rate_hz=9600, encoder_channels=(4, 8, 16, 32), encoder_stack=(3,),
    decoder_channels=(48, 24, 12, 6), decoder_stack=(3,),
)  # fmt: skip


class Snake(nn.Module):
    """x + sin²(αx)/α with a learned α a channel (arXiv 2006.08195): holds periodic sound."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, channels, samples] -> the same shape."""
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


def activation(channels: int, snake: bool) -> nn.Module:
    """Snake, or the plain leaky ReLU of HiFi-GAN."""
    return Snake(channels) if snake else nn.LeakyReLU(SLOPE)


def same(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Module:
    """A weight-normalised convolution that keeps the length."""
    padding = dilation * (kernel - 1) // 2
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation))


def down(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    """A convolution to exactly samples/stride, for an odd kernel above its stride."""
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2))


def up(inputs: int, outputs: int, kernel: int, rate: int) -> nn.Module:
    """A transposed convolution to exactly samples·rate."""
    extra = (kernel - rate) % 2
    padding = (kernel - rate + extra) // 2
    return weight_norm(nn.ConvTranspose1d(inputs, outputs, kernel, rate, padding, extra))


class Residual(nn.Module):
    """HiFi-GAN's residual block of one kernel: a dilated and a plain convolution, three times."""

    def __init__(self, channels: int, kernel: int, snake: bool) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(
            nn.Sequential(
                activation(channels, snake), same(channels, channels, kernel, dilation),
                activation(channels, snake), same(channels, channels, kernel),
            )
            for dilation in DILATIONS
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """x [B, channels, samples] -> the same shape."""
        for pair in self.pairs:
            x = x + pair(x)
        return x


class Stack(nn.Module):
    """Multi-receptive-field fusion: the mean of residual blocks of several kernels."""

    def __init__(self, channels: int, kernels: tuple[int, ...], snake: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Residual(channels, kernel, snake) for kernel in kernels)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, channels, samples] -> the same shape."""
        return torch.stack([block(x) for block in self.blocks]).mean(0)


class PaperEncoder(nn.Module):
    """Audio to the mean and log variance of its latents."""

    def __init__(self, preset: PaperPreset) -> None:
        super().__init__()
        layers = [same(preset.channels, preset.encoder_channels[0], EDGE_KERNEL)]
        for channels, kernel, stride in zip(
            preset.encoder_channels, preset.encoder_kernels, preset.strides, strict=True
        ):
            layers += [
                activation(channels, preset.snake),
                down(channels, 2 * channels, kernel, stride),
                Stack(2 * channels, preset.encoder_stack, preset.snake),
            ]
        last = 2 * preset.encoder_channels[-1]
        layers += [activation(last, preset.snake), same(last, 2 * preset.dim, EDGE_KERNEL)]
        self.layers = nn.Sequential(*layers)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """audio [B, C, samples], whole frames -> mean, log variance, each [B, frames, dim]."""
        mean, log_variance = self.layers(audio).transpose(1, 2).chunk(2, dim=-1)
        return mean, log_variance.clamp(-12.0, 4.0)


class PaperDecoder(nn.Module):
    """Bounded latents to audio; looks both ways."""

    def __init__(self, preset: PaperPreset) -> None:
        super().__init__()
        layers = [same(preset.dim, preset.decoder_channels[0], EDGE_KERNEL)]
        for channels, kernel, rate in zip(
            preset.decoder_channels, preset.decoder_kernels, preset.rates, strict=True
        ):
            layers += [
                Stack(channels, preset.decoder_stack, preset.snake),
                activation(channels, preset.snake),
                up(channels, channels // 2, kernel, rate),
            ]
        last = preset.decoder_channels[-1] // 2
        layers += [activation(last, preset.snake), same(last, preset.channels, EDGE_KERNEL)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """latents [B, frames, dim] in [-1, 1] -> audio [B, C, samples] in (-1, 1)."""
        return torch.tanh(self.layers(latents.transpose(1, 2)))


class PaperAutoencoder(nn.Module):
    """Encoder and decoder with the statistics that make latents unit variance (trap 8)."""

    mean: Tensor
    std: Tensor

    def __init__(self, preset: PaperPreset = PAPER) -> None:
        super().__init__()
        self.preset = preset
        self.encoder = PaperEncoder(preset)
        self.decoder = PaperDecoder(preset)
        self.register_buffer("mean", torch.zeros(preset.dim))
        self.register_buffer("std", torch.ones(preset.dim))

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """audio [B, C, samples] -> mean, log variance [B, frames, dim] of the posterior."""
        mean, log_variance = self.encoder(audio)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """latents [B, frames, dim], in the posterior's units -> audio [B, C, samples]."""
        audio: Tensor = self.decoder((latents / BOUND).clamp(-1.0, 1.0))
        return audio

    def clipped(self, latents: Tensor) -> Tensor:
        """The share of latent values that the bound cuts; below 0.1 % once trained."""
        return (latents.abs() > BOUND).float().mean()

    def normalised(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples] -> unit variance latents [B, frames, dim] for the diffusion."""
        return (self.encode(audio)[0].clamp(-BOUND, BOUND) - self.mean) / self.std

    def sound(self, latents: Tensor) -> Tensor:
        """Unit variance latents [B, frames, dim], as `normalised` makes them -> audio."""
        return self.decode(latents * self.std + self.mean)


def remove_weight_norm(module: nn.Module) -> None:
    """Fold every weight norm into its plain weight, in place; sounds the same, exports plainly."""
    for part in module.modules():
        if is_parametrized(part, "weight"):
            remove_parametrizations(part, "weight")
