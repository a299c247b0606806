import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest

from engine.admission import ENOUGH, Load
from engine.backends import open_backend, standin
from engine.bundle import Bundle, default_bundle_path
from engine.controls import Controls
from engine.errors import RoomError
from engine.generator import Generator
from engine.pool import Pool, workers
from engine.runner import Runner

CHUNK = 7680
"""Samples of a chunk of 320 ms: long beside a tick, so that nobody is ever in a hurry."""
BLOCKS = 8
"""Fewer than the scheduler learns from: until then rings are filled to the brim."""


@pytest.fixture
def bundle() -> Bundle:
    return standin.bundle(prompting=True)


@pytest.fixture
def pool(bundle: Bundle, backend: standin.StandIn) -> Iterator[Pool]:
    pool = pool_of(bundle, backend)
    yield pool
    pool.close()


def pool_of(
    bundle: Bundle, backend: standin.StandIn, slots: int = 8, chunk_s: float = 60.0
) -> Pool:
    """Rings that hold all that is looked at; for admission chunks are as long as is said."""
    return Pool(
        lambda: Generator(bundle, backend), chunk_s=chunk_s, slots=slots,
        ring_s=BLOCKS * 0.32, threads=2,
    )  # fmt: skip


def seeded(bundle: Bundle, seed: int) -> Controls:
    controls = Controls(bundle.manifest.controls)
    controls.set("seed", seed)
    return controls


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen within 30 s"
        time.sleep(0.005)


def full(runner: Runner) -> bool:
    return runner.ring.fill_samples >= BLOCKS * CHUNK


def heard(runner: Runner, blocks: int = BLOCKS) -> np.ndarray:
    out = np.zeros((blocks * CHUNK, 1), np.float32)
    assert runner.ring.read_into(out) == len(out)
    return out


def join(pool: Pool, controls: Controls) -> Runner:
    """Joins as soon as there is room."""
    with suppress(RoomError):
        return pool.join(controls)
    pool._crew._load = measured()
    return pool.join(controls)


def measured() -> Load:
    """Ticks so short that there is room for many."""
    load = Load()
    for _ in range(ENOUGH):
        load.record(0.0, 0.001, 10, 0.001, 10)
    return load


def test_the_same_seed_gives_the_same_samples_alone_and_in_company(
    pool: Pool, bundle: Bundle
) -> None:
    alone = {}
    for seed in (1, 2, 3):
        generator = Generator(bundle, standin.StandIn(bundle))
        snapshot = seeded(bundle, seed).snapshot()
        alone[seed] = np.concatenate([generator.tick(snapshot).audio for _ in range(BLOCKS)])
    runners = {seed: join(pool, seeded(bundle, seed)) for seed in (1, 2)}
    passer_by = join(pool, seeded(bundle, 9))
    runners[3] = join(pool, seeded(bundle, 3))
    until(lambda: passer_by.ready.is_set())
    pool.leave(passer_by)
    until(lambda: all(map(full, runners.values())))
    for seed, runner in runners.items():
        assert runner.status().cover_blocks == 0
        np.testing.assert_array_equal(heard(runner), alone[seed])
    assert not np.array_equal(alone[1], alone[2])


def test_a_place_left_is_free_for_another(bundle: Bundle, backend: standin.StandIn) -> None:
    pool = pool_of(bundle, backend, slots=1)
    first = pool.join(seeded(bundle, 1))
    with pytest.raises(RoomError, match="all 1 places are taken") as refusal:
        pool.join(seeded(bundle, 2))
    assert refusal.value.retry_s > 0
    until(lambda: full(first))
    pool.leave(first)
    pool.leave(first)  # twice is once
    assert pool.taken == 0
    again = pool.join(seeded(bundle, 1))
    until(lambda: full(again))
    np.testing.assert_array_equal(heard(again), heard(first))
    pool.close()
    assert pool.taken == 0


def test_who_would_not_fit_is_refused_and_those_who_play_go_on(
    bundle: Bundle, backend: standin.StandIn
) -> None:
    backend.faults.graph, backend.faults.delay_s = "velocity", 0.01
    pool = pool_of(bundle, backend, chunk_s=0.08)  # two threads, 10 passes of over 10 ms: one fits
    first = pool.join(seeded(bundle, 1))
    with pytest.raises(RoomError, match="measured"):
        pool.join(seeded(bundle, 2))
    until(lambda: full(first))
    heard(first, 4)
    until(lambda: full(first))
    with pytest.raises(RoomError, match="leave no room for another"):
        pool.join(seeded(bundle, 2))
    assert pool.taken == 1
    heard(first, 2)
    until(lambda: full(first))
    pool.close()


