"""The bundle: a folder of data, verified to the last bit before anything is loaded.

`manifest.json` is written in one canonical form (`canonical`): its field `self` is the sha256 of
the rest, and its bytes must be exactly that form. So the manifest vouches for every file (size
and sha256), and for itself. All files lie flat in the folder; there is no link, no path and
nothing that is code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import BundleError
from engine.graphs import check_graphs
from engine.manifest import Manifest
from engine.session import Floats

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 1 << 20
SUFFIXES = (".onnx", ".data", ".npz", ".json", ".md", ".txt", "")
"""What a bundle may hold; "" is for LICENSE and its like."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_CURE = "the bundle is damaged; fetch it again"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. `path` is None for one that lives in memory (the stand-in).

    `words` are those that its text graph knows, in the order of their ids from 1 on.
    """

    path: Path | None
    manifest: Manifest
    hash: str
    words: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """Verify the folder; every refusal is a BundleError that says what is wrong."""
        folder = Path(path)
        try:
            return cls._open(folder)
        except OSError as error:
            raise BundleError(f"{folder}: {error.strerror or error}; {_CURE}") from None

    @classmethod
    def _open(cls, folder: Path) -> Bundle:
        if not folder.is_dir():
            raise BundleError(f"{folder} is not a folder; name the folder of a bundle")
        values = _read_manifest(folder)
        manifest = Manifest.from_json(values)
        check_graphs(manifest)
        _check_names(manifest)
        _check_listing(folder, manifest)
        for name, spec in manifest.files.items():
            _check_file(folder / name, spec.bytes, spec.sha256)
        words = _read_words(folder / manifest.prompting.words) if manifest.prompting else ()
        return cls(folder, manifest, values["self"], words)

    def at(self, frames: int) -> Bundle:
        """The same bundle with chunks of so many frames as the default, see `Manifest.at`."""
        return replace(self, manifest=self.manifest.at(frames))

    def file(self, name: str) -> Path:
        """Path of a listed file; BundleError if there is none."""
        if self.path is None or name not in self.manifest.files:
            raise BundleError(f"bundle {self.manifest.name} has no file {name}")
        return self.path / name

    def golden(self) -> Floats | None:
        """The golden latents float32[chunks·frames, dim], None if the bundle has none."""
        if self.manifest.golden is None:
            return None
        path = self.file(self.manifest.golden.file)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return np.asarray(arrays["latents"], np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path.name} holds no array `latents`: {error}") from None


def default_bundle_path() -> Path:
    """Where the shipped live bundle lies."""
    return Path(__file__).parent / "bundles" / "live"


def canonical(values: Mapping[str, Any]) -> bytes:
    """The one way to write JSON values down: keys sorted, two spaces, ASCII, a last newline."""
    text = json.dumps(values, indent=2, sort_keys=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def seal(folder: Path, values: Mapping[str, Any]) -> Bundle:
    """Write the manifest of a folder whose files are all in place, and open it.

    values: the manifest's JSON; `files` and `self` are filled in here, from what the folder
    holds. Raises BundleError if the result would be refused; an earlier manifest is replaced.
    """
    files = {path.name: _describe(path) for path in sorted(folder.iterdir()) if _listed(path)}
    body = Manifest.from_json({**values, "files": files}).to_json()
    body["self"] = hashlib.sha256(canonical(body)).hexdigest()
    draft = folder / (MANIFEST + ".part")
    draft.write_bytes(canonical(body))
    os.replace(draft, folder / MANIFEST)
    return Bundle.open(folder)


def _listed(path: Path) -> bool:
    return path.name not in (MANIFEST, MANIFEST + ".part") and not path.name.startswith(".")


def _describe(path: Path) -> dict[str, Any]:
    return {"sha256": _sha256(path), "bytes": path.stat().st_size}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists() and not path.is_symlink():
        raise BundleError(f"{folder} has no {MANIFEST}: it is no bundle, or an incomplete one")
    _check_regular(path)
    size = path.stat().st_size
    if size > MOST_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST} has {size:,} bytes, at most {MOST_MANIFEST_BYTES:,}")
    content = path.read_bytes()
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not JSON ({error}): {_CURE}") from None
    _check_self(content, values)
    return dict(values)


def _read_words(path: Path) -> tuple[str, ...]:
    """A JSON list of different texts."""
    try:
        words = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path.name} is not JSON ({error}): {_CURE}") from None
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise BundleError(f"{path.name} is no list of words: {_CURE}")
    if not words or len(set(words)) != len(words):
        raise BundleError(f"{path.name} has no words, or one twice: {_CURE}")
    return tuple(words)


def _check_self(content: bytes, values: object) -> None:
    if not isinstance(values, dict) or not isinstance(values.get("self"), str):
        raise BundleError(f"{MANIFEST} does not vouch for itself (no field self): {_CURE}")
    try:
        same_form = canonical(values) == content
        body = {key: value for key, value in values.items() if key != "self"}
        found = hashlib.sha256(canonical(body)).hexdigest()
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST}: {error}: {_CURE}") from None
    if found != values["self"] or not same_form:
        raise BundleError(
            f"{MANIFEST} was changed: it says {values['self'][:12]:s}…, "
            f"its content has {found[:12]}…; {_CURE}"
        )


def _check_names(manifest: Manifest) -> None:
    for name in manifest.files:
        if not _PLAIN.fullmatch(name) or name == MANIFEST:
            raise BundleError(f"manifest.files: {name!r:.60} is not a plain file name")
        if Path(name).suffix.lower() not in SUFFIXES:
            raise BundleError(f"{name}: a bundle holds data, never code or {Path(name).suffix}")
    wanted = [graph.file for graph in manifest.every_graph]
    wanted += [file for graph in manifest.every_graph for file in graph.variants.values()]
    wanted += [manifest.golden.file] if manifest.golden else []
    wanted += [manifest.prompting.words] if manifest.prompting else []
    for name in wanted:
        if name not in manifest.files:
            raise BundleError(f"{name!r:.60} is used but not listed in manifest.files")


def _check_listing(folder: Path, manifest: Manifest) -> None:
    for path in folder.iterdir():
        if _listed(path) and path.name not in manifest.files:
            raise BundleError(f"{path.name!r:.60} is not in the manifest: take it out of {folder}")


def _check_regular(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "not a plain file"
        raise BundleError(f"{path.name} is {kind}: a bundle holds plain files only")


def _check_file(path: Path, size: int, sha256: str) -> None:
    if not path.exists() and not path.is_symlink():
        raise BundleError(f"{path.name} is missing: the download is incomplete; fetch it again")
    _check_regular(path)
    found = path.stat().st_size
    if found != size:
        raise BundleError(
            f"manifest says {size:,} bytes, {path.name} has {found:,}: "
            "the download is incomplete; fetch it again"
        )
    digest = _sha256(path)
    if digest != sha256:
        raise BundleError(
            f"{path.name}: manifest says sha256 {sha256[:12]}…, found {digest[:12]}…; {_CURE}"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
