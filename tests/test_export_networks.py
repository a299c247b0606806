"""Networks that go together, and what rounding does to each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_export import networks, prompted

from engine.errors import BundleError, UsageError
from export.networks import Networks, preset_name, round_off
from model.autoencoder import LiveAutoencoder
from model.presets import TINY


def test_networks_of_different_latents_are_refused() -> None:
    pair = networks()
    other = LiveAutoencoder(replace(TINY.autoencoder, dim=9))
    with pytest.raises(UsageError, match="9 values a frame, the velocity network reads 8"):
        Networks(other, pair.velocity, "cached")


def test_only_the_sizes_of_a_preset_have_its_name() -> None:
    assert preset_name(networks()) == {"preset": "tiny"}
    assert preset_name(networks(merged=(4, 2))) == {}
    nets = prompted()
    assert preset_name(nets) == {"preset": "tiny"}
    assert preset_name(replace(nets, prompting=None)) == {}, "half of what the name stands for"


def test_rounding_tells_how_much_each_graph_changes() -> None:
    nets = prompted()
    figures = round_off(nets)
    assert set(figures) == {
        "half.velocity", "half.decoder", "half.descend",
            "int8.encoder", "int8.semantic", "int8.music",
        "int8.text", "int8.quantise", "int8.prefix", "int8.language", "int8.write", "int8.lean",
        "int8.evidence", "int8.tokens",
    }  # fmt: skip
    tokens = float(figures.pop("int8.tokens"))
    assert 0 <= tokens < 0.3
    assert all(0 < float(change) < 0.05 for change in figures.values())
    again = round_off(nets)
    assert set(again.values()) == {0.0}, "what is rounded stays as it is"


def test_networks_unfit_to_ship_are_refused_before_any_is_rounded() -> None:
    nets = prompted()
    assert nets.prompting is not None
    before = nets.autoencoder.encoder.enter.weight.detach().clone()
    with torch.no_grad():
        nets.prompting.language.embed.weight[0, 0] = float("inf")
    with pytest.raises(BundleError, match=r"language: embed\.weight holds NaN or infinity"):
        round_off(nets)
    assert torch.equal(nets.autoencoder.encoder.enter.weight, before)
