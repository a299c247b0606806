"""The published VAE-GAN: sizes, shapes, the bound, gradients, weight norm."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.autoencoder_paper import (
    PAPER,
    PAPER_TINY,
    PaperAutoencoder,
    PaperPreset,
    Snake,
    remove_weight_norm,
)


def tiny(snake: bool = False, channels: int = 1) -> PaperAutoencoder:
    torch.manual_seed(0)
    preset = PaperPreset(
        channels=channels, snake=snake, encoder_channels=PAPER_TINY.encoder_channels,
        encoder_stack=PAPER_TINY.encoder_stack, decoder_channels=PAPER_TINY.decoder_channels,
        decoder_stack=PAPER_TINY.decoder_stack,
    )  # fmt: skip
    return PaperAutoencoder(preset)


@pytest.mark.parametrize("snake", [False, True])
def test_published_parameter_counts_within_five_per_cent(snake: bool) -> None:
    with torch.device("meta"):
        model = PaperAutoencoder(PaperPreset(snake=snake))
        remove_weight_norm(model)
    counts = [sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.decoder)]
    assert counts[0] == pytest.approx(40.0e6, rel=0.05)
    assert counts[1] == pytest.approx(60.1e6, rel=0.05)


def test_published_rates() -> None:
    assert PAPER.frame_samples == 96
    assert PAPER.sample_rate_hz // PAPER.frame_samples == 250
    assert PAPER.dim == 16


def test_strides_and_rates_must_agree() -> None:
    with pytest.raises(ValueError, match="96 samples a frame, the decoder makes 48"):
        PaperPreset(rates=(4, 4, 3, 1))


@settings(max_examples=6, deadline=None)
@given(frames=st.integers(1, 9), channels=st.integers(1, 2), snake=st.booleans())
def test_shapes_in_whole_frames(frames: int, channels: int, snake: bool) -> None:
    model = tiny(snake, channels)
    audio = torch.randn(2, channels, frames * 96)
    mean, log_variance = model.encode(audio)
    assert mean.shape == log_variance.shape == (2, frames, 16)
    decoded = model.decode(mean)
    assert decoded.shape == audio.shape
    assert decoded.abs().max().item() < 1.0


def test_latents_are_bounded_at_three() -> None:
    model = tiny()
    latents = torch.full((1, 4, 16), 3.0)
    assert torch.equal(model.decode(latents), model.decode(2 * latents))
    assert not torch.equal(model.decode(latents), model.decode(0.5 * latents))
    assert float(model.clipped(torch.tensor([0.0, 2.9, 3.1, -5.0]))) == 0.5


def test_normalised_latents_use_the_kept_statistics() -> None:
    model = tiny()
    audio = torch.randn(1, 1, 960)
    model.mean += 0.1
    model.std *= 0.25
    wanted = (model.encode(audio)[0] - 0.1) / 0.25
    assert torch.allclose(model.normalised(audio), wanted)
    there = model.decode(model.encode(audio)[0])
    assert torch.allclose(model.sound(model.normalised(audio)), there, atol=1e-6)


@pytest.mark.parametrize("snake", [False, True])
def test_gradient_reaches_every_parameter(snake: bool) -> None:
    model = tiny(snake)
    mean, log_variance = model.encode(torch.randn(1, 1, 960))
    z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    model.decode(z).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_removing_the_weight_norm_changes_nothing() -> None:
    model = tiny()
    latents = torch.randn(1, 5, 16)
    before = model.decode(latents)
    names = len(list(model.named_parameters()))
    remove_weight_norm(model)
    assert torch.allclose(before, model.decode(latents), atol=1e-6)
    assert len(list(model.named_parameters())) < names
    remove_weight_norm(model)  # again: nothing left to remove


def test_snake_at_its_known_values() -> None:
    snake = Snake(2)
    x = torch.tensor([[[0.0, torch.pi / 2], [torch.pi, 1.0]]])
    wanted = x + torch.sin(x) ** 2
    assert torch.allclose(snake(x), wanted)
