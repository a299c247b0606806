"""What listens: audio to hidden features and semantic tokens.

The live form hears log spectra on a grid of quarter tones (chords) and of mel bands (attacks),
stacked to the rate of the tokens, through the conformer layers of wav2vec 2.0 (arXiv 2010.05646,
2005.08100; the library's). Its last layer is narrow: that is what is quantised, by k-means.
`PretrainedListener` has the same methods around a wav2vec2-Conformer whose weights a user brings.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.clusters import nearest
from model.ear import Ear
from model.losses import BANDS_PER_OCTAVE, mel_filters, pitch_filters
from model.presets import PRESETS, Codec, Preset, SemanticPreset

PRETRAINED_RATE_HZ = 16_000


def power_spectra(audio: Tensor, fft: int, hop: int) -> Tensor:
    """audio [B, samples] -> |STFT|² [B, samples/hop, fft/2+1], centred; a full sine reads 1."""
    left = (fft - hop) // 2
    padded = F.pad(audio, (left, fft - hop - left))
    window = torch.hann_window(fft, dtype=audio.dtype, device=audio.device)
    spectrum = torch.stft(
        padded, fft, hop, window=window, center=False, return_complex=True, onesided=True
    )
    return torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2) / (fft / 4) ** 2


class Front(nn.Module):
    """Log levels of pitch and mel bands, one row a token."""

    pitch: Tensor
    mel: Tensor

    def __init__(self, preset: SemanticPreset, rate_hz: int, heard_part: int = 1) -> None:
        super().__init__()
        self.preset = preset
        self.ear = Ear(heard_part)
        rate_hz //= heard_part
        here = torch.device("cpu")
        self.register_buffer("pitch", pitch_filters(rate_hz, preset.pitch_fft, here).T)
        mel = mel_filters(rate_hz, preset.mel_fft, preset.mel_bands, here)
        self.register_buffer("mel", mel.T)

    @property
    def token_samples(self) -> int:
        """Samples of the audio in one token."""
        return self.preset.hop_samples * self.preset.spectra * self.ear.part

    @property
    def size(self) -> int:
        """Values in a row."""
        return (self.pitch.shape[1] + self.mel.shape[1]) * self.preset.spectra

    def forward(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples], whole tokens -> [B, tokens, size], about −1…1."""
        p = self.preset
        heard = self.ear(audio)[:, 0]
        bands = [
            power_spectra(heard, fft, p.hop_samples) @ filters.to(heard.dtype)
            for fft, filters in ((p.pitch_fft, self.pitch), (p.mel_fft, self.mel))
        ]
        level = (0.5 * torch.log10(torch.cat(bands, dim=-1) + 1e-8) + 2.0) / 1.5
        return level.reshape(level.shape[0], -1, self.size)

    def transposed(self, rows: Tensor, semitones: int) -> Tensor:
        """Rows [B, n, size] as if the music were so many semitones higher.

        The grid of pitches shifts, its outer bands repeat; mel bands, which tell attacks and
        timbre, stay.
        """
        steps = semitones * BANDS_PER_OCTAVE // 12
        parts = rows.unflatten(-1, (self.preset.spectra, -1))
        pitches = self.pitch.shape[1]
        places = (torch.arange(pitches) - steps).clamp(0, pitches - 1)
        shifted = torch.cat([parts[..., places], parts[..., pitches:]], dim=-1)
        return shifted.flatten(-2)


def conformer(preset: SemanticPreset) -> nn.Module:
    """The conformer layers of wav2vec2-Conformer, with rotary positions."""
    from transformers import Wav2Vec2ConformerConfig
    from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import (
        Wav2Vec2ConformerEncoder,
    )

    config = Wav2Vec2ConformerConfig(
        hidden_size=preset.width, num_hidden_layers=preset.layers,
        num_attention_heads=preset.heads, intermediate_size=4 * preset.width,
        conv_depthwise_kernel_size=preset.kernel, position_embeddings_type="rotary",
        hidden_dropout=0.0, activation_dropout=0.0, attention_dropout=0.0,
        conformer_conv_dropout=0.0, layerdrop=0.0, hidden_act="swish",
    )  # fmt: skip
    config._attn_implementation = "eager"
    encoder: nn.Module = Wav2Vec2ConformerEncoder(config)
    return encoder


class Quantised(nn.Module):
    """Tokens by the nearest of the centroids that k-means found."""

    centroids: Tensor

    def __init__(self, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(vocabulary, hidden))

    def nearest(self, hidden: Tensor) -> Tensor:
        """hidden [..., D] -> int64 [...]: place of the nearest centroid."""
        return nearest(hidden, self.centroids)


