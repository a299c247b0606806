import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Block, Generator
from engine.runner import COVER_S, Runner, _rows
from engine.scheduler import ENOUGH, MARGIN_S

CHUNK = 1920
"""Samples of the short chunks that keep these tests short: 80 ms."""


@pytest.fixture
def bundle() -> Bundle:
    return standin.bundle(chunk_frames=(4,))


class Listener:
    """Reads a ring as a sound device would."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        began_s, taken = time.monotonic(), 0
        while not self._stopping.wait(0.005):
            due = int((time.monotonic() - began_s) * 24000) - taken
            out = np.zeros((due, self.runner.ring.channels), np.float32)
            self.runner.ring.read_into(out)
            taken += due

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


@contextmanager
def playing(
    generator: Generator, controls: Controls, ring_s: float = 0.3, **more
) -> Iterator[tuple[Runner, list[Block]]]:
    blocks: list[Block] = []
    runner = Runner(generator, controls, ring_s=ring_s, on_block=blocks.append, **more)
    runner.start()
    assert runner.ready.wait(20)
    try:
        with Listener(runner):
            yield runner, blocks
    finally:
        runner.stop()


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen within 20 s"
        time.sleep(0.005)


def generated(blocks: list[Block]) -> list[Block]:
    return [block for block in list(blocks) if not block.cover]


def joined(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([block.audio for block in list(blocks)])


def test_what_is_played_is_what_the_ticks_make(generator: Generator, controls: Controls) -> None:
    other = Generator(generator.bundle, standin.StandIn(generator.bundle))
    runner = Runner(generator, controls, ring_s=1.5)
    runner.start()
    until(lambda: runner.ring.fill_samples >= 5 * CHUNK)
    runner.stop()
    heard = np.zeros((5 * CHUNK, 1), np.float32)
    runner.ring.read_into(heard)
    expected = np.concatenate([other.tick(controls.snapshot()).audio for _ in range(5)])
    np.testing.assert_array_equal(heard, expected)


def test_the_ring_is_filled_to_its_target_and_no_further(
    generator: Generator, controls: Controls
) -> None:
    runner = Runner(generator, controls, ring_s=1.0)
    runner.start()
    until(lambda: runner.ring.fill_samples >= 24000)
    time.sleep(0.1)
    runner.stop()
    assert runner.ring.fill_samples < 24000 + 2 * CHUNK
    assert runner.status().holds == runner.status().deadline_misses == 0


def test_blocks_are_handed_on_with_their_place_in_the_stream(
    generator: Generator, controls: Controls
) -> None:
    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(blocks) >= 8)
        status = runner.status()
    assert [b.position_samples for b in blocks] == [CHUNK * n for n in range(len(blocks))]
    assert status.ticks >= 3
    assert status.budget_s == 0.08
    assert 0 < status.real_time_factor < 5
    assert len(status.rungs) == 7


@pytest.mark.parametrize(
    ("graph", "poison"),
    [("decoder", poison) for poison in ("nan", "inf", "dc", "loud")]
    + [("velocity", "nan"), ("velocity", "inf")],
)
def test_what_must_not_be_heard_is_covered_and_counted(
    generator: Generator, backend: standin.StandIn, controls: Controls, graph: str, poison: str
) -> None:
    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(generated(blocks)) >= 6)
        backend.faults.graph, backend.faults.poison = graph, poison
        until(lambda: runner.status().replaced_blocks >= 2)
        backend.faults.poison = ""
        made = len(generated(blocks))
        until(lambda: len(generated(blocks)) >= made + 4)
    music = joined(blocks)
    assert np.isfinite(music).all()
    assert np.abs(music).max() <= 1.0
    assert np.abs(music[: len(music) // 480 * 480].reshape(-1, 480)).max(axis=1).min() > 0.01


def test_a_failing_backend_is_covered_for(
    generator: Generator, backend: standin.StandIn, controls: Controls
) -> None:
    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(generated(blocks)) >= 4)
        backend.faults.error = MemoryError("out of memory")
        until(lambda: runner.status().replaced_blocks >= 3)
        assert runner.status().last_error == "out of memory"
        backend.faults.error = None
        made = len(generated(blocks))
        until(lambda: len(generated(blocks)) >= made + 3)
    assert runner.status().cover_blocks >= 3


def test_a_stall_is_covered_before_the_ring_runs_dry(
    generator: Generator, backend: standin.StandIn, controls: Controls
) -> None:
    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(generated(blocks)) >= 3)
        backend.faults.delay_s = 1.0
        until(lambda: runner.status().deadline_misses >= 1)
        backend.faults.delay_s = 0.0
        made = len(generated(blocks))
        until(lambda: len(generated(blocks)) >= made + 3)
    assert any(block.cover for block in blocks)
    steps = np.abs(np.diff(joined(blocks), axis=0))
    usual = np.abs(np.diff(joined(generated(blocks)[:3]), axis=0)).max()
    assert steps.max() < 1.6 * usual


def test_a_stuck_worker_is_replaced_and_the_music_goes_on(
    bundle: Bundle, controls: Controls
) -> None:
    stuck = threading.Event()
    release = threading.Event()

    class Stuck(standin.Faults):
        def poisoned(self, outputs):
            if stuck.is_set():
                release.wait(30)
            return super().poisoned(outputs)

    generator = Generator(bundle, standin.StandIn(bundle, Stuck()))
    spare = lambda: Generator(bundle, standin.StandIn(bundle))  # noqa: E731
    with playing(generator, controls, spare=spare) as (runner, blocks):
        until(lambda: len(generated(blocks)) >= 3)
        stuck.set()
        until(lambda: runner.status().workers_replaced == 1)
        made = generated(blocks)[-1].index
        until(lambda: generated(blocks)[-1].index > made + 3)
        release.set()
    assert runner.status().workers_replaced == 1
    assert np.isfinite(joined(blocks)).all()


def test_a_replaced_worker_knows_what_was_asked(asked_bundle: Bundle) -> None:
    stuck, release = threading.Event(), threading.Event()

    class Stuck(standin.Faults):
        def poisoned(self, outputs):
            if stuck.is_set():
                release.wait(30)
            return super().poisoned(outputs)

    spares = []

    def spare() -> Generator:
        spares.append(Generator(asked_bundle, standin.StandIn(asked_bundle)))
        return spares[-1]

    controls = Controls(asked_bundle.manifest.controls)
    revision = controls.set("bpm", 90)
    generator = Generator(asked_bundle, standin.StandIn(asked_bundle, Stuck()))
    with playing(generator, controls, spare=spare) as (runner, blocks):
        until(lambda: len(generated(blocks)) >= 3)
        stuck.set()
        until(lambda: runner.status().workers_replaced == 1)
        made = generated(blocks)
        until(lambda: generated(blocks)[-1].index > made[-1].index + 1)
        release.set()
    known = [chunk.plan for chunk in spares[0]._window.chunks[: len(made)]]
    assert {plan.tokens.tobytes() for plan in known} & {b.plan.tokens.tobytes() for b in made}
    assert generated(blocks)[-1].control_revision == revision
    assert generated(blocks)[-1].plan.brief.any()


def test_a_slow_machine_takes_fewer_steps_and_never_falls_silent(
    generator: Generator, backend: standin.StandIn, controls: Controls
) -> None:
    backend.faults.graph = "velocity"
    with playing(generator, controls) as (_, blocks):
        backend.faults.delay_s = 0.012
        until(lambda: any(block.steps < 10 for block in generated(blocks)))
        until(lambda: len(generated(blocks)) >= 8)


def test_hold_keeps_the_present_music(generator: Generator, controls: Controls) -> None:
    with playing(generator, controls) as (_, blocks):
        until(lambda: len(blocks) >= 3)
        controls.set("hold", 1)
        until(lambda: blocks[-1].cover)
        made = len(generated(blocks))
        count = len(blocks)
        until(lambda: len(blocks) >= count + 4)
        assert len(generated(blocks)) == made
        controls.set("hold", 0)
        until(lambda: not blocks[-1].cover)


def test_a_control_is_told_by_the_block_it_made(generator: Generator, controls: Controls) -> None:
    with playing(generator, controls) as (runner, blocks):
        revision = controls.set("seed", 77)
        until(lambda: blocks[-1].control_revision == revision)
        assert runner.status().revision in (0, revision)


def test_a_listener_that_fails_does_not_stop_the_music(
    generator: Generator, controls: Controls
) -> None:
    calls = []

    def fail(block: Block) -> None:
        calls.append(block)
        raise ValueError("the page went away")

    runner = Runner(generator, controls, ring_s=1.0, on_block=fail)
    runner.start()
    until(lambda: len(calls) >= 3)
    runner.stop()


def test_stopping_does_not_wait_for_what_is_stuck(controls: Controls, bundle: Bundle) -> None:
    backend = standin.StandIn(bundle, standin.Faults("encoder"))
    runner = Runner(Generator(bundle, backend), controls, ring_s=0.5)
    backend.faults.graph, backend.faults.delay_s = "velocity", 5.0
    runner.start()
    time.sleep(0.05)
    runner.stop()
    left_behind = [thread for thread in threading.enumerate() if thread.name == "perpetuo-worker"]
    assert left_behind
    assert not runner.ready.is_set()


def test_it_is_busy_while_a_chunk_is_made(bundle: Bundle, controls: Controls) -> None:
    gate, at_work = threading.Event(), threading.Event()
    gate.set()

    class Gated(Generator):
        def tick(self, snapshot, steps=None):
            at_work.set()
            assert gate.wait(20)
            return super().tick(snapshot, steps)

    with playing(Gated(bundle, standin.StandIn(bundle)), controls) as (runner, blocks):
        until(lambda: len(blocks) > 3)
        gate.clear()
        at_work.clear()
        assert at_work.wait(20)
        assert runner.status().busy
        gate.set()
        until(lambda: not runner.status().busy)


def test_starting_anew_leaves_no_gap_and_no_click(generator: Generator, controls: Controls) -> None:
    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(generated(blocks)) > 6)
        runner.start_anew()
        before = len(generated(blocks))
        until(lambda: len(generated(blocks)) > before + 12)
    assert any(block.cover for block in blocks)
    assert [block.index for block in generated(blocks)] == list(range(len(generated(blocks))))
    audio = joined(blocks)[:, 0]
    edges = np.cumsum([len(block.audio) for block in blocks])[:-1]
    jumps = np.abs(np.diff(audio))
    assert jumps[edges - 1].max() <= 1.1 * np.delete(jumps, edges - 1).max()
    assert runner.ring.shortfall_samples == 0


def test_chunks_are_begun_late_once_it_is_known_what_they_take(
    generator: Generator, controls: Controls
) -> None:
    with playing(generator, controls, ring_s=2.0) as (runner, blocks):
        assert runner.status().lead_s == pytest.approx(2.0 + COVER_S)
        until(lambda: len(generated(blocks)) > ENOUGH)
        until(lambda: runner.status().lead_s < 2.0)
        assert runner.status().lead_s > MARGIN_S + COVER_S
        until(lambda: runner.ring.fill_samples < 24000)
        assert runner.ring.shortfall_samples == 0


def test_after_a_miss_chunks_are_begun_earlier(
    generator: Generator, backend: standin.StandIn, controls: Controls
) -> None:
    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(generated(blocks)) >= 3)
        before_s = runner.status().margin_s
        backend.faults.graph, backend.faults.delay_s = "decoder", 0.5
        until(lambda: runner.status().deadline_misses >= 1)
        backend.faults.delay_s = 0.0
        until(lambda: runner.status().margin_s > before_s)
        assert runner.status().spare_s <= 0.0


def test_a_margin_as_long_as_the_ring_keeps_it_full(
    generator: Generator, controls: Controls
) -> None:
    with playing(generator, controls, margin_s=1.0) as (runner, blocks):
        until(lambda: len(generated(blocks)) > ENOUGH + 4)
        assert runner.status().lead_s == pytest.approx(0.3 + COVER_S)


def test_garbage_is_not_collected_in_ticks(generator: Generator, controls: Controls) -> None:
    with playing(generator, controls):
        assert not gc.isenabled()
    assert gc.isenabled()


def test_guidance_makes_passes_of_two_rows(asked_bundle: Bundle) -> None:
    controls = Controls(asked_bundle.manifest.controls)
    assert _rows(controls.snapshot()) == 2
    controls.set("guidance", 1.0)
    assert _rows(controls.snapshot()) == 1


def test_an_errand_is_done_between_ticks(generator: Generator, controls: Controls) -> None:
    found: list[Generator] = []
    with playing(generator, controls) as (runner, blocks):
        runner.between_ticks(lambda one: bool(found.append(one)))
        until(lambda: found)
        made = len(generated(blocks))
        until(lambda: len(generated(blocks)) > made + 2)
    assert found == [generator]


def test_music_that_goes_on_from_elsewhere_is_crossfaded(
    generator: Generator, controls: Controls
) -> None:
    def turn(one: Generator) -> bool:
        one.forget()
        return True

    with playing(generator, controls) as (runner, blocks):
        until(lambda: len(generated(blocks)) > 6)
        runner.between_ticks(turn)
        until(lambda: any(block.cover for block in list(blocks)))
        made = len(generated(blocks))
        until(lambda: len(generated(blocks)) > made + 3)
    assert 480 in [len(block.audio) for block in blocks if block.cover]
    audio = joined(blocks)[:, 0]
    edges = np.cumsum([len(block.audio) for block in blocks])[:-1]
    jumps = np.abs(np.diff(audio))
    assert jumps[edges - 1].max() <= 1.1 * np.delete(jumps, edges - 1).max()


def test_an_errand_that_fails_does_not_stop_the_music(
    generator: Generator, controls: Controls
) -> None:
    with playing(generator, controls) as (runner, blocks):
        runner.between_ticks(lambda _: 1 / 0)
        made = len(generated(blocks))
        until(lambda: len(generated(blocks)) > made + 3)
