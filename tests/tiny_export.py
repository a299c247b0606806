"""Untrained tiny networks and the bundle made of them, once for all tests of the exporter."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from engine.bundle import Bundle
from export.pack import Label, Networks, pack
from model.autoencoder import LiveAutoencoder
from model.presets import TINY
from model.velocity import VelocityNetwork


def networks(
    context: str = "cached", conditions: tuple[str, ...] = (), merged: tuple[int, ...] = (2, 1)
) -> Networks:
    """Tiny networks with every weight away from zero, so that every branch is heard."""
    torch.manual_seed(5)
    autoencoder = LiveAutoencoder(TINY.autoencoder).eval()
    preset = replace(TINY.velocity, conditions=conditions, merged=merged)
    velocity = VelocityNetwork(preset).eval()
    for parameter in (*autoencoder.parameters(), *velocity.parameters()):
        if not bool(parameter.any()):
            nn.init.normal_(parameter, std=0.05)
    autoencoder.mean += 0.1
    autoencoder.std *= 0.7
    return Networks(autoencoder, velocity, context)


@cache
def packed() -> tuple[Networks, Bundle]:
    """Tiny networks, rounded as their bundle holds them, and the bundle."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pair = networks()
    label = Label(name="tiny", trained_on="nothing at all", note="Sounds of nothing.")
    measured: dict[str, float | str] = {"training.velocity.loss": 1.0}
    return pair, pack(pair, folder / "bundle", label, measured=measured, say=lambda line: None)
