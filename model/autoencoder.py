"""The live autoencoder: log spectra in, latents between, a causal ConvNeXt + iSTFT decoder out.

The encoder sees magnitudes only, so that the latents hold no phase and a diffusion can predict
them. The decoder therefore has to invent phase, which a network without a clock cannot do: from
latents that stand still it can only make sound that repeats with the frame rate. The decoder
counts its frames and turns a bank of oscillators by them (`TonalBank`), whose complex
amplitudes it predicts; everything else is a spectrum, as in Vocos (arXiv 2306.00814).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.presets import AutoencoderPreset

States = dict[str, Tensor]
KERNEL = 7
CLOCK_SECONDS = 60
"""The clock wraps after this time; every oscillator makes a whole number of turns in it."""


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a pointwise MLP, with a residual (ConvNeXt V1)."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.depthwise = nn.Conv1d(width, width, KERNEL, groups=width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, frames, width] and the KERNEL−1 frames before it -> y, the last KERNEL−1 frames.

        A block that is not causal is given `past` and wants as much of the future: x is padded.
        """
        seen = torch.cat([past, x], dim=1)
        kept = seen[:, -(KERNEL - 1) :]
        y = self.depthwise(seen.transpose(1, 2)).transpose(1, 2)
        y = self.outer(F.gelu(self.inner(self.norm(y))))
        return x + self.scale * y, kept

    def centred(self, x: Tensor) -> Tensor:
        """x [B, frames, width] -> the same shape, looking both ways, zeros beyond the ends."""
        y = F.conv1d(
            x.transpose(1, 2), self.depthwise.weight, self.depthwise.bias,
            padding=KERNEL // 2, groups=x.shape[-1],
        ).transpose(1, 2)  # fmt: skip
        return x + self.scale * self.outer(F.gelu(self.inner(self.norm(y))))


