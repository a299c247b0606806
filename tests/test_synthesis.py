"""The decoder's clock and its inverse transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.presets import LIVE, TINY, AutoencoderPreset
from model.synthesis import CLOCK_SECONDS, Clock, InverseTransform

P, LARGE = TINY.autoencoder, LIVE.autoencoder
assert isinstance(P, AutoencoderPreset) and isinstance(LARGE, AutoencoderPreset)


def clock() -> Clock:
    """That of the tiny decoder, with two sources of noise."""
    bins = P.fft_samples // 2 + 1
    return Clock(P.sample_rate_hz, P.hop_samples, bins, 2, P.oscillators_per_octave, P.octaves)


@pytest.mark.parametrize("samples", [8, 32, 34, 320, LARGE.fft_samples])
def test_the_inverse_transform_is_numpys(samples: int) -> None:
    """34 leaves rows that no bin fills."""
    rng = np.random.default_rng(samples)
    spectrum = np.fft.rfft(rng.normal(size=(3, samples)), norm="ortho")
    parts = (torch.from_numpy(part.copy()) for part in (spectrum.real, spectrum.imag))
    found = InverseTransform(samples).double()(*parts)
    assert np.allclose(found, np.fft.irfft(spectrum, samples, norm="ortho"), atol=1e-6)


def test_it_drops_what_a_real_signal_cannot_have() -> None:
    """The imaginary parts of the first and the last bin."""
    real, imaginary = torch.zeros(2, 17)
    imaginary[[0, -1]] = 1.0
    assert InverseTransform(32)(real, imaginary).abs().max() < 1e-6


def test_an_oscillator_goes_on_without_a_seam() -> None:
    """Unit amplitude frame by frame lies on one sine, also where the clock wraps."""
    hop, rate, made = P.hop_samples, P.sample_rate_hz, clock()
    phase = made.tonal(torch.tensor([made.period - 1, made.period]))[:, 20]
    basis = made.basis(2 * hop).double()
    frames = [torch.cos(p) * basis[20] + torch.sin(p) * basis[made.count + 20] for p in phase]
    assert torch.allclose(frames[0][hop:], frames[1][:hop], atol=1e-4)
    hertz = float(made.turns[20]) / CLOCK_SECONDS
    t = (torch.arange(2 * hop).double() + (made.period - 1) * hop) / rate
    assert torch.allclose(frames[0], torch.cos(2 * np.pi * hertz * t), atol=1e-4)


def test_noise_is_flat_in_time_and_between_bins_and_sources() -> None:
    unit = np.exp(1j * clock().noise(torch.arange(400)).numpy())
    assert np.abs(unit.mean(0)).mean() < 0.15
    lags = [np.abs((unit[lag:] * unit[:-lag].conj()).mean(0)).mean() for lag in (1, 2, 7)]
    assert max(lags) < 0.15
    assert np.abs((unit[..., 1:] * unit[..., :-1].conj()).mean(0)).mean() < 0.15
    assert np.abs((unit[:, 0] * unit[:, 1].conj()).mean(0)).mean() < 0.15
