"""The live autoencoder: shapes, streaming equals whole, causality, the clock."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.autoencoder import LiveAutoencoder
from model.presets import LIVE, TINY, AutoencoderPreset

P, LARGE = TINY.autoencoder, LIVE.autoencoder
assert isinstance(P, AutoencoderPreset) and isinstance(LARGE, AutoencoderPreset)
WIDE = replace(
    P, sample_rate_hz=16000, channels=2, frame_samples=320, hop_samples=160, fft_samples=640,
    heard_part=2,
)  # fmt: skip
BOTH = pytest.mark.parametrize("preset", [P, WIDE], ids=["mono", "stereo"])


def autoencoder(preset: AutoencoderPreset = P) -> LiveAutoencoder:
    """A tiny one, in float64."""
    torch.manual_seed(0)
    return LiveAutoencoder(preset).double().eval()


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
@given(st.sampled_from([P, WIDE]), st.lists(st.integers(1, 7), min_size=1, max_size=6))
@torch.no_grad()
def test_streaming_decode_equals_whole_decode(preset: AutoencoderPreset, sizes: list[int]) -> None:
    net = autoencoder(preset)
    latents = torch.randn(1, sum(sizes), P.dim, dtype=torch.float64)
    whole = decoded(net, latents, [sum(sizes)])
    assert torch.allclose(decoded(net, latents, sizes), whole, rtol=1e-9, atol=1e-12)
    assert whole.shape == (1, preset.channels, sum(sizes) * preset.frame_samples)


@BOTH
@torch.no_grad()
def test_normalised_latents_sound_as_those_of_the_posterior(preset: AutoencoderPreset) -> None:
    net = autoencoder(preset)
    net.mean += 0.1
    net.std *= 0.25
    audio = torch.randn(1, preset.channels, 12 * preset.frame_samples, dtype=torch.float64)
    latents = net.normalised(audio)
    assert torch.allclose(latents, (net.encode(audio)[0] - net.mean) / net.std)
    assert torch.allclose(net.sound(latents), net.decode(net.encode(audio)[0]))


@BOTH
@torch.no_grad()
def test_decoder_is_causal(preset: AutoencoderPreset) -> None:
    net = autoencoder(preset)
    latents = torch.randn(1, 10, P.dim, dtype=torch.float64)
    changed = latents.clone()
    changed[:, 6:] += 1.0
    before = 6 * preset.frame_samples
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


@torch.no_grad()
def test_the_encoder_of_a_stereo_preset_hears_the_middle_of_the_lower_half() -> None:
    net = autoencoder(WIDE)
    middle = torch.randn(1, 1, 12 * WIDE.frame_samples, dtype=torch.float64)
    middle = torch.nn.functional.interpolate(middle[..., ::8], scale_factor=8.0, mode="linear")
    side = torch.randn_like(middle)
    mono, wide = torch.cat([middle, middle], 1), torch.cat([middle + side, middle - side], 1)
    assert torch.allclose(net.encode(mono)[0], net.encode(wide)[0])
    assert net.encode(mono)[0].shape == (1, 12, WIDE.dim)


@torch.no_grad()
def test_an_oscillator_holds_a_pure_tone_whatever_the_latents_do() -> None:
    net, tone, seconds = autoencoder(), 30, 2
    decoder = net.decoder
    decoder.head.weight.zero_()
    decoder.head.bias.fill_(-60.0)
    decoder.tones.weight.zero_()
    decoder.tones.bias.fill_(-60.0)
    decoder.tones.bias[tone :: decoder.clock.count] = -1.0
    latents = torch.randn(1, seconds * P.latent_rate_hz, P.dim, dtype=torch.float64)
    audio = decoded(net, latents, [7, latents.shape[1] - 7])[0, 0, P.fft_samples :]
    n = torch.arange(len(audio), dtype=torch.float64) / P.sample_rate_hz
    angle = 2 * torch.pi * decoder.clock.hz[tone] * n
    waves = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    found = torch.linalg.lstsq(waves, audio[:, None]).solution
    assert float(found.norm()) == pytest.approx(math.exp(-1.0), rel=1e-6)
    assert torch.allclose((waves @ found)[:, 0], audio, atol=1e-6)


@torch.no_grad()
def test_a_copy_told_the_partials_has_them() -> None:
    net = autoencoder(WIDE)
    decoder, rate_hz = net.decoder, WIDE.sample_rate_hz
    clock = decoder.clock
    n = torch.arange(2 * rate_hz, dtype=torch.float64) / rate_hz
    audio = (0.1 * torch.sin(2 * torch.pi * clock.hz[40] * n)).expand(1, 2, -1)
    levels = net.partials(audio.float())
    assert levels.shape == (1, len(n) // WIDE.hop_samples, clock.count)
    assert set(levels[0, 50:150].gt(-9.0).nonzero()[:, 1].tolist()) == {40}
    decoder.head.weight.zero_()
    decoder.head.bias.fill_(-60.0)
    frames, _ = decoder.windows(
        torch.zeros(1, levels.shape[1], WIDE.widths[0], dtype=torch.float64), levels.double(),
        states(net)["clock"],
    )  # fmt: skip
    copy, _ = decoder.overlap_add(frames, states(net)["overlap"])
    assert torch.equal(net.partials(copy.float())[0, 50:150].argmax(-1), torch.full((100,), 40))
    level = float(copy.mean(1)[0, rate_hz // 2 : -rate_hz // 2].square().mean().sqrt())
    assert level == pytest.approx(0.1 / math.sqrt(2), rel=0.1)


@torch.no_grad()
def test_mixed_down_the_side_is_gone() -> None:
    net = autoencoder(WIDE)
    latents = torch.randn(1, 8, WIDE.dim, dtype=torch.float64)
    wide = decoded(net, latents, [8])
    assert not torch.allclose(wide[:, 0], wide[:, 1])
    sizes = net.decoder.side_sizes
    net.decoder.head.weight[-sum(sizes) :] = 0.0
    net.decoder.head.bias[-sum(sizes) :] = torch.randn(sum(sizes), dtype=torch.float64)
    assert torch.allclose(decoded(net, latents, [8]).mean(1), wide.mean(1))


@torch.no_grad()
def test_a_share_of_nothing_is_the_middle() -> None:
    net = autoencoder(WIDE)
    bins, tones, _ = net.decoder.side_sizes
    net.decoder.head.weight[-sum(net.decoder.side_sizes) :] = 0.0
    net.decoder.head.bias[-sum(net.decoder.side_sizes) :] = torch.cat(
        [torch.zeros(bins + tones), torch.full((bins,), -60.0)]
    ).double()
    left, right = decoded(net, torch.randn(1, 5, WIDE.dim, dtype=torch.float64), [5])[0]
    assert torch.allclose(left, right, atol=1e-12)


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="3 channels"):
        replace(P, channels=3)
    with pytest.raises(ValueError, match="1 in 7 samples"):
        replace(P, heard_part=7)


def test_live_preset_fits_a_bundle() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in LiveAutoencoder(LARGE).parameters())
    assert 2 * count < 25e6  # bytes, in half precision
