"""Who holds the stage, without a server."""

from __future__ import annotations

from typing import Any, cast

from engine.controls import default_controls
from engine.sinks.audience import Listener
from engine.sinks.podium import Podium
from engine.spec import LadderSpec
from engine.wire.actions import SetControl, SetPrompts
from engine.wire.limits import Backlog
from engine.wire.roles import Role, Tokens

CONTROLS = {one.name: one for one in default_controls(LadderSpec(10, 1, ()))}
HAND, IDEA = SetControl("gain_db", 0.0, None), SetPrompts((), None)


def somebody(name: str, role: Role = "conductor", **more: Any) -> Listener:
    nothing = cast(Any, None)
    return Listener(nothing, nothing, Backlog(1.0, 2.0), role=role, name=name, **more)


def test_where_nobody_has_a_role_all_conduct_together() -> None:
    podium = Podium(Tokens("all"), CONTROLS)
    one, other = somebody("a"), somebody("b")
    podium.enter(one)
    podium.enter(other)
    assert podium.holder(other) is None and podium.refusal(other, IDEA) is None


def test_the_stage_goes_to_whoever_came_first_and_is_still_there() -> None:
    podium = Podium(Tokens(conductor="baton"), CONTROLS)
    a, b, c = map(somebody, "abc")
    for one in (a, b, c):
        podium.enter(one)
    assert (podium.holder(a), podium.holder(b), podium.holder(c)) == (None, "a", "a")
    assert podium.refusal(c, HAND) is None
    reason, code = podium.refusal(c, IDEA) or ("", "")
    assert code == "stage_held" and reason.startswith("a holds the stage")
    podium.leave(a)
    assert (podium.holder(b), podium.holder(c)) == (None, "b")
    podium.leave(a)  # twice is once


def test_listeners_and_performers_are_told_what_is_missing() -> None:
    podium = Podium(Tokens(conductor="baton", performer="hand"), CONTROLS)
    ear, hand = somebody("a", "listener"), somebody("b", "performer")
    podium.enter(ear)
    podium.enter(hand)
    assert podium.holder(somebody("c")) is None
    assert (podium.refusal(ear, HAND) or "")[1] == "not_allowed"
    assert podium.refusal(hand, HAND) is None
    assert (podium.refusal(hand, IDEA) or "")[1] == "not_allowed"


def test_in_a_session_its_key_decides() -> None:
    podium = Podium(Tokens(conductor="baton"), CONTROLS)
    podium.enter(somebody("a", place={"name": "x"}))
    assert podium.refusal(somebody("b", place={"name": "x"}), IDEA) is None
