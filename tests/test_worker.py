import numpy as np

from engine.backends import standin
from engine.controls import ControlSnapshot
from engine.generator import Generator
from engine.worker import Job, Worker


def test_a_job_gives_a_block(generator: Generator, snapshot: ControlSnapshot) -> None:
    worker = Worker(lambda: generator)
    results = []
    for _ in range(2):
        worker.ask(Job(snapshot, 4, recover=False))
        results.append(worker.result(10.0))
    worker.dismiss(10.0)
    assert [result.block.index for result in results] == [0, 1]
    assert [result.cold for result in results] == [True, False]
    assert results[0].block.steps == 4
    assert worker.generator is generator


def test_nothing_in_time_is_none(
    generator: Generator, backend: standin.StandIn, snapshot: ControlSnapshot
) -> None:
    backend.faults.delay_s = 0.2
    worker = Worker(lambda: generator)
    assert worker.result(0.0) is None
    worker.ask(Job(snapshot, 4, recover=False))
    assert worker.result(0.01) is None
    assert worker.result(10.0).block.index == 0
    worker.dismiss(10.0)


def test_a_failed_tick_is_a_result_and_the_next_can_recover(
    generator: Generator, backend: standin.StandIn, snapshot: ControlSnapshot
) -> None:
    worker = Worker(lambda: generator)
    backend.faults.error = MemoryError("gone")
    worker.ask(Job(snapshot, 4, recover=False))
    failed = worker.result(10.0)
    assert failed.block is None
    assert isinstance(failed.error, MemoryError)
    backend.faults.error = None
    worker.ask(Job(snapshot, 4, recover=True))
    assert np.isfinite(worker.result(10.0).block.audio).all()
    worker.dismiss(10.0)


def test_a_generator_that_cannot_be_made_is_tried_again(
    generator: Generator, snapshot: ControlSnapshot
) -> None:
    tries = []

    def make() -> Generator:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no memory")
        return generator

    worker = Worker(make)
    for expected in ("no memory", "None"):
        worker.ask(Job(snapshot, 4, recover=True))
        assert str(worker.result(10.0).error) == expected
    worker.dismiss(10.0)