def test_a_stream_that_fails_is_covered_for_and_the_others_do_not_notice(
    bundle: Bundle, backend: standin.StandIn
) -> None:
    broken = standin.Faults("decoder")
    made: list[standin.StandIn] = [backend, standin.StandIn(bundle, broken)]
    pool = Pool(
        lambda: Generator(bundle, made.pop(0) if made else backend), chunk_s=60.0, slots=4,
        ring_s=BLOCKS * 0.32, threads=2,
    )  # fmt: skip
    good = pool.join(seeded(bundle, 1))
    until(lambda: full(good))
    bad = join(pool, seeded(bundle, 2))
    until(lambda: bad.ready.is_set())
    broken.error = MemoryError("gone")
    heard(good, 4)
    until(lambda: bad.status().replaced_blocks and full(good))
    assert good.status().replaced_blocks == good.status().cover_blocks == 0
    pool.close()


def test_a_stuck_stream_does_not_keep_the_others_waiting(
    bundle: Bundle, backend: standin.StandIn
) -> None:
    release, stuck = threading.Event(), threading.Event()

    class Stuck(standin.Faults):
        def poisoned(self, outputs):
            if stuck.is_set():
                release.wait(30)
            return super().poisoned(outputs)

    made: list[standin.StandIn] = [backend, standin.StandIn(bundle, Stuck())]
    pool = Pool(
        lambda: Generator(bundle, made.pop(0) if made else backend), chunk_s=60.0, slots=4,
        ring_s=BLOCKS * 0.32, threads=1,
    )  # fmt: skip
    good = pool.join(seeded(bundle, 1))
    until(lambda: full(good))
    bad = join(pool, seeded(bundle, 2))
    until(lambda: full(bad))
    stuck.set()
    heard(bad)
    until(lambda: bad.status().busy)
    pool._crew.let_go(bad._worker, 0.0)  # as the runner does after three missed deadlines
    heard(good, 4)
    until(lambda: full(good))
    release.set()
    pool.close()


def test_a_newcomer_can_wait_but_not_for_ever(
    bundle: Bundle, backend: standin.StandIn, pool: Pool
) -> None:
    backend.faults.graph, backend.faults.delay_s = "velocity", 0.02
    runner = pool.join(seeded(bundle, 1))
    hand = runner._worker
    before_s = hand.left_s()
    time.sleep(0.02)
    assert not runner.ready.is_set()
    assert hand.left_s() < before_s <= 60.0
    backend.faults.delay_s = 0.0
    until(lambda: full(runner))
    assert hand.left_s() == pytest.approx(BLOCKS * 0.32, abs=0.33)


def test_weights_are_loaded_once(bundle: Bundle) -> None:
    sessions: list[str] = []

    class Counted(standin.StandIn):
        def session(self, graph):
            sessions.append(graph)
            return self._same.setdefault(graph, super().session(graph))

        _same: dict = {}  # noqa: RUF012

    backend = Counted(bundle)
    pool = pool_of(bundle, backend)
    runners = [join(pool, seeded(bundle, seed)) for seed in range(3)]
    until(lambda: all(map(full, runners)))
    assert {runner._worker.generator._context._slots.session for runner in runners} == {
        backend._same["velocity"]
    }
    pool.close()


def test_there_is_always_a_thread() -> None:
    assert workers() >= 1
    assert workers(10_000) == 1


def test_the_shipped_bundle_plays_the_same_alone_and_in_company() -> None:
    pytest.importorskip("onnxruntime")
    bundle = Bundle.open(default_bundle_path())
    backend = open_backend("auto", bundle)

    def blocks(seed: int, out: list[np.ndarray]) -> None:
        generator = Generator(bundle, backend, seed=seed)
        snapshot = Controls(bundle.manifest.controls).snapshot()
        out.extend(generator.tick(snapshot, 4).audio for _ in range(3))

    company: dict[int, list[np.ndarray]] = {seed: [] for seed in (1, 2, 3)}
    threads = [threading.Thread(target=blocks, args=item) for item in company.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (1, 3):
        alone: list[np.ndarray] = []
        blocks(seed, alone)
        np.testing.assert_array_equal(np.concatenate(company[seed]), np.concatenate(alone))
