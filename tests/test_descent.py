"""Passes in one run: what one by one would give, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model.descent import descended
from model.presets import PRESETS
from model.velocity import VelocityNetwork

PRESET = PRESETS["tiny"].prompted
ROWS, CHUNKS, PASSES = 2, 3, 4


def network() -> VelocityNetwork:
    torch.manual_seed(0)
    made = VelocityNetwork(PRESET).double().eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return made


def asked(made: VelocityNetwork) -> dict[str, torch.Tensor]:
    """Chunks of which the first two look back on the ring and the others on each other.

    In the first row the first one is what came just before the second; in the other row it is of
    no use to anybody.
    """
    ring = PRESET.context_chunks
    filled = torch.ones(ROWS, CHUNKS, ring).double()
    filled[0, :, 1] = 0.0
    sees = torch.ones(ROWS, CHUNKS, CHUNKS).double().tril()
    sees[1, 1:, 0] = 0.0
    states = {
        name: torch.randn(ROWS, *x.shape[1:]).double() for name, x in made.initial_states().items()
    }
    return {
        "position": torch.tensor([[5, 6, 7], [4095, 4096, 4097]]),
        "filled": filled,
        "sees": sees,
        "before": torch.tensor([[2, ring, ring + 1], [2, 3, ring + 1]]),
        "states": states,
        "tokens": torch.randint(0, PRESET.vocabulary, (ROWS, CHUNKS, PRESET.chunk_frames // 2)),
        "brief": torch.randn(ROWS, CHUNKS, PRESET.brief).double(),
    }  # fmt: skip


def one_by_one(
    made: VelocityNetwork, latents: torch.Tensor, angles: torch.Tensor, about: dict[str, Any]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    z, left = latents, None
    for k in range(PASSES):
        velocity, after = made.cached_pass(z, angles[:, k], **about)
        left = left or after
        omega = (angles[:, k] - angles[:, k + 1])[..., None, None]
        z = torch.cos(omega) * z - torch.sin(omega) * velocity
    assert left is not None
    return z, left


@pytest.mark.parametrize(("scan", "marking"), [(False, False), (True, False), (False, True)])
def test_passes_in_one_run_are_passes_one_by_one(scan: bool, marking: bool) -> None:
    made = network()
    about = asked(made)
    latents = torch.randn(ROWS, CHUNKS, PRESET.chunk_frames, PRESET.dim).double()
    begin = torch.tensor([[0.0, 0.8, 1.3], [0.0, 0.9, 1.5]]).double()
    angles = torch.stack([begin * (1 - k / 8) for k in range(PASSES + 1)], dim=1)
    angles[:, :, 0] = made.context_angle
    with torch.no_grad():
        expected, expected_left = one_by_one(made, latents, angles, about)
        made.marking = marking
        found, left = descended(made, latents, angles, **about, scan=scan)
    assert (found - expected).abs().max() < 1e-12
    assert (found - latents)[:, 1:].abs().amax((1, 2, 3)).min() > 0.1
    assert torch.equal(found[:, 0], latents[:, 0])
    assert left.keys() == expected_left.keys()
    for name in left:
        assert (left[name] - expected_left[name]).abs().max() < 1e-12, name
