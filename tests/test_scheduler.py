import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduler import (
    ENOUGH,
    MARGIN_S,
    MEMORY,
    Costs,
    Generate,
    Hold,
    Margin,
    Recent,
    Scheduler,
    Wait,
)
from engine.spec import LadderSpec

LADDER = LadderSpec(10, 1, (6, 4, 2))
CHUNK_S = 0.32


def costs_of(pass_s: float, rest_s: float, ticks: int = 5) -> Costs:
    costs = Costs()
    for _ in range(ticks):
        costs.record(10, 10 * pass_s, rest_s)
    return costs


def scheduler(target_s: float = 0.5, ladder: LadderSpec = LADDER) -> Scheduler:
    return Scheduler(CHUNK_S, ladder, target_s)


def test_the_estimate_is_a_high_quantile_of_passes_and_rest() -> None:
    costs = Costs()
    assert costs.estimate_s(10) == 0.0
    for n in range(40):
        costs.record(10, 0.1 + 0.9 * (n % 10 == 0), 0.02)
    assert costs.estimate_s(10) == pytest.approx(1.02)
    assert costs.estimate_s(5) == pytest.approx(0.52)


def test_one_bad_moment_among_many_is_not_believed() -> None:
    costs = costs_of(0.01, 0.02, ticks=MEMORY)
    costs.record(10, 5.0, 0.02)
    assert costs.estimate_s(10) == pytest.approx(0.12)


