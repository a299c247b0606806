"""What the autoencoders are trained on, and the project's one measure of how far off they are.

The paper's generator loss is 50·MR-STFT(L1 on magnitudes) + 20·feature matching + 1·LSGAN +
5e-3·KL (MeLoDy, arXiv 2305.15719, appendix). The live form listens to log magnitudes and log mel
bands as well: with magnitudes alone, quiet partials and the top octave cost nothing.
Audio is [B, C, samples] throughout; every loss is a scalar tensor. Windows that are named for the
live form and for the measure are those at 24 kHz, and last as long at higher rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Judgement = tuple[Tensor, list[Tensor]]
"""What one discriminator says: its scores, and the features of its layers."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the generator's losses, as published."""

    spectral: float = 50.0
    features: float = 20.0
    adversarial: float = 1.0
    kl: float = 5e-3


@dataclass(frozen=True, slots=True)
class Stft:
    """One resolution; all lengths in samples."""

    fft: int
    window: int
    hop: int

    def at(self, rate_hz: int) -> Stft:
        """The one that lasts as long as this does at 24 kHz, at least as many samples."""
        factor = max(1, rate_hz // NAMED_AT_HZ)
        return Stft(factor * self.fft, factor * self.window, factor * self.hop)


NAMED_AT_HZ = 24_000

PAPER_STFTS = tuple(
    Stft(*sizes)
    for sizes in zip(
        (8192, 4096, 2048, 512, 128, 64, 32),
        (4096, 2048, 1024, 256, 64, 32, 16),
        (2048, 1024, 512, 128, 32, 16, 8),
        strict=True,
    )
)
LIVE_STFTS = tuple(Stft(fft, fft, fft // 4) for fft in (2048, 1024, 512, 256, 128))

MEL_BANDS = 80
MEL_LOWEST_HZ = 30.0
MEL_STFT = Stft(2048, 2048, 512)
MEL_RELATIVE_FLOOR = 1e-8
PITCH_STFT = Stft(4096, 4096, 512)
PURITY_STFTS = (Stft(4096, 4096, 1024), Stft(8192, 8192, 2048))
PURITY_HZ = (55.0, 2500.0)
"""Where single notes lie: their fundamentals and first overtones."""
BANDS_PER_OCTAVE = 24
LOG_FLOOR = 1e-4
"""Magnitude below which log losses hear nothing: 80 dB under a full-scale sine."""


def power_spectrogram(audio: Tensor, stft: Stft, pad_mode: str = "constant") -> Tensor:
    """audio [B, C, samples] -> |STFT|² [B·C, bins, frames]: periodic Hann window, centred."""
    flat = audio.reshape(-1, audio.shape[-1]).float()
    window = torch.hann_window(stft.window, device=audio.device)
    missing = stft.fft - stft.window
    window = F.pad(window, (missing // 2, missing - missing // 2))
    flat = F.pad(flat[:, None], (stft.fft // 2, stft.fft // 2), pad_mode)[:, 0]
    power: Tensor = _Power.apply(flat.unfold(-1, stft.fft, stft.hop) * window)  # type: ignore[no-untyped-call]
    return power.transpose(1, 2)


class _Power(torch.autograd.Function):
    """Windows [..., fft] -> |rfft|² [..., bins]: half the time of the composed gradient.

    d/dx Σ g·|X|² = 2·fft·irfft(g·X), the bins that a one-sided spectrum has once counted once.
    """

    @staticmethod
    def forward(ctx: Any, windows: Tensor) -> Tensor:  # type: ignore[override]
        spectra = torch.fft.rfft(windows)
        ctx.save_for_backward(spectra)
        ctx.samples = windows.shape[-1]
        real, imaginary = torch.view_as_real(spectra).unbind(-1)
        return real.square() + imaginary.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (spectra,) = ctx.saved_tensors
        weighed = spectra * gradient
        weighed[..., 1 : (ctx.samples + 1) // 2] *= 0.5
        return 2 * ctx.samples * torch.fft.irfft(weighed, n=ctx.samples)


def magnitudes(audio: Tensor, stft: Stft) -> Tensor:
    """audio [B, C, samples] -> [B·C, bins, frames]; a full-scale sine reads 1 at any resolution."""
    power = power_spectrogram(audio, stft) * (4.0 / stft.window) ** 2
    return power.clamp(min=1e-12).sqrt()


def spectral_loss(
    estimate: Tensor, reference: Tensor, stfts: Sequence[Stft] = PAPER_STFTS
) -> Tensor:
    """L1 on STFT magnitudes, mean over the resolutions.

    Which scale the published magnitudes have is not known; here it is the plain STFT's times
    √(2/window), so that noise of unit variance weighs about the same at every resolution.
    """
    terms = []
    for stft in stfts:
        scale = math.sqrt(stft.window / 8)  # of magnitudes() to the scale named above
        difference = magnitudes(estimate, stft) - magnitudes(reference, stft)
        terms.append(difference.abs().mean() * scale)
    return torch.stack(terms).mean()


def hz_to_mel(hz: Tensor) -> Tensor:
    """HTK's mel scale: 2595·log10(1 + f/700)."""
    return 2595.0 * torch.log10(1.0 + hz / 700.0)


@lru_cache(maxsize=32)
def mel_filters(rate_hz: int, fft: int, bands: int, device: torch.device) -> Tensor:
    """HTK triangles of height 1 [bands, bins], from 30 Hz to the Nyquist frequency."""
    ends = hz_to_mel(torch.tensor([MEL_LOWEST_HZ, rate_hz / 2], dtype=torch.float64))
    steps = torch.linspace(0.0, 1.0, bands + 2, dtype=torch.float64)
    edges_hz = 700.0 * (10.0 ** ((ends[0] + (ends[1] - ends[0]) * steps) / 2595.0) - 1.0)
    bins_hz = torch.arange(fft // 2 + 1, dtype=torch.float64) * (rate_hz / fft)
    low, middle, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    triangles = torch.minimum((bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle))
    return triangles.clamp(min=0.0).float().to(device)


def live_spectral_loss(
    estimate: Tensor, reference: Tensor, rate_hz: int, stfts: Sequence[Stft] = LIVE_STFTS
) -> Tensor:
    """Of each resolution: L1 on magnitudes, on log magnitudes and on log mel bands; their mean.

    Logarithms are natural, floored at LOG_FLOOR; magnitudes are multiplied by 10, which brings
    the three to the same size on music.
    """
    terms = []
    for stft in [stft.at(rate_hz) for stft in stfts]:
        x, y = magnitudes(estimate, stft), magnitudes(reference, stft)
        terms.append(10.0 * (x - y).abs().mean())
        terms.append(_log_distance(x, y))
        filters = mel_filters(rate_hz, stft.fft, min(MEL_BANDS, stft.fft // 16), x.device)
        terms.append(_log_distance((filters @ x.square()).sqrt(), (filters @ y.square()).sqrt()))
    return torch.stack(terms).sum() / len(stfts)


@lru_cache(maxsize=32)
def pitch_filters(rate_hz: int, fft: int, device: torch.device) -> Tensor:
    """Triangles of height 1 on a grid of quarter tones [bands, bins], 55 Hz to 7 kHz.

    A triangle is never narrower than a bin, so that none is empty.
    """
    count = int(BANDS_PER_OCTAVE * math.log2(min(7000.0, 0.45 * rate_hz) / 55.0))
    centres = 55.0 * 2.0 ** (torch.arange(count, dtype=torch.float64) / BANDS_PER_OCTAVE)
    width = (centres * (2.0 ** (1 / BANDS_PER_OCTAVE) - 1)).clamp(min=rate_hz / fft)
    bins_hz = torch.arange(fft // 2 + 1, dtype=torch.float64) * (rate_hz / fft)
    distance = (bins_hz[None, :] - centres[:, None]).abs() / width[:, None]
    return (1.0 - distance).clamp(min=0.0).float().to(device)


def pitch_loss(estimate: Tensor, reference: Tensor, rate_hz: int) -> Tensor:
    """L1 on log magnitudes in quarter tones: most of a spectrum's bins lie above the notes.

    Without it an autoencoder learns attacks and the envelope first and smears partials that are
    a semitone apart for a very long time.
    """
    stft = PITCH_STFT.at(rate_hz)
    filters = pitch_filters(rate_hz, stft.fft, reference.device)
    x, y = (filters @ magnitudes(audio, stft) for audio in (estimate, reference))
    return _log_distance(x, y)


def purity_loss(estimate: Tensor, reference: Tensor, rate_hz: int) -> Tensor:
    """L1 on log magnitudes of every bin from 55 Hz to 2.5 kHz, in windows of 0.17 and 0.34 s.

    What lies between partials, where a short window hears their skirts, and a band of a quarter
    tone the partial that is in it. In noise there, keys that differ by one note are not told apart
    (bench/LOG.md, 2026-11-22).
    """
    terms = []
    for stft in [stft.at(rate_hz) for stft in PURITY_STFTS]:
        low, high = (round(hz * stft.fft / rate_hz) for hz in PURITY_HZ)
        x, y = (magnitudes(audio, stft)[:, low:high] for audio in (estimate, reference))
        terms.append(_log_distance(x, y))
    return torch.stack(terms).mean()


def listening_loss(
    estimate: Tensor, reference: Tensor, rate_hz: int, pitch: float, purity: float, mel: float
) -> Tensor:
    """The weighted sum of `pitch_loss`, `purity_loss` and, in units of 10 dB, `mel_db_error`.

    What has no weight is not computed. Spectral losses alone leave the mel error 0.1 dB higher
    after minutes, and notes smeared (bench/LOG.md, 2026-11-22).
    """
    loss = estimate.new_zeros(())
    for weight, term in ((pitch, pitch_loss), (purity, purity_loss), (mel / 10, mel_db_error)):
        if weight:
            loss = loss + weight * term(estimate, reference, rate_hz)
    return loss


def _log_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean distance of the logarithms of two magnitudes, smooth near the floor."""
    return (torch.log(x + LOG_FLOOR) - torch.log(y + LOG_FLOOR)).abs().mean()


def mel_db_error(estimate: Tensor, reference: Tensor, rate_hz: int) -> Tensor:
    """The project's "mel error in dB": mean |10·log10(estimate / reference)| of mel *power*.

    Both [..., samples], every leading axis a clip of its own; the mean of the clips' errors.
    |STFT|² with a periodic Hann window of 2048 and a hop of 512 samples (at 24 kHz; as long at
    higher rates), centred, edges reflected (zeros in a clip shorter than half a window), through
    80 HTK mel triangles of height 1 from 30 Hz to the Nyquist frequency. Both powers are first
    raised to a floor of 1e-8 times the greatest mel power of the reference clip, 80 dB below its
    loudest spot.
    `bench.spectra.mel_db_error` is the same in numpy.
    """
    length, stft = reference.shape[-1], MEL_STFT.at(rate_hz)
    mode = "reflect" if length > stft.fft // 2 else "constant"
    filters = mel_filters(rate_hz, stft.fft, MEL_BANDS, reference.device)
    got, wanted = (
        filters @ power_spectrogram(x.reshape(-1, 1, length), stft, mode)
        for x in (estimate, reference)
    )
    tiny = torch.finfo(torch.float32).tiny
    floor = (MEL_RELATIVE_FLOOR * wanted.amax((1, 2), keepdim=True)).clamp(min=tiny)
    ratio = torch.maximum(got, floor) / torch.maximum(wanted, floor)
    return (10.0 * torch.log10(ratio)).abs().mean()


def middle_and_side(audio: Tensor) -> Tensor:
    """Stereo [B, 2, samples]: left, right -> middle, side; mono as it is.

    What is right in left and right can still be wrong in the middle, where most people listen,
    and how wide the music is only the side tells.
    """
    if audio.shape[1] != 2:
        return audio
    left, right = audio.unbind(1)
    return torch.stack([(left + right) / 2, (left - right) / 2], dim=1)


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, e^log_variance) ‖ N(0, 1)) in nats, mean over every latent value."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()


def generator_loss(fake: Sequence[Judgement]) -> Tensor:
    """Least squares GAN: what is made should score 1; mean over the discriminators."""
    return torch.stack([(1.0 - score).square().mean() for score, _ in fake]).mean()


def discriminator_loss(real: Sequence[Judgement], fake: Sequence[Judgement]) -> Tensor:
    """Least squares GAN: recordings should score 1, what is made 0; mean over discriminators."""
    terms = [
        (1.0 - wanted).square().mean() + got.square().mean()
        for (wanted, _), (got, _) in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def feature_loss(real: Sequence[Judgement], fake: Sequence[Judgement]) -> Tensor:
    """L1 between the features of a recording and of its copy; mean over all layers of all."""
    terms = [
        F.l1_loss(got, wanted.detach())
        for (_, reals), (_, fakes) in zip(real, fake, strict=True)
        for wanted, got in zip(reals, fakes, strict=True)
    ]
    return torch.stack(terms).mean()
