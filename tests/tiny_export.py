"""Untrained tiny networks and the bundles made of them, once for all tests of the exporter."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from engine.brief import brief_size
from engine.bundle import Bundle
from export.networks import Networks
from export.pack import Label, pack
from export.prompting import Prompting
from model.autoencoder import LiveAutoencoder
from model.language import LanguageModel
from model.mulan import Mulan, MulanSizes
from model.presets import TINY
from model.semantic import SemanticEncoder
from model.velocity import VelocityNetwork

WORDS = ("drums", "bass", "slow", "ambient", "no", "drum and bass", "<bpm:120>")


def networks(
    context: str = "cached", conditions: tuple[str, ...] = (), merged: tuple[int, ...] = (2, 1)
) -> Networks:
    """Tiny networks with every weight away from zero, so that every branch is heard."""
    torch.manual_seed(5)
    autoencoder = LiveAutoencoder(TINY.autoencoder).eval()
    sizes = TINY.prompted if conditions else TINY.velocity
    velocity = VelocityNetwork(replace(sizes, conditions=conditions, merged=merged)).eval()
    heard(autoencoder, velocity)
    autoencoder.mean += 0.1
    autoencoder.std *= 0.7
    return Networks(autoencoder, velocity, context)


def prompted() -> Networks:
    """The same with all that a prompt needs."""
    plain = networks(conditions=TINY.prompted.conditions)
    semantic = SemanticEncoder(TINY.semantic, TINY.autoencoder).eval()
    language = LanguageModel(TINY.language, brief_size(TINY.joint)).eval()
    mulan = Mulan(MulanSizes(TINY.semantic.hidden, len(WORDS), TINY.joint)).eval()
    semantic.centroids.normal_()
    mulan.quantiser.entries.normal_(std=0.2)
    heard(semantic, language, mulan)
    prompting = Prompting(semantic, language, mulan, WORDS)
    return replace(plain, prompting=prompting)


def heard(*parts: nn.Module) -> None:
    """Weights and running figures that begin at nothing, or at one, away from there."""
    for part in parts:
        for parameter in part.parameters():
            if not bool(parameter.any()):
                nn.init.normal_(parameter, std=0.05)
        for norm in part.modules():
            if isinstance(norm, nn.BatchNorm1d):
                assert norm.running_mean is not None and norm.running_var is not None
                norm.running_mean.normal_(std=0.1)
                norm.running_var.uniform_(0.5, 2.0)


@cache
def packed() -> tuple[Networks, Bundle]:
    """Tiny networks, rounded as their bundle holds them, and the bundle."""
    label = Label(name="tiny", trained_on="nothing at all", note="Sounds of nothing.")
    return _packed(networks(), label, accelerator=True)


@cache
def packed_prompting() -> tuple[Networks, Bundle]:
    """The same for a bundle that takes prompts; without the form for accelerators."""
    return _packed(prompted(), Label(name="asked", guidance=1.5), accelerator=False)


def _packed(nets: Networks, label: Label, accelerator: bool) -> tuple[Networks, Bundle]:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    measured: dict[str, float | str] = {"training.velocity.loss": 1.0}
    bundle = pack(
        nets, folder / "bundle", label, accelerator=accelerator, measured=measured,
        say=lambda line: None,
    )  # fmt: skip
    return nets, bundle
