"""Engines that were built for this machine, kept on its disk under one key.

An engine is good for exactly the graph, shapes, precision, GPU, driver and libraries that it was
built for; all of them, and the bundle's hash, are its key. A file holds one line of JSON (the key,
size and sha256 of what follows) and the engine. It is written beside its place and renamed into
it, so that it is whole or not there; one that is corrupt, or whose line says something else than
was asked for, is built again. A lock lets one process build while others wait for what it builds.
An engine of the same key but for the bundle is taken as a start where weights can be put into it.

A cache that cannot be written (read-only, full) loses time, never music: the engine is built, used
and not kept, and `say` is told why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 4 << 30
"""What all engines together may take; the longest unused go first."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What an engine is built for."""

    bundle: str  # its hash, which vouches for the weights
    graph: str  # name, and hash of everything but the weights
    shapes: str  # smallest, usual and largest of every free axis
    precision: str
    gpu: str  # name and compute capability
    driver: str
    libraries: tuple[str, ...]  # "name version" of all that has a say in the build

    @property
    def structure(self) -> str:
        """A short name of all but the bundle."""
        return _digest({**asdict(self), "bundle": ""})

    @property
    def name(self) -> str:
        """A short name of the whole."""
        return f"{self.structure}-{_digest(asdict(self))}"


def default_folder() -> Path:
    """PERPETUO_CACHE, or `perpetuo` in the user's cache folder."""
    named = os.environ.get("PERPETUO_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "perpetuo"


class EngineCache:
    """The engines in one folder. Processes and threads may share it."""

    def __init__(
        self, folder: Path | None = None, *, most_bytes: int = MOST_BYTES, say: Say = print
    ) -> None:
        self.folder = folder or default_folder()
        self._most_bytes = most_bytes
        self._say = say

    def engine(
        self, key: EngineKey, build: Callable[[], bytes],
        renew: Callable[[bytes], bytes | None] | None = None,
    ) -> bytes:  # fmt: skip
        """The engine of this key: kept, made of a kept one by `renew`, or built.

        `renew` puts this bundle's weights into an engine that was built for another; None where
        that does not work.
        """
        with self._locked(key):
            kept = self._read(self._path(key), key)
            if kept is None:
                kept = self._renewed(key, renew) if renew else None
            else:
                return kept
            if kept is None:
                self._say(f"{key.graph}: building an engine for {key.gpu}; this is done once")
                kept = build()
            self._write(key, kept)
        return kept

    def timings(self, key: EngineKey) -> bytes:
        """What was measured while engines were built with this GPU, driver and libraries."""
        try:
            return self._timings(key).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, key: EngineKey, timings: bytes) -> None:
        """Keep them for the next build, as far as they can be kept."""
        path = self._timings(key)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError):
            draft.write_bytes(timings)
            os.replace(draft, path)

    def place(self, key: EngineKey) -> Path | None:
        """A folder of this key's own, for a library that keeps its engines itself; None if not."""
        path = self.folder / f"{key.name}.folder"
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                os.utime(path)
        except OSError as error:
            self._say(f"engine cache {self.folder} cannot be written ({_why(error)}): not kept")
            return None
        self._trim(path)
        return path

    def forget(self, key: EngineKey) -> None:
        """Throw away what is kept under a key: it turned out to be of no use."""
        with suppress(OSError):
            self._path(key).unlink(missing_ok=True)
            shutil.rmtree(self.folder / f"{key.name}.folder", ignore_errors=True)

    # ---- files -----------------------------------------------------------------------------

    def _timings(self, key: EngineKey) -> Path:
        machine = {"gpu": key.gpu, "driver": key.driver, "libraries": key.libraries}
        return self.folder / f"{_digest(machine)}.timings"

    def _path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.name}.engine"

    def _read(self, path: Path, key: EngineKey | None) -> bytes | None:
        """The engine in a file, None if there is none or not this one; a spoilt one is told of."""
        try:
            head, engine = _split(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._say(f"{path.name} is not whole ({error}): it is built again")
            return None
        if key is not None and head["key"] != _plain(key):
            self._say(f"{path.name} was built for something else: it is built again")
            return None
        with suppress(OSError):
            os.utime(path)  # used just now
        return engine

    def _renewed(self, key: EngineKey, renew: Callable[[bytes], bytes | None]) -> bytes | None:
        for path in sorted(self.folder.glob(f"{key.structure}-*.engine")):
            if path == self._path(key) or (old := self._read(path, None)) is None:
                continue
            if (new := renew(old)) is not None:
                self._say(f"{key.graph}: weights of this bundle put into an engine built before")
                return new
        return None

    def _write(self, key: EngineKey, engine: bytes) -> None:
        path = self._path(key)
        head = {"key": _plain(key), "bytes": len(engine), "sha256": _sha256(engine)}
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(json.dumps(head, sort_keys=True).encode() + b"\n" + engine)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            self._say(
                f"engine cache {self.folder} cannot be written ({_why(error)}): the engine is "
                "built again at the next start"
            )
            return
        self._trim(path)

    def _trim(self, newest: Path) -> None:
        """Throw away the longest unused until the rest fits; the newest stays."""
        with suppress(OSError):
            entries = [p for p in self.folder.iterdir() if p.suffix in (".engine", ".folder")]
            used = sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True)
            total = _size(newest)
            for path in used:
                if path == newest:
                    continue
                total += _size(path)
                if total > self._most_bytes:
                    self._drop(path)

    def _drop(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, key: EngineKey) -> Iterator[None]:
        """One process at a time; where no lock can be had, whole files are all there is."""
        try:
            import fcntl

            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / f".{key.structure}.lock").open("wb")
        except (ImportError, OSError):
            yield
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._say(f"{key.graph}: another process is building its engine; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and engine of a file; ValueError says what does not fit."""
    line, _, engine = content.partition(b"\n")
    try:
        head = json.loads(line)
        size, digest = head["bytes"], head["sha256"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("it has no head") from None
    if len(engine) != size:
        raise ValueError(f"{len(engine):,} of {size:,} bytes")
    if _sha256(engine) != digest:
        raise ValueError("its sha256 differs")
    return head, engine


def _plain(key: EngineKey) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(key)))
    return plain


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def _why(error: OSError) -> str:
    return error.strerror or str(error)
