import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "onnx", "scipy", "matplotlib", "onnxscript", "triton")


def modules() -> list[str]:
    """All but what runs as a program, and what lies behind the door of the torch backend."""
    found = pkgutil.walk_packages(engine.__path__, "engine.")
    names = [module.name for module in found if not module.name.endswith("__main__")]
    return [name for name in names if not name.startswith("engine.backends.torch.")]


def loaded_after(code: str) -> set[str]:
    report = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_engine_loads_nothing_heavy() -> None:
    loaded = loaded_after("import engine")
    assert not loaded & {*HEAVY, "numpy", "onnxruntime", "sounddevice"}


def test_no_part_of_the_engine_loads_torch() -> None:
    loaded = loaded_after("\n".join(f"import {name}" for name in modules()))
    assert not loaded & {*HEAVY, "model", "export", "kernels", "bench", "onnxruntime"}


@pytest.mark.parametrize("name", ["angles", "window", "scheduler", "controls", "ring", "spec"])
def test_the_pure_floors_know_no_socket_and_no_runtime(name: str) -> None:
    loaded = loaded_after(f"import engine.{name}")
    assert not loaded & {"socket", "asyncio", "onnxruntime", "soundfile", "engine.generator"}
