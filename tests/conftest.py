from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from engine.backends import standin
from engine.bundle import Bundle, seal
from engine.controls import Controls, ControlSnapshot
from engine.generator import Generator

settings.register_profile("quiet", deadline=None, max_examples=50)
settings.load_profile("quiet")

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tests run side by side, and networks of this size gain nothing from a second thread."""

DENORMAL = 1e-39
"""As float32."""

ROOMS = {
    "tiny_export": "export", "tiny_corpus": "recipe",
    "watching": "live", "chromium": "live", "sound_server": "live", "icecasting": "live",
}  # fmt: skip
"""Helpers whose tests share one worker: they want the same bundle, or a machine that keeps time."""
HELPER = re.compile(rf"^(?:from|import) (?:tests\.|bench\.)?({'|'.join(ROOMS)})\b", re.MULTILINE)


@cache
def room_of(path: Path) -> str:
    """The room of the first such helper that a test file imports, else its own."""
    found = HELPER.search(path.read_text(encoding="utf-8"))
    return ROOMS[found[1]] if found else path.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rooms take longest: they are first."""
    items.sort(key=lambda item: room_of(item.path) not in ROOMS.values())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers of `pytest -n` take a room at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return room_of(config.rootpath / nodeid.partition("::")[0])

    config.option.loadscopereorder = False
    return Rooms(config, log)


def pytest_runtest_setup() -> None:
    """Every test begins with numbers as IEEE 754 has them.

    ONNX Runtime flushes denormals for the thread that opens a process's first session, which
    is what an engine wants, and what property tests of arithmetic must not meet.
    """
    if np.float32(DENORMAL) * np.float32(1.0) == 0.0:
        import torch

        torch.set_flush_denormal(False)


@pytest.fixture
def bundle() -> Bundle:
    """The stand-in bundle: the live preset's audio format, small context."""
    return standin.bundle()


@pytest.fixture
def backend(bundle: Bundle) -> standin.StandIn:
    """The stand-in backend; `backend.faults` breaks it."""
    return standin.StandIn(bundle)


@pytest.fixture
def generator(bundle: Bundle, backend: standin.StandIn) -> Generator:
    return Generator(bundle, backend)


@pytest.fixture
def controls(bundle: Bundle) -> Controls:
    return Controls(bundle.manifest.controls)


@pytest.fixture
def snapshot(controls: Controls) -> ControlSnapshot:
    """The default controls."""
    return controls.snapshot()


@pytest.fixture
def take() -> np.ndarray:
    """Three seconds of a tone at 24 kHz, float32[samples, 1]."""
    time_s = np.arange(72000) / 24000
    return (0.3 * np.sin(2 * np.pi * 330 * time_s)).astype(np.float32)[:, None]


@pytest.fixture
def asked_bundle() -> Bundle:
    """The stand-in bundle that takes prompts."""
    return standin.bundle(prompting=True)


@pytest.fixture
def dummy_bundle(tmp_path: Path, bundle: Bundle) -> Path:
    """A sealed bundle on disk whose graphs are made-up bytes."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name, size in (("encoder", 300), ("decoder", 500), ("velocity", 700)):
        content = np.random.default_rng(size).bytes(size)
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "LICENSE").write_text("Apache-2.0\n")
    seal(folder, bundle.manifest.to_json())
    return folder
