"""Musical states as files, and the folder that keeps them by name.

A file is a plain .npz: arrays, uncompressed and without pickle, and beside them `about.json`, the
numbers and names of `engine.memory`. The zip's check sums tell a file that was damaged.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UsageError
from engine.memory import FORMAT, Memory
from engine.rig.sheet import Sheet
from engine.session import Array

SUFFIX = ".state.npz"
ABOUT = "about.json"
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
MOST_BYTES = 1 << 28
MOST_STATES = 256
"""Files in one folder; more are not begun, so that no remote fills a disk."""


class States:
    """The states in one folder, by name."""

    def __init__(self, folder: Path) -> None:
        """It is made where it is not there; UsageError where that cannot be."""
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--states {folder}: no folder can be there: {error.strerror}"
            ) from None
        self.folder = folder

    def names(self) -> list[str]:
        """What can be restored, the newest first."""
        found = [(path.stat().st_mtime, path.name) for path in self.folder.glob(f"*{SUFFIX}")]
        return [name.removesuffix(SUFFIX) for _, name in sorted(found, reverse=True)]

    def path(self, name: str) -> Path:
        """Where the state of this name is; UsageError for what is no name."""
        if not NAME.fullmatch(name):
            raise UsageError(f"state {name!r:.60}: it takes 1 … 40 letters, digits, - and _")
        return self.folder / f"{name}{SUFFIX}"

    def save(self, name: str, memory: Memory) -> Path:
        """Keep it, in the place of one of the same name; UsageError where that fails."""
        path = self.path(name)
        if not path.exists() and len(self.names()) >= MOST_STATES:
            raise UsageError(f"state {name}: there are {MOST_STATES} already; save over one")
        save_state(memory, path)
        return path

    def load(self, name: str) -> Memory:
        """The state of this name; UsageError in one line lists what there is."""
        path = self.path(name)
        if not path.exists():
            known = ", ".join(self.names()[:8]) or "none"
            raise UsageError(f"no state {name!r:.40}; there are: {known}")
        return load_state(path)


def save_state(memory: Memory, path: Path) -> None:
    """Write the file whole or not at all; UsageError where it cannot be written."""
    beside = path.with_name(path.name + ".part")
    about = json.dumps(dict(memory.about), indent=1, ensure_ascii=False)
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as file:
            file.writestr(ABOUT, about)
            for name, array in memory.arrays.items():
                content = BytesIO()
                np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
                file.writestr(f"{name}.npy", content.getbuffer())
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise UsageError(f"state {path} cannot be written: {error.strerror}") from None


def load_state(path: Path) -> Memory:
    """Read a file with distrust; UsageError in one line for what is no state, or is damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            if sum(one.file_size for one in members) > MOST_BYTES:
                raise UsageError(f"{path} is over {MOST_BYTES >> 20} MiB: it is no musical state")
            content = {one.filename: file.read(one) for one in members}
        about = json.loads(content.pop(ABOUT))
        arrays = {name.removesuffix(".npy"): _array(data) for name, data in content.items()}
    except OSError as error:
        raise UsageError(f"state {path} cannot be read: {error.strerror or error}") from None
    except UsageError:
        raise
    except Exception as error:  # whatever a damaged file makes the libraries stumble over
        reason = str(error) or type(error).__name__
        raise UsageError(f"{path} is no musical state, or damaged: {reason:.120}") from None
    return Memory(_checked(about, str(path)), arrays, str(path))


def _array(data: bytes) -> Array:
    array: Array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return array


def _checked(about: object, place: str) -> Mapping[str, Any]:
    """Every field of `about` has its kind; what it says is for `engine.memory` to judge."""
    sheet = Sheet(about, place)
    if sheet.whole("state", 1, 1000) != FORMAT:
        raise UsageError(f"{place} has another format, this version reads {FORMAT}")
    bundle = sheet.inner("bundle")
    for name in ("name", "version", "hash"):
        bundle.text(name)
    for name, least in (("chunk_frames", 1), ("depth", 1), ("steps", 1), ("next", 0), ("seed", 0)):
        sheet.whole(name, least, 2**62)
    ideas = sheet.inner("ideas")
    for name in ideas.names():
        ideas.value(name)
    assert isinstance(about, Mapping)
    _check_words(about.get("prompts"), place)
    if sheet.has("planner"):
        _check_planner(sheet.inner("planner"), about["planner"])
    return about


def _check_planner(sheet: Sheet, planner: Mapping[str, Any]) -> None:
    for name in ("index", "last", "since", *({"asked"} & planner.keys())):
        sheet.whole(name, -(2**62), 2**62)
    for name in ("unread", "fresh", "turned"):
        if not isinstance(planner.get(name), bool):
            raise UsageError(f"{sheet.place}.{name} is no truth value")
    for name, size, kind in (("clock", 3, float), ("key", 2, int)):
        value = planner.get(name)
        right = isinstance(value, list) and len(value) == size
        if value is not None and not (right and all(type(one) is kind for one in value)):
            raise UsageError(f"{sheet.place}.{name} is {value!r:.60}, it takes {size} numbers")


def _check_words(prompts: object, place: str) -> None:
    if prompts is None:
        return
    if isinstance(prompts, list) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str)
        and isinstance(one[1], int | float)
        for one in prompts
    ):  # fmt: skip
        return
    raise UsageError(f"{place}.prompts is {prompts!r:.60}, it takes pairs of text and weight")