class SemanticEncoder(Quantised):
    """Audio to hidden features at the token rate, and to tokens; looks both ways."""

    def __init__(self, preset: SemanticPreset, autoencoder: Codec) -> None:
        super().__init__(preset.vocabulary, preset.hidden)
        self.preset = preset
        self.front = Front(preset, autoencoder.sample_rate_hz, autoencoder.heard_part)
        self.enter = nn.Linear(self.front.size, preset.width)
        self.masked = nn.Parameter(torch.zeros(preset.width))
        self.conformer = conformer(preset)
        self.leave = nn.Linear(preset.width, preset.hidden)

    def heard(self, rows: Tensor, hide: Tensor | None = None) -> Tensor:
        """Rows of the front [B, n, size], those where hide bool [B, n] unseen -> [B, n, D]."""
        x = self.enter(rows)
        if hide is not None:
            x = torch.where(hide[..., None], self.masked.to(x.dtype), x)
        y: Tensor = self.leave(self.conformer(x).last_hidden_state)
        return F.normalize(y, dim=-1) * math.sqrt(self.preset.hidden)

    def hidden(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples], whole tokens -> features [B, n, D] of the quantised layer."""
        return self.heard(self.front(audio))

    def tokens(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples] -> int64 [B, n]."""
        return self.nearest(self.hidden(audio))


class PretrainedListener(Quantised):
    """The same from a wav2vec2-Conformer of the user's own, one of its layers, 25 Hz.

    `folder` holds config.json and weights as the transformers library saves them; `layer` counts
    from 1. OSError where there is no such model.
    """

    def __init__(self, folder: Path, layer: int, rate_hz: int, vocabulary: int = 1024) -> None:
        from transformers import Wav2Vec2ConformerModel

        model = Wav2Vec2ConformerModel.from_pretrained(folder, local_files_only=True)
        super().__init__(vocabulary, model.config.hidden_size)
        if not 1 <= layer <= model.config.num_hidden_layers:
            layers = model.config.num_hidden_layers
            raise ValueError(f"layer {layer}: the model in {folder} has 1 … {layers}")
        self.model, self.layer, self.rate_hz = model.eval(), layer, rate_hz

    def hidden(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples] -> features [B, n, D], two frames of the model to a token."""
        wave = resampled(audio.mean(1), self.rate_hz, PRETRAINED_RATE_HZ)
        wave = (wave - wave.mean(-1, keepdim=True)) / (wave.std(-1, keepdim=True) + 1e-7)
        wave = F.pad(wave, (40, 40))  # its frames are 400 samples long, 320 apart
        states = self.model(wave, output_hidden_states=True).hidden_states[self.layer]
        even = states[:, : states.shape[1] // 2 * 2]
        return even.reshape(even.shape[0], -1, 2, even.shape[2]).mean(2)

    def tokens(self, audio: Tensor) -> Tensor:
        """audio [B, C, samples] -> int64 [B, n]."""
        return self.nearest(self.hidden(audio))


def resampled(wave: Tensor, rate_hz: int, wanted_hz: int) -> Tensor:
    """wave [B, samples] at another rate, by a windowed sinc of 16 zero crossings a side."""
    if rate_hz == wanted_hz:
        return wave
    divisor = math.gcd(rate_hz, wanted_hz)
    down, up = rate_hz // divisor, wanted_hz // divisor
    cutoff = min(1.0, up / down) * 0.97
    reach = math.ceil(16 / cutoff)
    at = torch.arange(-reach, reach + down, dtype=torch.float64)[None, :]
    distance = at - (torch.arange(up, dtype=torch.float64) * down / up)[:, None]
    window = torch.cos(distance.clamp(-reach, reach) * math.pi / 2 / reach).square()
    kernel = (cutoff * torch.sinc(cutoff * distance) * window).to(wave.dtype)
    padded = F.pad(wave[:, None], (reach, reach + down))
    phases = F.conv1d(padded, kernel[:, None], stride=down)
    length = wave.shape[-1] * up // down
    return phases.transpose(1, 2).flatten(1)[:, :length]


def load_semantic(folder: Path) -> tuple[SemanticEncoder, Preset]:
    """The averaged encoder of a run folder, with its centroids, and its preset."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    preset = PRESETS[state["preset"]]
    encoder = SemanticEncoder(preset.semantic, preset.autoencoder)
    encoder.load_state_dict(state["average"])
    return encoder.eval(), preset
