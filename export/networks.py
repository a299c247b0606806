"""The networks of a bundle together: their graphs, their preset, and what rounding does to them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from engine.errors import UsageError
from export.graphs import (
    Graph,
    decoder_graph,
    descend_graph,
    encoder_graph,
    velocity_graph,
)
from export.parity import in_torch
from export.prompting import Prompting
from export.rounding import (
    refuse_unusable,
    round_to_factors,
    round_to_half,
    round_to_int8,
)
from export.streams import stream
from model.autoencoder import LiveAutoencoder
from model.presets import PRESETS, Preset
from model.velocity import VelocityNetwork

EVERY_PASS = ("decoder", "velocity", "descend")
"""What is heard in every tick, and keeps half precision; the rest is rounded to int8."""
FACTORS = ("velocity", "language")
"""Where products may be int8: their large matrices are rounded to factors then."""
COMPARED_CHUNKS = 4


@dataclass(frozen=True, slots=True)
class Networks:
    """A trained pair, and those behind its prompts; the context is `cached` or `window`."""

    autoencoder: LiveAutoencoder
    velocity: VelocityNetwork
    context: str
    prompting: Prompting | None = None

    def __post_init__(self) -> None:
        made, read = self.autoencoder.preset.dim, self.velocity.preset.dim
        if made != read:
            raise UsageError(
                f"the autoencoder makes latents of {made} values a frame, the velocity network "
                f"reads {read}: they were not trained for each other"
            )
        if self.prompting is not None:
            self.prompting.refuse_strangers(self.velocity.preset)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The networks by name."""
        autoencoder = self.autoencoder
        parts: dict[str, nn.Module] = {
            "encoder": autoencoder.encoder,
            "decoder": autoencoder.decoder,
            "velocity": self.velocity,
        }
        return parts | (self.prompting.parts if self.prompting else {})

    def graphs(self) -> list[Graph]:
        """All of them as the engine meets them."""
        graphs = [
            encoder_graph(self.autoencoder),
            decoder_graph(self.autoencoder),
            velocity_graph(self.velocity, self.context),
        ]
        if self.context == "cached":
            graphs.append(descend_graph(self.velocity))
        channels = self.autoencoder.preset.channels
        return graphs + (self.prompting.graphs(channels) if self.prompting else [])

    def are_of(self, preset: Preset) -> bool:
        """Have they the sizes of a preset?"""
        own: list[object] = [self.autoencoder.preset, self.velocity.preset]
        wanted: list[object] = [preset.autoencoder, preset.velocity]
        if self.prompting is not None:
            own += [self.prompting.semantic.preset, self.prompting.language.preset]
            wanted = [preset.autoencoder, preset.prompted, preset.semantic, preset.language]
        return own == wanted


def preset_name(networks: Networks) -> dict[str, float | str]:
    """`preset`: the name of the networks' sizes; nothing where they have none."""
    names = [preset.name for preset in PRESETS.values() if networks.are_of(preset)]
    return {"preset": names[0]} if names else {}


def round_off(networks: Networks, int8: bool = False) -> dict[str, float | str]:
    """Round the networks to what the bundle stores, in place; how much each graph changed.

    `int8`: for int8 products. BundleError, and nothing rounded, if a network is unfit to ship.
    """
    for name, part in networks.parts.items():
        refuse_unusable(part, name)
    exact = copy.deepcopy(networks)
    for name, part in networks.parts.items():
        factors = round_to_factors(part) if int8 and name in FACTORS else set()
        (round_to_half if name in EVERY_PASS else round_to_int8)(part, factors)
    figures: dict[str, float | str] = {}
    for before, after in zip(exact.graphs(), networks.graphs(), strict=True):
        kind = "half" if before.name in EVERY_PASS else "int8"
        figures[f"{kind}.{before.name}"] = _change(before, after)
    if exact.prompting is not None and networks.prompting is not None:
        figures["int8.tokens"] = exact.prompting.tokens_apart(networks.prompting)
    return figures


def _change(before: Graph, after: Graph) -> float:
    """Relative RMS of the difference of two graphs over a short stream."""
    one, other = (
        stream(graph, in_torch(graph, torch.float32), COMPARED_CHUNKS) for graph in (before, after)
    )
    scale = float(np.sqrt(np.square(one).mean()))
    return float(np.sqrt(np.square(one - other).mean())) / max(scale, 1e-30)
