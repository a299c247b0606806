from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.peers import rave
from bench.peers.stopwatch import Task


def test_without_its_package_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cached_conv", None)
    with pytest.raises(ImportError, match="--rave-python names a Python that has it"):
        rave.measure(Task(0.5, 1, 0.1, Path()))


def test_it_decodes_a_buffer_at_a_time() -> None:
    pytest.importorskip("rave", exc_type=ImportError)
    model = rave.build(rave.sizes.RAVE_CONFIG, "CAPACITY=2")
    assert model.decode(rave.torch.randn(1, model.latent_size, 1)).shape[-1] == 2048
