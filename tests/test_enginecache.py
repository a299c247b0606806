import multiprocessing
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.enginecache import EngineCache, EngineKey, default_folder

KEY = EngineKey(
    "bundle", "velocity abc", "latents (1,) (1,) (2,)", "half", "H200 9.0", "580.1", ("trt 10.13",)
)


class Bench:
    """A cache whose words and builds are noted."""

    def __init__(self, folder: Path, most_bytes: int = 1 << 20) -> None:
        self.said: list[str] = []
        self.built: list[bytes] = []
        self.cache = EngineCache(folder, most_bytes=most_bytes, say=self.said.append)

    def engine(self, key: EngineKey = KEY, content: bytes = b"engine", renew=None) -> bytes:
        def build() -> bytes:
            self.built.append(content)
            return content

        return self.cache.engine(key, build, renew)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache")


def only(bench: Bench) -> Path:
    (path,) = bench.cache.folder.glob("*.engine")
    return path


def test_an_engine_is_built_once(bench: Bench) -> None:
    assert [bench.engine(), bench.engine(content=b"another")] == [b"engine", b"engine"]
    assert bench.built == [b"engine"]
    assert "velocity abc: building an engine for H200 9.0" in bench.said[0]


@pytest.mark.parametrize("field", ["bundle", "graph", "shapes", "precision", "gpu", "driver"])
def test_whatever_changes_another_engine_is_built(bench: Bench, field: str) -> None:
    bench.engine()
    assert bench.engine(replace(KEY, **{field: "other"}), b"new") == b"new"
    assert bench.engine(replace(KEY, libraries=("trt 10.14",)), b"newer") == b"newer"
    assert bench.engine() == b"engine"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda c: c[:-1], "5 of 6 bytes"),
        (lambda c: c[:-1] + b"?", "its sha256 differs"),
        (lambda c: b"\0" * 20, "it has no head"),
        (lambda c: b"", "it has no head"),
    ],
)
def test_a_corrupt_engine_is_built_again(bench: Bench, spoil, says: str) -> None:
    bench.engine()
    only(bench).write_bytes(spoil(only(bench).read_bytes()))
    assert bench.engine(content=b"second") == b"second"
    assert says in bench.said[1] and "built again" in bench.said[1]
    assert bench.engine() == b"second"


def test_an_engine_under_a_wrong_name_is_built_again(bench: Bench) -> None:
    bench.engine()
    other = replace(KEY, driver="590.2")
    only(bench).rename(bench.cache.folder / f"{other.name}.engine")
    assert bench.engine(other, b"second") == b"second"
    assert "built for something else" in bench.said[1]


def test_new_weights_are_put_into_an_engine_of_the_same_structure(bench: Bench) -> None:
    bench.engine()
    tuned = replace(KEY, bundle="tuned")
    assert bench.engine(tuned, renew=lambda old: old + b" refitted") == b"engine refitted"
    assert bench.built == [b"engine"] and "weights of this bundle" in bench.said[-1]
    assert bench.engine() == b"engine"  # the first is still there
    assert bench.engine(replace(KEY, bundle="third"), b"built", lambda old: None) == b"built"
    assert bench.engine(replace(tuned, gpu="A100 8.0"), b"other", lambda old: old) == b"other"


def test_the_longest_unused_go_when_the_folder_is_full(bench: Bench, tmp_path: Path) -> None:
    small = Bench(tmp_path / "small", most_bytes=4000)
    keys = [replace(KEY, graph=f"graph {i}") for i in range(4)]
    for age, key in enumerate(keys):
        small.engine(key, bytes(1000))
        os.utime(small.cache.folder / f"{key.name}.engine", (age, age))
    small.engine(keys[0], b"x")  # used again: the youngest now
    small.engine(replace(KEY, graph="large"), bytes(1000))
    left = {key.graph for key in keys if (small.cache.folder / f"{key.name}.engine").exists()}
    assert left == {"graph 0", "graph 3"}
    small.engine(replace(KEY, graph="huge"), bytes(9000))
    assert [path.stat().st_size > 9000 for path in small.cache.folder.glob("*.engine")] == [True]


def test_nothing_half_written_is_left_where_the_disk_is_full(bench: Bench, monkeypatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert bench.engine() == b"engine"
    assert "No space left on device" in bench.said[-1] and "built again" in bench.said[-1]
    assert [path.name for path in bench.cache.folder.iterdir() if path.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bench = Bench(tmp_path / "file")
    assert bench.engine() == b"engine"
    assert "cannot be written" in bench.said[-1]
    assert bench.cache.place(KEY) is None
    bench.cache.keep_timings(KEY, b"x")
    assert bench.cache.timings(KEY) == b""


def test_two_at_once_build_once(bench: Bench) -> None:
    started, go_on = threading.Event(), threading.Event()
    found: list[bytes] = []

    def slow() -> bytes:
        started.set()
        assert go_on.wait(30)
        return b"built slowly"

    first = threading.Thread(target=lambda: found.append(bench.cache.engine(KEY, slow)))
    second = threading.Thread(target=lambda: found.append(bench.engine()))
    first.start()
    assert started.wait(30)
    second.start()
    while not any("waiting" in line for line in bench.said) and second.is_alive():
        second.join(0.01)
    go_on.set()
    first.join(30)
    second.join(30)
    assert found == [b"built slowly"] * 2 and not bench.built


def _hold(folder: Path) -> None:
    EngineCache(folder, say=lambda line: None).engine(KEY, lambda: os._exit(1))  # type: ignore[arg-type]


def test_a_builder_that_was_killed_blocks_nobody(bench: Bench) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_hold, args=(bench.cache.folder,))
    child.start()
    child.join(30)
    assert bench.engine() == b"engine"


def test_a_library_gets_a_folder_for_each_key(bench: Bench) -> None:
    place = bench.cache.place(KEY)
    assert place is not None and place.is_dir() and not any(place.iterdir())
    (place / "engine.plan").write_bytes(b"theirs")
    assert bench.cache.place(replace(KEY, driver="590")) != place
    assert (bench.cache.place(KEY) or place) / "engine.plan" in list(place.iterdir())
    bench.cache.forget(KEY)
    assert not place.exists()


def test_timings_belong_to_the_machine_not_to_the_bundle(bench: Bench) -> None:
    assert bench.cache.timings(KEY) == b""
    bench.engine()
    bench.cache.keep_timings(KEY, b"timed")
    assert bench.cache.timings(replace(KEY, bundle="b", graph="g")) == b"timed"
    assert bench.cache.timings(replace(KEY, gpu="A100 8.0")) == b""


def test_the_folder_can_be_named(monkeypatch) -> None:
    monkeypatch.setenv("PERPETUO_CACHE", "/somewhere")
    assert default_folder() == Path("/somewhere")
    monkeypatch.delenv("PERPETUO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_folder() == Path("/caches/perpetuo")
