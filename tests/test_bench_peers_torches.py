from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from bench.peers.torches import millions, settled


def test_a_settled_module_has_plain_weights_and_no_gradients() -> None:
    module = settled(nn.Sequential(weight_norm(nn.Linear(4, 4)), nn.Dropout()))
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    assert [name for name, _ in module.named_parameters()] == ["0.bias", "0.weight"]


def test_shared_parameters_count_once() -> None:
    one = nn.Linear(1000, 1000, bias=False)
    assert millions(one, nn.Sequential(one)) == 1.0
