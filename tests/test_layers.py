from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())
ABOVE = {"torch", "onnx", "onnxscript", "triton", "scipy", "matplotlib", "mido"}
OURS = {"model", "export", "kernels", "bench", "tests"}
RIG = {"pythonosc", "mido", "rtmidi", "zeroconf", "textual", "rich"}
SCREEN = {"engine.rig.panels", "engine.rig.screen"}
"""Imported with --screen only: these need textual."""
IN_TORCH = "engine.backends.torch."
"""What lies behind the door of the torch backend, which is opened when it is asked for."""
MODULE_OF = {
    "prometheus-client": "prometheus_client",
    "python-osc": "pythonosc",
    "python-rtmidi": "rtmidi",
}
"""Where a distribution and its import package have different names."""


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a process that has run nothing else."""
    own = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", own], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def modules(package: str) -> list[str]:
    paths = sorted((HOUSE / package).rglob("*.py"))
    names = [".".join(path.relative_to(HOUSE).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def imported_by(package: str) -> Iterator[str]:
    """Top-level names in every import statement of a package, lazy ones included."""
    for path in (HOUSE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def distributions(requirements: list[str]) -> set[str]:
    names = {line.split("=")[0].split("<")[0].split(">")[0].split("!")[0] for line in requirements}
    return {MODULE_OF.get(name, name) for name in names}


def test_the_whole_engine_loads_nothing_from_above() -> None:
    below = [name for name in modules("engine") if name not in SCREEN]
    imports = "\n".join(f"import {name}" for name in below if not name.startswith(IN_TORCH))
    loaded = loaded_after(imports)
    assert "engine" in loaded
    assert not loaded & (ABOVE | OURS | RIG)


def test_the_command_line_is_read_before_anything_heavy_loads() -> None:
    loaded = loaded_after("import engine.cli; engine.cli.parser()")
    assert not loaded & {
        "numpy",
        "onnxruntime",
        "soundfile",
        "sounddevice",
        "websockets",
        "asyncio",
    }


def test_render_opens_neither_sockets_nor_sound_devices() -> None:
    loaded = loaded_after("import engine.commands.render")
    assert not loaded & {"sounddevice", "websockets", "prometheus_client"}


def test_the_engine_imports_only_what_its_base_dependencies_bring() -> None:
    base = distributions(PROJECT["project"]["dependencies"])
    foreign = set(imported_by("engine")) - set(sys.stdlib_module_names) - {"engine"}
    ports = distributions(PROJECT["project"]["optional-dependencies"]["rig"])
    assert ports == RIG
    opus = distributions(PROJECT["project"]["optional-dependencies"]["opus"])
    assert opus == {"av"}
    # Of the extras cpu and gpu, of tensorrt, and of one backend that is asked for by name.
    assert foreign - base - ports - opus == {"onnxruntime", "tensorrt", "cuda", "torch", "kernels"}
    assert set(imported_by("engine/backends/torch")) >= {"torch", "kernels"}


def test_one_runtime_or_the_other() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert distributions(extras["cpu"]) == {"onnxruntime"}
    assert distributions(extras["gpu"]) == {"onnxruntime-gpu"}
    others = [
        line for name, lines in extras.items() if name not in ("cpu", "gpu") for line in lines
    ]
    assert not {"onnxruntime", "onnxruntime-gpu"} & distributions(others)


@pytest.mark.parametrize("package", ["engine", "model", "export", "kernels", "bench"])
def test_every_package_is_listed(package: str) -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(HOUSE) for path in (HOUSE / package).rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} <= listed
