import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import ControlSnapshot
from engine.crew import Crew, Hand
from engine.errors import RoomError
from engine.generator import Generator
from engine.slots import Run, Slots
from engine.worker import Job


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(1)
    yield crew
    crew.close()


class Gated(Generator):
    """Ticks when it is let."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, standin.StandIn(bundle))
        self.gate, self.at_work = threading.Event(), threading.Event()

    def tick(self, controls, steps=None):
        self.at_work.set()
        assert self.gate.wait(20)
        return super().tick(controls, steps)

    def ticking(self, controls, steps=None):
        self.at_work.set()
        assert self.gate.wait(20)
        return (yield from super().ticking(controls, steps))


def hand_of(crew: Crew, bundle: Bundle, left_s: float = 1.0) -> Hand:
    return crew.hire(lambda: Generator(bundle, standin.StandIn(bundle)), lambda: left_s)


def at_work(crew: Crew, bundle: Bundle, snapshot: ControlSnapshot) -> tuple[Gated, Hand]:
    """A hand for which a thread works until the gate is opened."""
    gated = Gated(bundle)
    hand = crew.hire(lambda: gated, lambda: 0.0)
    hand.ask(Job(snapshot, 2, recover=False))
    assert gated.at_work.wait(20)
    return gated, hand


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_a_hand_works_like_a_worker(crew: Crew, bundle: Bundle, snapshot: ControlSnapshot) -> None:
    hand = hand_of(crew, bundle)
    results = []
    for _ in range(3):
        hand.ask(Job(snapshot, 4, recover=False))
        results.append(hand.result(20.0))
    assert [result.block.index for result in results] == [0, 1, 2]
    assert [result.cold for result in results] == [True, False, False]
    assert hand.result(0.0) is None
    assert not hand.queued


def test_the_most_urgent_comes_first(crew: Crew, bundle: Bundle, snapshot: ControlSnapshot) -> None:
    gated, _busy = at_work(crew, bundle, snapshot)
    order: list[float] = []
    hands = [hand_of(crew, bundle, left_s) for left_s in (0.3, 0.1, 0.2)]
    for hand in hands:
        hand.deliver = lambda _, own=hand: order.append(own.left_s())
        hand.ask(Job(snapshot, 2, recover=False))
    assert all(hand.queued for hand in hands)
    gated.gate.set()
    until(lambda: len(order) == 3)
    assert order == [0.1, 0.2, 0.3]


def test_a_stuck_tick_costs_no_thread(
    crew: Crew, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    gated, stuck = at_work(crew, bundle, snapshot)
    other = hand_of(crew, bundle)
    other.ask(Job(snapshot, 2, recover=False))
    assert other.result(0.05) is None
    stuck.dismiss()
    assert other.result(20.0).block is not None
    assert crew.substitutes == 1
    gated.gate.set()
    alive = lambda: sum(thread.is_alive() for thread in crew._team)  # noqa: E731
    until(lambda: alive() == 1)
    assert stuck.result(0.05) is None


def test_what_waits_can_be_taken_back(
    crew: Crew, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    gated, busy = at_work(crew, bundle, snapshot)
    gone = hand_of(crew, bundle)
    gone.ask(Job(snapshot, 2, recover=False))
    gone.dismiss(2.0)
    gated.gate.set()
    assert busy.result(20.0).block is not None
    assert gone.result(0.05) is None
    assert gone.generator is None
    assert crew.substitutes == 0


def test_dismissing_waits_for_the_last_tick(
    crew: Crew, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    gated = Gated(bundle)
    hand = crew.hire(lambda: gated, lambda: 0.0)
    hand.ask(Job(snapshot, 2, recover=False))
    assert gated.at_work.wait(20)
    threading.Timer(0.05, gated.gate.set).start()
    hand.dismiss(20.0)
    assert not hand.at_work
    assert crew.substitutes == 0


def test_a_failed_tick_hurts_nobody_else(
    crew: Crew, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    backend = standin.StandIn(bundle, standin.Faults("velocity", error=MemoryError("gone")))
    bad, good = crew.hire(lambda: Generator(bundle, backend), lambda: 0.0), hand_of(crew, bundle)
    for hand in (bad, good):
        hand.ask(Job(snapshot, 2, recover=False))
    assert isinstance(bad.result(20.0).error, MemoryError)
    assert good.result(20.0).block is not None


def test_several_ticks_run_at_once(bundle: Bundle, snapshot: ControlSnapshot) -> None:
    crew = Crew(2)
    both = [Gated(bundle), Gated(bundle)]
    hands = [crew.hire(lambda one=one: one, lambda: 1.0) for one in both]
    for hand in hands:
        hand.ask(Job(snapshot, 2, recover=False))
    assert all(one.at_work.wait(20) for one in both)
    for one in both:
        one.gate.set()
    assert all(hand.result(20.0).block is not None for hand in hands)
    crew.close()
    assert not any(thread.is_alive() for thread in crew._team)


def test_it_knows_what_ticks_take(crew: Crew, bundle: Bundle, snapshot: ControlSnapshot) -> None:
    hand = hand_of(crew, bundle)
    with pytest.raises(RoomError, match="measured"):
        crew.check_room(1, 9, 0.32)
    for _ in range(9):
        hand.ask(Job(snapshot, 10, recover=False))
        assert hand.result(20.0).block is not None
    crew.check_room(1, 9, 3600.0)
    with pytest.raises(RoomError, match="leave no room"):
        crew.check_room(1, 9, 1e-6)


def test_ticks_that_wait_are_done_in_step(bundle: Bundle, snapshot: ControlSnapshot) -> None:
    """Four streams on one thread: one run for each pass of all that wait, each as it is alone."""
    crew, ran = Crew(1, batch=3), []
    backend = standin.StandIn(bundle)
    slots = Slots(bundle, backend, 16, rows=4)
    gated = Gated(bundle)
    busy = crew.hire(lambda: gated, lambda: 0.0)
    busy.ask(Job(snapshot, 2, recover=False))
    assert gated.at_work.wait(20)
    go = Run.go
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "go", lambda run, rows: ran.append(tuple(rows)) or go(run, rows))
        makes = [lambda seed=seed: Generator(bundle, backend, seed=seed, slots=slots)
                 for seed in range(4)]  # fmt: skip
        hands = [crew.hire(make, lambda left_s=left_s: left_s)
                 for make, left_s in zip(makes, (0.4, 0.1, 0.2, 0.3), strict=True)]  # fmt: skip
        for hand in hands:
            hand.ask(Job(snapshot, 2, recover=False))
        gated.gate.set()
        found = [hand.result(20.0) for hand in hands]
    assert [len(rows) for rows in ran if len(rows) > 1] == [3, 3]  # the fourth comes by itself
    for seed, result in enumerate(found):
        alone = Generator(bundle, standin.StandIn(bundle), seed=seed).tick(snapshot, 2)
        np.testing.assert_array_equal(result.block.audio, alone.audio)
    crew.close()


def test_a_stuck_batch_costs_one_thread_and_the_others_get_their_blocks(
    bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    crew, first, second = Crew(1, batch=2), Gated(bundle), Gated(bundle)
    blocker = Gated(bundle)
    busy = crew.hire(lambda: blocker, lambda: 0.0)
    busy.ask(Job(snapshot, 2, recover=False))
    assert blocker.at_work.wait(20)
    hands = [crew.hire(lambda one=one: one, lambda: 1.0) for one in (first, second)]
    for hand in hands:
        hand.ask(Job(snapshot, 2, recover=False))
    second.gate.set()
    blocker.gate.set()
    assert first.at_work.wait(20)
    hands[0].dismiss()
    assert crew.substitutes == 1
    first.gate.set()
    assert hands[1].result(20.0).block is not None
    hands[1].dismiss()
    assert crew.substitutes == 1
    assert hands[0].result(0.05) is None
    crew.close()


def test_who_fails_in_a_batch_hurts_nobody_else(bundle: Bundle, snapshot: ControlSnapshot) -> None:
    crew, blocker = Crew(1, batch=2), Gated(bundle)
    broken = standin.StandIn(bundle, standin.Faults("velocity", error=MemoryError("gone")))
    busy = crew.hire(lambda: blocker, lambda: 0.0)
    busy.ask(Job(snapshot, 2, recover=False))
    assert blocker.at_work.wait(20)
    bad, good = crew.hire(lambda: Generator(bundle, broken), lambda: 1.0), hand_of(crew, bundle)
    for hand in (bad, good):
        hand.ask(Job(snapshot, 2, recover=False))
    blocker.gate.set()
    assert isinstance(bad.result(20.0).error, MemoryError)
    assert good.result(20.0).block is not None
    crew.close()
