"""What the contenders in torch share."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from model.autoencoder_paper import remove_weight_norm

Module = TypeVar("Module", bound=nn.Module)


def settled(module: Module) -> Module:
    """Ready to play: no dropout, weight norms folded, no gradients."""
    remove_weight_norm(module)
    module.eval().requires_grad_(False)
    return module


def millions(*modules: nn.Module) -> float:
    """Parameters, in millions; shared ones once."""
    found = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(found.values()) / 1e6
