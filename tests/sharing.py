"""Heads of keys and values that queries share, given back to each of them."""

from __future__ import annotations

import torch
from torch import nn

PROJECT = ".attend.project.weight"


def unshared(fewer: nn.Module, more: nn.Module, width: int, kv_heads: int, heads: int) -> None:
    """`more`, which has keys and values for each of its heads, as `fewer`, where they share."""
    state = fewer.state_dict()
    for name in state:
        if name.endswith(PROJECT):
            queries, rest = state[name].tensor_split([width])
            each = rest.unflatten(0, (2, kv_heads, -1)).repeat_interleave(heads // kv_heads, 1)
            state[name] = torch.cat([queries, each.flatten(0, 2)])
    more.load_state_dict(state)