def log_spectra(audio: Tensor, fft: int, hop: int) -> Tensor:
    """audio [B, C, samples] -> log magnitudes [B, samples/hop, C·(fft/2+1)], one a hop, centred."""
    batch, channels, samples = audio.shape
    left = (fft - hop) // 2
    padded = F.pad(audio.reshape(batch * channels, samples), (left, fft - hop - left))
    window = torch.hann_window(fft, dtype=audio.dtype, device=audio.device)
    spectrum = torch.stft(
        padded, fft, hop, window=window, center=False, return_complex=True, onesided=True
    )
    power = torch.view_as_real(spectrum).square().sum(-1)
    # 24 dB below a 16-bit step is silence; the offset and scale bring music to about ±1.
    level = 0.5 * torch.log10(power / (fft / 4) ** 2 + 1e-9) + 3.0
    frames = level.shape[-1]
    return level.reshape(batch, channels, fft // 2 + 1, frames).permute(0, 3, 1, 2).flatten(2) / 1.5


class Encoder(nn.Module):
    """Audio to the mean and log variance of its latents; looks both ways."""

    def __init__(self, preset: AutoencoderPreset) -> None:
        super().__init__()
        self.preset = preset
        bins = sum(fft // 2 + 1 for fft in preset.encoder_ffts) * preset.channels
        fast, slow = preset.widths
        self.enter = nn.Linear(bins, fast)
        self.fast = nn.ModuleList(
            ConvNeXtBlock(fast, causal=False) for _ in range(preset.encoder_blocks[0])
        )
        self.join = nn.Linear(fast * preset.spectra_per_frame, slow)
        self.slow = nn.ModuleList(
            ConvNeXtBlock(slow, causal=False) for _ in range(preset.encoder_blocks[1])
        )
        self.norm = nn.LayerNorm(slow)
        self.leave = nn.Linear(slow, 2 * preset.dim)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """audio [B, C, samples], whole frames -> mean, log variance, each [B, frames, dim]."""
        hop = self.preset.hop_samples
        spectra = [log_spectra(audio, fft, hop) for fft in self.preset.encoder_ffts]
        x = self.enter(torch.cat(spectra, dim=-1))
        for block in self.fast:
            x = block.centred(x)
        x = self.join(x.reshape(x.shape[0], -1, x.shape[-1] * self.preset.spectra_per_frame))
        for block in self.slow:
            x = block.centred(x)
        mean, log_variance = self.leave(self.norm(x)).chunk(2, dim=-1)
        return mean, log_variance.clamp(-12.0, 4.0)


class TonalBank(nn.Module):
    """Oscillators on a fixed grid of pitches, turned by a frame counter.

    An oscillator makes `turns` whole turns in CLOCK_SECONDS, so that the counter may wrap and
    months of playing lose no precision.
    """

    def __init__(self, preset: AutoencoderPreset) -> None:
        super().__init__()
        rate = preset.sample_rate_hz // preset.hop_samples
        self.period = rate * CLOCK_SECONDS
        count = preset.oscillators_per_octave * preset.octaves
        exact = 27.5 * 2.0 ** (torch.arange(count, dtype=torch.float64) / max(
            preset.oscillators_per_octave, 1))  # fmt: skip
        turns = torch.round(exact * CLOCK_SECONDS).to(torch.int64)
        self.register_buffer("turns", turns, persistent=False)
        self.rate = preset.sample_rate_hz
        self.count = count

    def rotate(self, amplitudes: Tensor, ticks: Tensor) -> Tensor:
        """amplitudes [B, spectra, C, 2·count] turned to the phases at `ticks` int64 [spectra]."""
        turned = torch.remainder(ticks[:, None] * self.turns[None, :], self.period)
        phase = (turned.to(amplitudes.dtype) * (2 * math.pi / self.period))[None, :, None, :]
        real, imaginary = amplitudes.chunk(2, dim=-1)
        cos, sin = torch.cos(phase), torch.sin(phase)
        return torch.cat([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1)

    def basis(self, samples: int) -> Tensor:
        """[2·count, samples]: what a unit of each oscillator adds to one window."""
        n = torch.arange(samples, dtype=torch.float64)
        phase = 2 * math.pi * self.turns.double()[:, None] * n / (CLOCK_SECONDS * self.rate)
        return torch.cat([torch.cos(phase), -torch.sin(phase)]).float()


def inverse_dft_basis(samples: int) -> Tensor:
    """[2·(samples/2+1), samples]: real and imaginary parts of a one-sided spectrum to a window."""
    bins = samples // 2 + 1
    k, n = torch.arange(bins)[:, None], torch.arange(samples)[None, :]
    phase = torch.remainder(k * n, samples).double() * (2 * math.pi / samples)
    weight = torch.full((bins, 1), 2.0 / samples, dtype=torch.float64)
    weight[0] = weight[-1] = 1.0 / samples
    return torch.cat([weight * torch.cos(phase), -weight * torch.sin(phase)]).float()


class Decoder(nn.Module):
    """Latents to audio, causal, without delay: one code path for streams and for whole pieces."""

    basis: Tensor
    window: Tensor

    def __init__(self, preset: AutoencoderPreset) -> None:
        super().__init__()
        self.preset = preset
        fast, slow = preset.widths
        self.enter = nn.Linear(preset.dim, slow)
        self.slow = nn.ModuleList(
            ConvNeXtBlock(slow, causal=True) for _ in range(preset.decoder_blocks[0])
        )
        self.split = nn.Linear(slow, fast * preset.spectra_per_frame)
        self.fast = nn.ModuleList(
            ConvNeXtBlock(fast, causal=True) for _ in range(preset.decoder_blocks[1])
        )
        self.norm = nn.LayerNorm(fast)
        bins = preset.fft_samples // 2 + 1
        self.spectrum = nn.Linear(fast, 2 * bins * preset.channels)
        with torch.no_grad():  # quiet at first: a loud start costs the first hundred steps
            self.spectrum.bias.view(preset.channels, 2, bins)[:, 0] -= 2.0
        self.bank = TonalBank(preset)
        self.amplitudes = nn.Linear(fast, 2 * self.bank.count * preset.channels)
        nn.init.normal_(self.amplitudes.weight, std=1e-3)
        basis = torch.cat([inverse_dft_basis(preset.fft_samples) * preset.fft_samples ** 0.5,
                           self.bank.basis(preset.fft_samples) * 0.1])  # fmt: skip
        window = torch.hann_window(preset.fft_samples) * (2 * preset.hop_samples
                                                          / preset.fft_samples)  # fmt: skip
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("window", window, persistent=False)

    def initial_states(self, batch: int = 1) -> States:
        """Zeros of the right shapes, by name: the state before the first frame."""
        fast, slow = self.preset.widths
        states = {f"slow_{i}": torch.zeros(batch, KERNEL - 1, slow) for i in range(len(self.slow))}
        states |= {f"fast_{i}": torch.zeros(batch, KERNEL - 1, fast) for i in range(len(self.fast))}
        tail = self.preset.fft_samples - self.preset.hop_samples
        states["overlap"] = torch.zeros(batch, self.preset.channels, tail)
        states["clock"] = torch.zeros(1, dtype=torch.int64)
        return states

    def forward(self, latents: Tensor) -> Tensor:
        """latents [B, frames, dim] -> audio [B, C, frames·frame_samples], from the initial state."""
        return self.step(latents, self.initial_states(latents.shape[0]))[0]

    def step(self, latents: Tensor, states: States) -> tuple[Tensor, States]:
        """The next frames of a stream: latents [B, frames, dim] -> audio, the states after it."""
        after: States = {}
        x = self.enter(latents)
        for i, block in enumerate(self.slow):
            x, after[f"slow_{i}"] = block(x, states[f"slow_{i}"])
        x = self.split(x)
        x = x.reshape(x.shape[0], -1, self.preset.widths[0])
        for i, block in enumerate(self.fast):
            x, after[f"fast_{i}"] = block(x, states[f"fast_{i}"])
        frames, after["clock"] = self.windows(self.norm(x), states["clock"])
        audio, after["overlap"] = self.overlap_add(frames, states["overlap"])
        return audio, after

    def windows(self, x: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, spectra, width] -> windowed sound [B, spectra, C, fft_samples], the clock after."""
        batch, spectra, _ = x.shape
        shape = (batch, spectra, self.preset.channels, -1)
        level, phase = self.spectrum(x).reshape(shape).chunk(2, dim=-1)
        magnitude = torch.exp(level.clamp(max=6.0))
        parts = [magnitude * torch.cos(phase), magnitude * torch.sin(phase)]
        ticks = clock + torch.arange(spectra, dtype=torch.int64)
        parts.append(self.bank.rotate(self.amplitudes(x).reshape(shape), ticks))
        frames = (torch.cat(parts, dim=-1) @ self.basis) * self.window
        return frames, torch.remainder(clock + spectra, self.bank.period)

    def overlap_add(self, frames: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """frames [B, spectra, C, fft] added a hop apart -> audio [B, C, spectra·hop], the tail."""
        hop, fft = self.preset.hop_samples, self.preset.fft_samples
        batch, spectra, channels, _ = frames.shape
        parts = fft // hop
        pieces = frames.reshape(batch, spectra, channels, parts, hop).permute(3, 0, 2, 1, 4)
        total = F.pad(pieces[0], (0, 0, 0, parts - 1))
        for i in range(1, parts):
            total = total + F.pad(pieces[i], (0, 0, i, parts - 1 - i))
        audio = total.reshape(batch, channels, (spectra + parts - 1) * hop)
        # The first fft − hop samples still ring from the frames before.
        audio = audio + F.pad(overlap, (0, audio.shape[-1] - overlap.shape[-1]))
        return audio[..., : spectra * hop], audio[..., spectra * hop :]


class LiveAutoencoder(nn.Module):
    """Encoder and decoder with the statistics that make latents unit variance (trap 8)."""

    mean: Tensor
    std: Tensor

    def __init__(self, preset: AutoencoderPreset) -> None:
        super().__init__()
        self.preset = preset
        self.encoder = Encoder(preset)
        self.decoder = Decoder(preset)
        self.register_buffer("mean", torch.zeros(preset.dim))
        self.register_buffer("std", torch.ones(preset.dim))

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """audio [B, C, samples] -> mean, log variance [B, frames, dim], as the VAE knows them."""
        mean, log_variance = self.encoder(audio)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """latents [B, frames, dim], as the VAE knows them -> audio [B, C, samples]."""
        audio: Tensor = self.decoder(latents)
        return audio

    def normalised(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples] -> unit variance latents [B, frames, dim] for the diffusion."""
        return (self.encoder(audio)[0] - self.mean) / self.std

    def step(self, latents: Tensor, states: States) -> tuple[Tensor, States]:
        """Streaming decode of unit variance latents."""
        audio, after = self.decoder.step(latents * self.std + self.mean, states)
        return audio, after
