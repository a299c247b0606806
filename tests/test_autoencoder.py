"""The live autoencoder: shapes, streaming equals whole, causality, the clock."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.autoencoder import CLOCK_SECONDS, Clock, LiveAutoencoder, inverse_dft_basis
from model.presets import LIVE, TINY

P = TINY.autoencoder


def autoencoder() -> LiveAutoencoder:
    """A tiny one, in float64."""
    torch.manual_seed(0)
    return LiveAutoencoder(P).double().eval()


def states(net: LiveAutoencoder) -> dict[str, torch.Tensor]:
    """Initial states in float64; the clock stays whole."""
    initial = net.decoder.initial_states()
    return {k: v if k == "clock" else v.double() for k, v in initial.items()}


def decoded(net: LiveAutoencoder, latents: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Decode in pieces of `sizes` frames."""
    now, parts, start = states(net), [], 0
    for size in sizes:
        audio, now = net.decoder.step(latents[:, start : start + size], now)
        parts.append(audio)
        start += size
    return torch.cat(parts, -1)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
@torch.no_grad()
def test_streaming_decode_equals_whole_decode(sizes: list[int]) -> None:
    net = autoencoder()
    latents = torch.randn(1, sum(sizes), P.dim, dtype=torch.float64)
    whole = decoded(net, latents, [sum(sizes)])
    assert torch.allclose(decoded(net, latents, sizes), whole, rtol=1e-9, atol=1e-12)
    assert whole.shape == (1, P.channels, sum(sizes) * P.frame_samples)


@torch.no_grad()
def test_decoder_is_causal() -> None:
    net = autoencoder()
    latents = torch.randn(1, 10, P.dim, dtype=torch.float64)
    changed = latents.clone()
    changed[:, 6:] += 1.0
    before = 6 * P.frame_samples
    one, two = decoded(net, latents, [10]), decoded(net, changed, [10])
    assert torch.equal(one[..., :before], two[..., :before])
    assert not torch.allclose(one[..., before:], two[..., before:])


@torch.no_grad()
def test_encoder_gives_one_latent_a_frame_and_no_phase() -> None:
    net = autoencoder()
    audio = torch.randn(2, P.channels, 12 * P.frame_samples, dtype=torch.float64)
    mean, log_variance = net.encode(audio)
    assert mean.shape == log_variance.shape == (2, 12, P.dim)
    assert torch.allclose(net.encode(-audio)[0], mean)


def test_inverse_dft_is_numpys() -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=32))
    parts = torch.from_numpy(np.concatenate([spectrum.real, spectrum.imag])).float()
    assert np.allclose(parts @ inverse_dft_basis(32), np.fft.irfft(spectrum), atol=1e-5)


def test_an_oscillator_goes_on_without_a_seam() -> None:
    """Unit amplitude frame by frame lies on one sine, also where the clock wraps."""
    clock = Clock(P)
    hop, rate = P.hop_samples, P.sample_rate_hz
    phase = clock.tonal(torch.tensor([clock.period - 1, clock.period]))[:, 20]
    basis = clock.basis(2 * hop).double()
    frames = [torch.cos(p) * basis[20] + torch.sin(p) * basis[clock.count + 20] for p in phase]
    assert torch.allclose(frames[0][hop:], frames[1][:hop], atol=1e-4)
    hertz = float(clock.turns[20]) / CLOCK_SECONDS
    t = (torch.arange(2 * hop).double() + (clock.period - 1) * hop) / rate
    assert torch.allclose(frames[0], torch.cos(2 * np.pi * hertz * t), atol=1e-4)


def test_noise_is_flat_in_time_and_between_bins() -> None:
    phases = Clock(P).noise(torch.arange(400)).numpy()
    unit = np.exp(1j * phases)
    assert np.abs(unit.mean(0)).mean() < 0.15
    lags = [np.abs((unit[lag:] * unit[:-lag].conj()).mean(0)).mean() for lag in (1, 2, 7)]
    assert max(lags) < 0.15
    across = np.abs((unit[:, 1:] * unit[:, :-1].conj()).mean(0)).mean()
    assert across < 0.15


def test_live_preset_fits_a_bundle() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in LiveAutoencoder(LIVE.autoencoder).parameters())
    assert 2 * count < 25e6  # bytes, in half precision
