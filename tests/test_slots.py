import gc
import threading

import numpy as np
import pytest

from engine.backends import standin
from engine.context import CachedContext
from engine.controls import Controls
from engine.errors import RoomError, UsageError
from engine.generator import Block, Generator
from engine.lockstep import alone, together
from engine.slots import Slots, shared_slots, spans

BUNDLE = standin.bundle(context_chunks=6, steps=4, depth=1, fallback_steps=(2,), prompting=True)
BACKEND = standin.StandIn(BUNDLE)
CONTROLS = Controls(BUNDLE.manifest.controls)


def slots(rows: int) -> Slots:
    return Slots(BUNDLE, BACKEND, 16, rows)


def stream(seed: int, shared: Slots | None = None) -> Generator:
    return Generator(BUNDLE, BACKEND, seed=seed, slots=shared)


def asked(**values: float):
    controls = Controls(BUNDLE.manifest.controls)
    controls.update(values)
    return controls.snapshot()


def test_the_lowest_free_row_is_taken_and_comes_back_with_its_stream() -> None:
    shared = slots(2)
    one = CachedContext(BUNDLE, BACKEND, 16, shared)
    two = CachedContext(BUNDLE, BACKEND, 16, shared)
    assert (one.row, two.row) == (0, 1)
    with pytest.raises(RoomError, match="all 2 rows are taken"):
        shared.take()
    del one
    gc.collect()
    assert shared.take() == 0


def test_rows_side_by_side_are_one_run() -> None:
    assert spans([5, 0, 2, 1]) == [(0, 3), (5, 6)]
    assert spans([]) == []


def test_the_same_seed_gives_the_same_samples_alone_and_in_company() -> None:
    """Streams with other plans, guidance and steps, one from a take, one that leaves and comes."""
    said = [asked(), asked(guidance=2.5), asked(steps=2), asked(density=0.9), asked()]
    shared = slots(5)
    take = 0.1 * np.sin(np.arange(60000) / 11).astype(np.float32)[:, None]
    own = [stream(seed) for seed in range(5)]
    crowd = [stream(seed, shared) for seed in range(5)]
    for pair in (own, crowd):
        pair[3].prime(take)
    for number in range(9):
        playing = [row for row in range(5) if row != 1 or not 3 <= number < 5]
        made = together([crowd[row].ticking(said[row]) for row in playing])
        for row, block in zip(playing, made, strict=True):
            assert isinstance(block, Block)
            np.testing.assert_array_equal(block.audio, own[row].tick(said[row]).audio)


def test_a_stream_that_joins_a_used_row_begins_from_nothing() -> None:
    shared = slots(2)
    first = stream(1, shared)
    for _ in range(8):
        first.tick(asked())
    del first
    gc.collect()
    late, beside = stream(2, shared), stream(3, shared)
    for made, alone_ in zip(
        together([late.ticking(asked()), beside.ticking(asked())]), (2, 3), strict=True
    ):
        assert isinstance(made, Block)
        np.testing.assert_array_equal(made.audio, stream(alone_).tick(asked()).audio)


def test_threads_that_share_slots_do_not_disturb_each_other() -> None:
    shared, found = slots(4), {}

    def play(rows: list[int]) -> None:
        generators = [stream(row, shared) for row in rows]
        for _ in range(6):
            blocks = together([one.ticking(asked()) for one in generators])
            for row, block in zip(rows, blocks, strict=True):
                found[row] = block.audio

    threads = [threading.Thread(target=play, args=(rows,)) for rows in ([0, 2], [1, 3])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row in range(4):
        own = stream(row)
        blocks = [own.tick(asked()) for _ in range(6)]
        np.testing.assert_array_equal(found[row], blocks[-1].audio)


def test_a_broken_stream_breaks_nobody_else() -> None:
    shared = slots(2)
    good, bad = stream(1, shared), stream(2, shared)
    bad._decoder.decode = lambda latents: 1 / 0
    block, error = together([good.ticking(asked()), bad.ticking(asked())])
    assert isinstance(error, ZeroDivisionError)
    np.testing.assert_array_equal(block.audio, stream(1).tick(asked()).audio)


def test_nothing_is_shared_where_there_is_nothing_to_share() -> None:
    assert shared_slots(BUNDLE, BACKEND, 1) is None
    window = standin.bundle(kind="window")
    assert shared_slots(window, standin.StandIn(window), 4) is None
    assert shared_slots(BUNDLE, BACKEND, 4).rows == 4
    coarse = standin.StandIn(BUNDLE)
    coarse.name = "standin-int8"  # rows would touch each other
    assert shared_slots(BUNDLE, coarse, 4) is None
    assert alone(stream(0).ticking(asked())).index == 0


def test_a_graph_of_one_row_takes_one_stream() -> None:
    from dataclasses import replace

    graph = BUNDLE.manifest.graphs["velocity"]
    inputs = tuple(replace(t, shape=(1, *t.shape[1:])) for t in graph.inputs)
    graphs = {**BUNDLE.manifest.graphs, "velocity": replace(graph, inputs=inputs)}
    fixed = replace(BUNDLE, manifest=replace(BUNDLE.manifest, graphs=graphs))
    with pytest.raises(UsageError, match="one stream at a time"):
        Slots(fixed, BACKEND, 16, 2)
