import json
from typing import Any

import pytest

from engine.wire.actions import KeepState, Send, acknowledge, refuse
from engine.wire.native import Session


def session(*, greeted: bool = True, states: bool = True) -> Session:
    found = Session(opened_s=0.0, controls={}, states=states)
    if greeted:
        found.receive('{"type":"hello"}', 0.0)
    return found


def answer(found: Session, **fields: Any) -> Any:
    (action,) = found.receive(json.dumps(fields), 1.0)
    return json.loads(action.text) if isinstance(action, Send) else action


@pytest.mark.parametrize("deed", ["save", "restore"])
def test_a_state_is_asked_for_by_its_name(deed: str) -> None:
    wanted = answer(session(), type=deed, id=7, state="verse-2")
    assert wanted == KeepState(deed, "verse-2", 7)
    ack = json.loads(acknowledge(wanted, 3, 4800).text)
    assert ack == {
        "type": "ack", "id": 7, "name": deed, "state": "verse-2", "revision": 3, "heard_at": 4800,
    }  # fmt: skip
    error = json.loads(refuse(wanted, "no such state").text)
    assert (error["code"], error["id"]) == ("bad_state", 7)


@pytest.mark.parametrize("name", [None, 3, "", "../up", "a b", "x" * 41, ["a"]])
def test_names_are_read_with_distrust(name: object) -> None:
    error = answer(session(), type="restore", id=1, state=name)
    assert (error["code"], error["id"]) == ("bad_state", 1)
    assert "1 … 40 letters" in error["message"]


def test_before_the_hello_and_where_nothing_is_kept() -> None:
    error = answer(session(greeted=False), type="save", id=1, state="a")
    assert error["code"] == "hello_first"
    error = answer(session(states=False), type="save", id=1, state="a")
    assert (error["code"], "--states" in error["message"]) == ("no_states", True)
