from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from kernels import launch

HOUSE = Path(__file__).parent.parent

WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # importing it now fails
import torch
from kernels import launch, ladder, sru
assert not launch.can_launch(torch.ones(1))
states, final = sru.sru(torch.full((3, 2), 0.5), torch.ones(3, 2))
assert final.tolist() == [1.75, 1.75], final
z = ladder.ladder_step(torch.ones(2, 1), torch.ones(2, 1), torch.tensor([0.0, torch.pi / 2]))
assert z[0].item() == 1.0 and abs(z[1].item() + 1.0) < 1e-6, z
"""


def test_the_plain_versions_need_no_triton() -> None:
    own = [sys.executable, "-c", WITHOUT_TRITON]
    done = subprocess.run(own, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_a_kernel_needs_every_tensor_on_the_gpu_or_the_interpreter(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(launch, "triton", object())
    monkeypatch.setattr(launch, "INTERPRETED", False)
    assert not launch.can_launch(torch.ones(1), None)
    monkeypatch.setattr(launch, "INTERPRETED", True)
    assert launch.can_launch(torch.ones(1), None)
