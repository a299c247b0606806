"""The discriminators: shapes, published sizes, gradients, and one pass over both."""

from __future__ import annotations

import pytest
import torch

from model.discriminators import (
    PERIODS,
    RESOLUTIONS,
    Discriminators,
    PeriodDiscriminator,
    SpectrogramDiscriminator,
    both,
    opinion,
    teach,
)
from model.losses import discriminator_loss, generator_loss


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_periods_and_sizes() -> None:
    assert PERIODS == (2, 3, 5, 7, 11)
    assert [s.fft for s in RESOLUTIONS] == [1024, 2048, 512]
    assert parameters(PeriodDiscriminator(2)) == pytest.approx(8.2e6, rel=0.02)
    assert parameters(SpectrogramDiscriminator(RESOLUTIONS[0])) == pytest.approx(9.3e4, rel=0.05)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [4000, 4801])
def test_every_discriminator_judges_every_channel(channels: int, samples: int) -> None:
    judged = Discriminators(width=2)(torch.randn(3, channels, samples))
    assert len(judged) == 8
    for score, features in judged:
        assert score.shape[0] == 3 * channels
        assert len(features) == 6
        assert bool(torch.isfinite(score).all())


def test_gradient_reaches_the_audio_and_every_parameter() -> None:
    judges = Discriminators(width=2)
    audio = torch.randn(1, 1, 4000, requires_grad=True)
    generator_loss(judges(audio)).backward()
    assert audio.grad is not None
    assert float(audio.grad.abs().sum()) > 0
    assert all(p.grad is not None for p in judges.parameters())


def test_one_pass_over_both_equals_two() -> None:
    judges = Discriminators(width=2)
    real, fake = torch.randn(2, 2, 3000), torch.randn(2, 2, 3000)
    reals, fakes = both(judges, real, fake)
    for together, alone in zip([*reals, *fakes], [*judges(real), *judges(fake)], strict=True):
        assert torch.allclose(together[0], alone[0], atol=1e-5)
        for a, b in zip(together[1], alone[1], strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_they_learn_to_tell_noise_from_a_sine() -> None:
    torch.manual_seed(0)
    judges = Discriminators(width=2)
    optimiser = torch.optim.Adam(judges.parameters(), lr=3e-3)
    sine = torch.sin(torch.arange(3000) * 0.1)[None, None]
    values = []
    for _ in range(20):
        noise = torch.randn(1, 1, 3000)
        values.append(discriminator_loss(*both(judges, sine, noise)).item())
        teach(judges, optimiser, sine, noise)
    assert values[-1] < 0.7 * values[0]


def test_an_opinion_moves_the_copy_only() -> None:
    judges = Discriminators(width=1)
    audio, copy = torch.randn(1, 1, 2000), torch.randn(1, 1, 2000, requires_grad=True)
    features, adversarial = opinion(judges, audio, copy)
    (features + adversarial).backward()
    assert copy.grad is not None and float(copy.grad.abs().sum()) > 0
    assert all(p.grad is None and p.requires_grad for p in judges.parameters())