def test_a_tick_without_passes_says_nothing() -> None:
    costs = costs_of(0.01, 0.02)
    costs.record(0, 0.0, 9.0)
    assert costs.estimate_s(10) == pytest.approx(0.12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_a_quantile_is_that_of_the_last_values(values: list[float], share: float) -> None:
    recent = Recent(16)
    for value in values:
        recent.add(value)
    last = sorted(values[-16:])
    assert len(recent) == len(last)
    assert recent.quantile(share) == last[min(len(last) - 1, int(share * len(last)))]


def test_the_tail_is_unknown_at_first_and_then_the_longest_tick_and_more() -> None:
    assert costs_of(0.01, 0.02, ENOUGH - 1).tail_s(10) is None
    assert costs_of(0.01, 0.02, ENOUGH).tail_s(10) == pytest.approx(0.12)
    costs = costs_of(0.01, 0.02, ENOUGH)
    costs.record(10, 0.11, 0.02)
    assert costs.tail_s(10) == pytest.approx(0.13 + 0.01 * 2.496, abs=1e-4)
    for _ in range(1000):
        costs.record(10, 0.1, 0.02)
    assert costs.tail_s(10) == pytest.approx(0.12)


@pytest.mark.parametrize("count", [16, 100, 1024])
def test_the_tail_of_an_exponential_is_what_one_in_the_horizon_exceeds(count: int) -> None:
    rng = np.random.default_rng(count)
    tails = []
    for _ in range(50):
        recent = Recent(1024)
        for value in 0.1 + rng.exponential(0.01, count):
            recent.add(value)
        tails.append(recent.tail())
    assert np.median(tails) == pytest.approx(0.1 + 0.01 * np.log(20_000), rel=0.1)


def test_guidance_is_reckoned_with_before_it_was_ever_timed() -> None:
    costs = costs_of(0.01, 0.02)
    assert costs.estimate_s(10, rows=2) == pytest.approx(0.22)
    assert costs.tail_s(10, rows=2) is None
    for _ in range(ENOUGH):
        costs.record(10, 0.15, 0.02, rows=2)
    assert costs.estimate_s(10, rows=2) == pytest.approx(0.17)
    assert costs.estimate_s(10, rows=1) == pytest.approx(0.12)
    assert costs.tail_s(10, rows=2) == pytest.approx(0.17)


def test_a_margin_grows_at_once_and_shrinks_slowly() -> None:
    margin = Margin(0.03, 0.5)
    margin.note(0.02)
    assert margin.seconds == 0.03
    margin.note(0.01)
    assert margin.seconds == 0.06
    margin.note(-0.1)
    assert margin.seconds == pytest.approx(0.22)
    margin.note(0.1)
    assert 0.219 < margin.seconds < 0.22
    for _ in range(10_000):
        margin.note(0.1)
    assert 0.03 < margin.seconds < 0.06
    for _ in range(9):
        margin.note(0.0)
    assert margin.seconds == 0.5


def test_a_machine_that_was_asleep_was_a_close_call_only() -> None:
    margin = Margin(0.03, 0.5)
    margin.note(-40.0)
    assert margin.seconds == 0.06


def test_a_margin_of_nothing_grows_after_a_miss_only() -> None:
    margin = Margin(0.0, 0.5)
    margin.note(0.001)
    assert margin.seconds == 0.0
    margin.note(0.0 - 1e-6)
    assert margin.seconds == pytest.approx(MARGIN_S, abs=1e-5)


def test_the_lead_is_cautious_first_and_then_late() -> None:
    plan = scheduler()
    assert plan.lead_s(10, Costs()) == 0.5
    assert plan.lead_s(10, costs_of(0.01, 0.0, 1000)) == pytest.approx(0.1 + MARGIN_S, abs=1e-3)
    assert plan.lead_s(10, costs_of(0.03, 0.0, 1000)) == pytest.approx(0.3 + MARGIN_S, abs=2e-3)
    assert plan.lead_s(5, costs_of(0.01, 0.0, 1000)) < plan.lead_s(10, costs_of(0.01, 0.0, 1000))


def test_caution_asks_for_no_more_than_the_target_but_need_does() -> None:
    costs = costs_of(0.01, 0.0, 100)
    costs.record(10, 40.0, 0.0)
    assert scheduler().lead_s(10, costs) == 0.5
    assert scheduler().lead_s(10, costs_of(0.07, 0.0)) == pytest.approx(0.716)


def test_it_is_begun_as_late_as_the_lead_allows() -> None:
    plan, costs = scheduler(), costs_of(0.01, 0.0, 1000)
    lead_s = plan.lead_s(10, costs)
    assert plan.decide(0.0, 0.45, 0.35, 10, costs) == Wait(pytest.approx(0.35 - lead_s))
    assert plan.decide(0.0, 0.2, lead_s, 10, costs) == Generate(10, lead_s)


def test_a_full_ring_is_waited_for_whatever_is_due() -> None:
    action = scheduler().decide(0.0, 0.9, 0.1, 10, costs_of(0.01, 0.0))
    assert action == Wait(pytest.approx(0.08))


def test_below_the_target_a_block_is_made_with_all_steps() -> None:
    assert scheduler().decide(7.0, 0.4, 0.4, 10, costs_of(0.01, 0.0)) == Generate(10, 7.4)


@pytest.mark.parametrize(("fill_s", "steps"), [(0.3, 10), (0.2, 6), (0.12, 4), (0.07, 2)])
def test_the_less_time_the_fewer_steps(fill_s: float, steps: int) -> None:
    action = scheduler().decide(0.0, fill_s, fill_s, 10, costs_of(0.02, 0.01))
    assert action == Generate(steps, fill_s)


def test_without_time_the_music_is_held() -> None:
    assert scheduler().decide(0.0, 0.05, 0.05, 10, costs_of(0.02, 0.01)) == Hold()
    assert scheduler().decide(0.0, 0.0, 0.0, 10, Costs()) == Hold()


@pytest.mark.parametrize("fill_s", [0.2, 0.05])
def test_fewer_steps_and_holding_are_close_calls(fill_s: float) -> None:
    plan = scheduler()
    plan.decide(0.0, 0.3, 0.3, 10, costs_of(0.02, 0.01))
    assert plan.margin.seconds == MARGIN_S
    plan.decide(0.0, fill_s, fill_s, 10, costs_of(0.02, 0.01))
    assert plan.margin.seconds > MARGIN_S


def test_steps_asked_for_are_never_exceeded() -> None:
    costs = costs_of(0.02, 0.01)
    assert scheduler().decide(0.0, 0.3, 0.3, 3, costs) == Generate(3, 0.3)
    assert scheduler().decide(0.0, 0.068, 0.068, 3, costs) == Generate(2, 0.068)


def test_steps_are_what_the_depth_divides() -> None:
    ladder = LadderSpec(10, 5, (6, 4, 2))
    action = scheduler(ladder=ladder).decide(0.0, 0.035, 0.035, 10, costs_of(0.01, 0.005))
    assert action == Generate(5, 0.035)


@given(
    st.floats(0.0, 3.0), st.floats(0.05, 2.0), st.floats(0.0, 0.3), st.floats(0.0, 0.3),
    st.integers(1, 20),
)  # fmt: skip
def test_a_wait_never_passes_the_last_moment(
    fill_s: float, target_s: float, pass_s: float, rest_s: float, steps: int
) -> None:
    plan, costs = scheduler(target_s), costs_of(pass_s, rest_s)
    action = plan.decide(5.0, fill_s, fill_s, steps, costs)
    if isinstance(action, Wait):
        assert action.seconds > 0
        left_s = fill_s - action.seconds
        assert left_s >= min(costs.estimate_s(steps), plan.most_s) - 1e-9
    if isinstance(action, Generate):
        assert action.deadline_s == 5.0 + fill_s
        assert costs.estimate_s(action.steps) <= fill_s or action.steps == min(steps, 2)
        assert fill_s <= plan.most_s + 1e-9


def play(
    costs_s: list[float], target_s: float, plan: Scheduler | None = None
) -> tuple[list[object], float, float]:
    """A simulated stream: cost a pass of every tick -> actions, s of silence, greatest fill."""
    plan, costs = plan or scheduler(target_s), Costs()
    now_s, fill_s, silence_s, most_s = 0.0, CHUNK_S, 0.0, 0.0
    actions: list[object] = []

    def let_pass(seconds: float) -> None:
        nonlocal now_s, fill_s, silence_s
        now_s += seconds
        silence_s += max(0.0, seconds - fill_s)
        fill_s = max(0.0, fill_s - seconds)

    pending = list(costs_s)
    while pending:
        action = plan.decide(now_s, fill_s, fill_s, 10, costs)
        actions.append(action)
        if isinstance(action, Wait):
            let_pass(action.seconds)
            continue
        if isinstance(action, Generate):
            pass_s = pending.pop(0)
            let_pass(pass_s * action.steps + 0.01)
            plan.margin.note(fill_s)
            costs.record(action.steps, pass_s * action.steps, 0.01)
        fill_s += CHUNK_S
        most_s = max(most_s, fill_s)
    return actions, silence_s, most_s


@given(st.lists(st.floats(0.0005, 0.029), min_size=5, max_size=100), st.floats(0.3, 1.0))
def test_a_machine_that_keeps_up_is_never_silent(costs_s: list[float], target_s: float) -> None:
    """Up to 0.3 s of work for 0.32 s of music, as unsteady as it likes."""
    _, silence_s, most_s = play(costs_s, target_s)
    assert silence_s < 1e-9
    assert most_s <= target_s + 2 * CHUNK_S + 1e-9


def test_a_fast_machine_takes_all_steps_and_waits() -> None:
    actions, silence_s, _ = play([0.003] * 200, 0.5)
    made = [action for action in actions if isinstance(action, Generate)]
    assert {action.steps for action in made} == {10}
    assert silence_s == 0.0


def test_a_slow_machine_takes_fewer_steps_and_stays_in_time() -> None:
    actions, silence_s, _ = play([0.05] * 100, 0.5)
    steps = [action.steps for action in actions if isinstance(action, Generate)]
    assert silence_s < 0.3  # the first tick, of which nothing was known
    assert 2 < sum(steps) / len(steps) < 8


def test_a_machine_that_needs_twice_the_time_is_helped_by_holding() -> None:
    actions, silence_s, _ = play([0.3] * 100, 0.5)
    steps = [action.steps for action in actions if isinstance(action, Generate)]
    holds = sum(isinstance(action, Hold) for action in actions)
    assert set(steps[1:]) == {2}
    assert 80 < holds < 120
    assert silence_s < 3.1  # the first tick, of which nothing was known


def test_where_holding_cannot_help_the_fewest_steps_are_taken() -> None:
    assert scheduler().decide(0.0, 0.0, 0.0, 10, costs_of(1.0, 0.0)) == Generate(2, 0.0)


def test_after_a_stall_full_quality_returns() -> None:
    """A laptop that slept: one tick of 40 s is forgotten, the rest is played in full."""
    actions, _, _ = play([0.003] * 5 + [4.0] + [0.003] * 100, 0.5)
    made = [action for action in actions if isinstance(action, Generate)]
    assert [action.steps for action in made[-50:]] == [10] * 50


@given(st.floats(0.002, 0.02), st.integers(0, 1000))
def test_a_steady_machine_waits_until_late_and_never_falls_silent(pass_s: float, n: int) -> None:
    unsteady = [pass_s * (1.0 + 0.3 * ((7 * k + n) % 11 == 0)) for k in range(300)]
    plan = scheduler()
    actions, silence_s, _ = play(unsteady, 0.5, plan)
    assert silence_s == 0.0
    due_s = [a.deadline_s for a in actions if isinstance(a, Generate)]
    assert {a.steps for a in actions if isinstance(a, Generate)} == {10}
    assert len(due_s) == 300
    assert plan.margin.seconds == MARGIN_S


def test_stalls_that_the_tail_did_not_foresee_widen_the_margin_before_they_are_misses() -> None:
    """Every 60th tick takes longer than the one before it did: each is close, none is late."""
    plan = scheduler()
    costs_s = [0.01 + 0.00005 * k * (k % 60 == 59) for k in range(600)]
    _, silence_s, _ = play(costs_s, 0.5, plan)
    assert silence_s == 0.0
