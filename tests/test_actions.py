"""The answers a shell gives to what a session asked of it."""

from __future__ import annotations

import json

from engine.wire.actions import SetControl, SetPrompts, acknowledge, refuse


def test_a_control_is_acknowledged_with_its_value() -> None:
    for value in (-6.0, None):
        answer = acknowledge(SetControl("gain_db", value, "a"), revision=3, heard_at=4800)
        assert json.loads(answer.text) == {
            "type": "ack", "id": "a", "name": "gain_db", "value": value, "revision": 3,
            "heard_at": 4800,
        }  # fmt: skip


def test_prompts_are_acknowledged_without_one() -> None:
    answer = acknowledge(SetPrompts((), 7), revision=3, heard_at=4800)
    assert json.loads(answer.text) == {
        "type": "ack", "id": 7, "name": "prompts", "revision": 3, "heard_at": 4800,
    }  # fmt: skip


def test_a_refusal_has_the_code_of_what_it_refuses() -> None:
    for done, code, expected in (
        (SetControl("gain_db", 99.0, 5), None, "bad_control"),
        (SetPrompts((), 5), None, "bad_prompt"),
        (SetPrompts((), 5), "superseded", "superseded"),
    ):
        said = json.loads(refuse(done, "why", code).text)
        assert said == {"type": "error", "code": expected, "message": "why", "id": 5}
