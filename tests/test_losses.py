"""The losses, against what they are by definition and against bench's numpy twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.spectra import mel_db_error as numpy_mel_db_error
from bench.spectra import mel_filters as numpy_mel_filters
from model import losses

RATE_HZ = 24000


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_published_resolutions() -> None:
    assert [s.fft for s in losses.PAPER_STFTS] == [8192, 4096, 2048, 512, 128, 64, 32]
    assert [s.window for s in losses.PAPER_STFTS] == [4096, 2048, 1024, 256, 64, 32, 16]
    assert [s.hop for s in losses.PAPER_STFTS] == [2048, 1024, 512, 128, 32, 16, 8]
    weights = losses.Weights()
    assert (weights.spectral, weights.features, weights.adversarial, weights.kl) == (
        50.0, 20.0, 1.0, 5e-3)  # fmt: skip


def test_a_full_scale_sine_reads_one_at_any_resolution() -> None:
    for stft in losses.LIVE_STFTS:
        time_s = torch.arange(RATE_HZ) / RATE_HZ
        bin_hz = RATE_HZ / stft.fft * 8
        audio = torch.sin(2 * torch.pi * bin_hz * time_s)[None, None]
        middle = losses.magnitudes(audio, stft)[0, 8, 10:-10]
        assert torch.allclose(middle, torch.ones_like(middle), atol=1e-3)


@pytest.mark.parametrize("stft", [losses.Stft(512, 512, 128), losses.Stft(512, 256, 60),
                                  losses.Stft(75, 50, 7)])  # fmt: skip
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_power_and_its_gradient_are_those_of_the_plain_transform(
    stft: losses.Stft, mode: str
) -> None:
    audio = noise(2, 2, 2400).requires_grad_()
    ours = losses.power_spectrogram(audio, stft, mode)
    plain = torch.stft(
        audio.flatten(0, 1), stft.fft, stft.hop, stft.window, torch.hann_window(stft.window),
        center=True, pad_mode=mode, return_complex=True,
    ).abs().square()  # fmt: skip
    torch.testing.assert_close(ours, plain)
    weights = noise(*plain.shape, seed=1)
    one, other = (
        torch.autograd.grad((weights * torch.log(power + 1e-6)).sum(), audio)[0]
        for power in (ours, plain)
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_what_is_listened_to_is_the_weighted_sum_of_what_has_a_weight() -> None:
    copy, audio = noise(2, 1, 12000), noise(2, 1, 12000, seed=1)
    terms = [losses.pitch_loss, losses.purity_loss, losses.mel_db_error]
    pitch, purity, mel = (float(term(copy, audio, RATE_HZ)) for term in terms)
    whole = losses.listening_loss(copy, audio, RATE_HZ, 0.5, 2.0, 3.0)
    assert float(whole) == pytest.approx(0.5 * pitch + 2.0 * purity + 0.3 * mel)
    assert float(losses.listening_loss(copy, audio, RATE_HZ, 0.0, 0.0, 0.0)) == 0.0


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_mel_filters_are_those_of_bench(rate_hz: int) -> None:
    ours = losses.mel_filters(rate_hz, 2048, 80, torch.device("cpu")).numpy().T
    assert np.allclose(ours, numpy_mel_filters(rate_hz), atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), samples=st.sampled_from([700, 4000, 24001]))
def test_mel_db_error_is_that_of_bench(seed: int, samples: int) -> None:
    audio = noise(2, samples, seed=seed)
    audio[0, : samples // 2] *= 1e-7  # below the floor
    ours = losses.mel_db_error(audio[0], audio[1], RATE_HZ)
    theirs = numpy_mel_db_error(audio[0].numpy(), audio[1].numpy(), RATE_HZ)
    assert float(ours) == pytest.approx(theirs, rel=1e-3)


def test_half_the_level_is_six_decibels() -> None:
    audio = noise(3, 1, 24000)
    assert float(losses.mel_db_error(audio / 2, audio, RATE_HZ)) == pytest.approx(6.02, abs=0.01)
    assert float(losses.mel_db_error(audio, audio, RATE_HZ)) == 0.0


@pytest.mark.parametrize("live", [False, True])
def test_spectral_losses_fall_to_zero_at_the_reference(live: bool) -> None:
    reference = noise(2, 1, 6000)

    def loss(estimate: torch.Tensor) -> torch.Tensor:
        if live:
            return losses.live_spectral_loss(estimate, reference, RATE_HZ)
        return losses.spectral_loss(estimate, reference)

    assert float(loss(reference)) == 0.0
    near = loss(reference + 0.01 * noise(2, 1, 6000, seed=1))
    far = loss(reference + noise(2, 1, 6000, seed=1))
    assert 0.0 < float(near) < float(far)


@pytest.mark.parametrize("live", [False, True])
def test_silence_has_finite_gradients(live: bool) -> None:
    estimate = torch.zeros(1, 2, 5000, requires_grad=True)
    reference = torch.zeros(1, 2, 5000)
    reference[..., 2500:] = 0.1
    if live:
        losses.live_spectral_loss(estimate, reference, RATE_HZ).backward()
    else:
        losses.spectral_loss(estimate, reference).backward()
    assert estimate.grad is not None
    assert bool(torch.isfinite(estimate.grad).all())


def chord(rate_hz: int, samples: int) -> torch.Tensor:
    """Three steady notes, [1, 1, samples]."""
    time_s = torch.arange(samples) / rate_hz
    return sum(0.1 * torch.sin(2 * torch.pi * hz * time_s) for hz in (220.0, 277.2, 329.6))[
        None, None
    ]


@pytest.mark.parametrize("rate_hz", [24000, 48000])
def test_purity_hears_what_lies_between_partials(rate_hz: int) -> None:
    reference = chord(rate_hz, rate_hz)
    spectrum = torch.fft.rfft(
        0.002 * torch.randn(rate_hz, generator=torch.Generator().manual_seed(1))
    )
    low, high = spectrum.clone(), spectrum.clone()
    low[1000:], high[:4000] = 0.0, 0.0
    between, above = (torch.fft.irfft(part, rate_hz)[None, None] for part in (low, high))
    assert float(losses.purity_loss(reference, reference, rate_hz)) == 0.0
    impure, pure = (float(losses.purity_loss(reference + noise, reference, rate_hz))
                    for noise in (between, above))  # fmt: skip
    assert impure > 10 * pure
    halved = (reference / 2).requires_grad_()
    losses.purity_loss(halved, torch.zeros_like(reference), rate_hz).backward()
    assert halved.grad is not None and bool(halved.grad.isfinite().all())


def test_live_loss_moves_an_estimate_towards_its_reference() -> None:
    reference = noise(1, 1, 4000)
    estimate = (0.3 * noise(1, 1, 4000, seed=2)).requires_grad_()
    optimiser = torch.optim.Adam([estimate], lr=0.01)
    values = []
    for _ in range(15):
        loss = losses.live_spectral_loss(estimate, reference, RATE_HZ)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < 0.8 * values[0]


def test_kl_is_zero_at_the_prior_and_known_elsewhere() -> None:
    zero = torch.zeros(2, 5, 3)
    assert float(losses.kl_loss(zero, zero)) == 0.0
    assert float(losses.kl_loss(zero + 2.0, zero)) == pytest.approx(2.0)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.3, 0.5), torch.distributions.Normal(0.0, 1.0)
    )
    log_variance = zero + 2 * float(np.log(0.5))
    assert float(losses.kl_loss(zero + 0.3, log_variance)) == pytest.approx(float(wanted))


def test_adversarial_losses() -> None:
    ones, zeros = torch.ones(2, 1, 4), torch.zeros(2, 1, 4)
    good, bad = [(ones, [ones])], [(zeros, [zeros])]
    assert float(losses.discriminator_loss(good, bad)) == 0.0
    assert float(losses.discriminator_loss(bad, good)) == 2.0
    assert float(losses.generator_loss(good)) == 0.0
    assert float(losses.generator_loss(bad)) == 1.0
    assert float(losses.feature_loss(good, bad)) == 1.0


def test_features_of_the_recording_get_no_gradient() -> None:
    real, fake = torch.ones(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    losses.feature_loss([(real, [real])], [(fake, [fake])]).backward()
    assert real.grad is None
    assert fake.grad is not None
