"""The live autoencoder: log spectra in, latents between, a causal ConvNeXt + iSTFT decoder out.

The encoder sees magnitudes only, so that the latents hold no phase and a diffusion can predict
them. The decoder therefore has to invent phase, which a network without a clock cannot do: from
latents that stand still it can only make sound that repeats with the frame rate. So the decoder
counts its frames. The count turns a bank of oscillators, whose levels it predicts, and a noise
for every bin, whose level it predicts too; a free spectrum, as in Vocos (arXiv 2306.00814), adds
what is neither: attacks. All three are summed before one inverse transform. An oscillator keeps its
phase: only so is what it holds a pure tone. Its level is read at the latent rate, by a block of its
own, as notes are slower than spectra.

Stereo is parametric (Breebaart et al., 2005): the encoder hears the middle only (`model.ear`), the
decoder makes the middle, and the side of it as a signed share of every bin and oscillator, and a
noise of its own. Left is middle + side, right is middle − side: mixed down, the width is gone.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.ear import Ear
from model.partials import partial_levels
from model.presets import AutoencoderPreset
from model.synthesis import Clock, InverseTransform

States = dict[str, Tensor]
KERNEL = 7


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a pointwise MLP, with a residual (ConvNeXt V1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, KERNEL, groups=width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, frames, width] -> the same shape, looking both ways, zeros beyond the ends."""
        return self.convolved(F.pad(x, (0, 0, KERNEL // 2, KERNEL // 2)), x)

    def convolved(self, seen: Tensor, x: Tensor) -> Tensor:
        """x [B, frames, width] and what is seen around it [B, frames + KERNEL − 1, width] -> y."""
        y = self.depthwise(seen.transpose(1, 2)).transpose(1, 2)
        return x + self.scale * self.outer(F.gelu(self.inner(self.norm(y))))


class CausalBlock(ConvNeXtBlock):
    """The same, looking back only, with the frames it still needs as its state."""

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, frames, width] and the KERNEL − 1 frames before it -> y, the last KERNEL − 1."""
        seen = torch.cat([past, x], dim=1)
        return self.convolved(seen, x), seen[:, -(KERNEL - 1) :]


def log_spectra(audio: Tensor, fft: int, hop: int) -> Tensor:
    """audio [B, samples] -> log magnitudes [B, samples/hop, fft/2+1], one a hop, centred."""
    left = (fft - hop) // 2
    padded = F.pad(audio, (left, fft - hop - left))
    window = torch.hann_window(fft, dtype=audio.dtype, device=audio.device)
    spectrum = torch.stft(
        padded, fft, hop, window=window, center=False, return_complex=True, onesided=True
    )
    power = torch.view_as_real(spectrum).square().sum(-1)
    # 24 dB below a 16-bit step is silence; the offset and scale bring music to about ±1.
    level = 0.5 * torch.log10(power / (fft / 4) ** 2 + 1e-9) + 3.0
    return level.transpose(1, 2) / 1.5


class Encoder(nn.Module):
    """Audio to the mean and log variance of its latents; looks both ways."""

    def __init__(self, preset: AutoencoderPreset) -> None:
        super().__init__()
        self.preset = preset
        bins = sum(fft // 2 + 1 for fft in preset.encoder_ffts)
        fast, slow = preset.widths
        self.ear = Ear(preset.heard_part)
        self.enter = nn.Linear(bins, fast)
        self.fast = nn.ModuleList(ConvNeXtBlock(fast) for _ in range(preset.encoder_blocks[0]))
        self.join = nn.Linear(fast * preset.spectra_per_frame, slow)
        self.slow = nn.ModuleList(ConvNeXtBlock(slow) for _ in range(preset.encoder_blocks[1]))
        self.norm = nn.LayerNorm(slow)
        self.leave = nn.Linear(slow, 2 * preset.dim)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """audio [B, C, samples], whole frames -> mean, log variance, each [B, frames, dim]."""
        hop = self.preset.hop_samples // self.preset.heard_part
        heard = self.ear(audio)[:, 0]
        spectra = [log_spectra(heard, fft, hop) for fft in self.preset.encoder_ffts]
        x = self.enter(torch.cat(spectra, dim=-1))
        for block in self.fast:
            x = block(x)
        x = self.join(x.reshape(x.shape[0], -1, x.shape[-1] * self.preset.spectra_per_frame))
        for block in self.slow:
            x = block(x)
        mean, log_variance = self.leave(self.norm(x)).chunk(2, dim=-1)
        return mean, log_variance.clamp(-12.0, 4.0)


class Decoder(nn.Module):
    """Latents to audio, causal, without delay: one code path for streams and for whole pieces."""

    basis: Tensor
    window: Tensor

    def __init__(self, preset: AutoencoderPreset) -> None:
        super().__init__()
        self.preset = preset
        fast, slow = preset.widths
        self.enter = nn.Linear(preset.dim, slow)
        self.slow = nn.ModuleList(CausalBlock(slow) for _ in range(preset.decoder_blocks[0]))
        self.split = nn.Linear(slow, fast * preset.spectra_per_frame)
        self.fast = nn.ModuleList(CausalBlock(fast) for _ in range(preset.decoder_blocks[1]))
        self.norm = nn.LayerNorm(fast)
        bins = preset.fft_samples // 2 + 1
        self.clock = Clock(preset.sample_rate_hz, preset.hop_samples, bins, preset.channels,
                           preset.oscillators_per_octave, preset.octaves)  # fmt: skip
        tones = self.clock.count
        self.notes = CausalBlock(slow)
        self.notes_norm = nn.LayerNorm(slow)
        self.tones = nn.Linear(slow, tones * preset.spectra_per_frame)
        self.turns = nn.Parameter(2 * torch.pi * torch.rand(tones))
        # Level and phase of every bin, level of its noise;
        # then, of the side: shares of bins and oscillators, level of its noise.
        self.sizes = [bins, bins, bins]
        self.side_sizes = [bins, tones, bins] if preset.channels == 2 else []
        self.head = nn.Linear(fast, sum(self.sizes + self.side_sizes))
        with torch.no_grad():  # each source starts at about the level of quiet music
            starts = [torch.full((n,), level) for n, level in
                      zip(self.sizes + self.side_sizes,
                          (-2.5, 0.0, -2.5, 0.0, 0.0, -4.5), strict=False)]  # fmt: skip
            self.head.bias.copy_(torch.cat(starts))
            self.tones.bias.fill_(-5.5)
        self.inverse = InverseTransform(preset.fft_samples)
        self.register_buffer("basis", self.clock.basis(preset.fft_samples), persistent=False)
        window = torch.hann_window(preset.fft_samples) * (2 * preset.hop_samples
                                                          / preset.fft_samples)  # fmt: skip
        self.register_buffer("window", window, persistent=False)

    def initial_states(self, batch: int = 1) -> States:
        """Zeros of the right shapes, by name: the state before the first frame."""
        fast, slow = self.preset.widths
        states = {f"slow_{i}": torch.zeros(batch, KERNEL - 1, slow) for i in range(len(self.slow))}
        states |= {f"fast_{i}": torch.zeros(batch, KERNEL - 1, fast) for i in range(len(self.fast))}
        states["notes"] = torch.zeros(batch, KERNEL - 1, slow)
        tail = self.preset.fft_samples - self.preset.hop_samples
        states["overlap"] = torch.zeros(batch, self.preset.channels, tail)
        states["clock"] = torch.zeros(1, dtype=torch.int64)
        return states

    def forward(self, latents: Tensor) -> Tensor:
        """latents [B, frames, dim] -> audio [B, C, samples], from the initial state."""
        return self.step(latents, self.initial_states(latents.shape[0]))[0]

    def step(self, latents: Tensor, states: States) -> tuple[Tensor, States]:
        """The next frames of a stream: latents [B, frames, dim] -> audio, the states after it."""
        x, tones, after = self.features(latents, states)
        frames, after["clock"] = self.windows(x, tones, states["clock"])
        audio, after["overlap"] = self.overlap_add(frames, states["overlap"])
        return audio, after

    def features(self, latents: Tensor, states: States) -> tuple[Tensor, Tensor, States]:
        """latents [B, frames, dim] -> features, levels of the oscillators, states of the blocks.

        Features [B, spectra, width]; log levels [B, spectra, count].
        """
        after: States = {}
        x = self.enter(latents)
        for i, block in enumerate(self.slow):
            x, after[f"slow_{i}"] = cast(CausalBlock, block).step(x, states[f"slow_{i}"])
        notes, after["notes"] = self.notes.step(x, states["notes"])
        tones = self.tones(self.notes_norm(notes))
        tones = tones.reshape(x.shape[0], -1, self.clock.count)
        x = self.split(x)
        x = x.reshape(x.shape[0], -1, self.preset.widths[0])
        for i, block in enumerate(self.fast):
            x, after[f"fast_{i}"] = cast(CausalBlock, block).step(x, states[f"fast_{i}"])
        return self.norm(x), tones, after

    def windows(self, x: Tensor, tones: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
        """What `features` gave -> windowed sound [B, spectra, C, fft_samples], the clock after."""
        spectra = x.shape[1]
        values = self.head(x).split(self.sizes + self.side_sizes, dim=-1)
        ticks = clock + torch.arange(spectra, dtype=torch.int64)
        noise = self.clock.noise(ticks).to(x.dtype)
        level, phase, hiss = values[:3]
        bins = _waves(level, phase) + _waves(hiss, noise[:, 0])
        tones = _waves(tones, self.turns + self.clock.tonal(ticks).to(x.dtype))
        middle = self._sounding(bins, tones)
        if not self.side_sizes:
            frames = middle[:, :, None]
        else:
            share, tone_share, hiss = values[3:]
            side = self._sounding(
                torch.tanh(share) * bins + _waves(hiss, noise[:, 1]), torch.tanh(tone_share) * tones
            )
            frames = torch.stack([middle + side, middle - side], dim=2)
        return frames * self.window, torch.remainder(clock + spectra, self.clock.period)

    def _sounding(self, bins: Tensor, tones: Tensor) -> Tensor:
        """Real and imaginary parts, [2, B, spectra, …] each -> windows [B, spectra, fft]."""
        return self.inverse(*bins) + torch.cat([*tones], dim=-1) @ self.basis

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


def _waves(level: Tensor, phase: Tensor) -> Tensor:
    """Log levels and phases -> [2, …]: real and imaginary parts."""
    loud = torch.exp(level.clamp(max=6.0))
    return torch.stack([loud * torch.cos(phase), loud * torch.sin(phase)])


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

    def sound(self, latents: Tensor) -> Tensor:
        """Unit variance latents [B, frames, dim], as `normalised` makes them -> audio."""
        return self.decode(latents * self.std + self.mean)

    def partials(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples] -> log levels [B, spectra, tones] its oscillators should have."""
        p = self.preset
        return partial_levels(audio.mean(1), p.sample_rate_hz, self.decoder.clock.hz,
                              p.hop_samples, p.fft_samples // 2)  # fmt: skip

    def step(self, latents: Tensor, states: States) -> tuple[Tensor, States]:
        """Streaming decode of unit variance latents."""
        audio, after = self.decoder.step(latents * self.std + self.mean, states)
        return audio, after
