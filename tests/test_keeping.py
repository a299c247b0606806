import asyncio
import json
from typing import Any

import pytest
from serving import listening, playing_tape, say, text

from engine.errors import UsageError
from engine.sinks import broadcast
from engine.sinks.keeping import MOST_WAITING, Keeping
from engine.wire.actions import KeepState, Send


class Shelf:
    """A keeper that keeps nothing."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []

    def save(self, name: str) -> int:
        self.done.append(("save", name))
        return 700

    def restore(self, name: str) -> int:
        if name != "verse":
            raise UsageError(f"no state {name!r}; there are: verse")
        self.done.append(("restore", name))
        return 5000


def answers() -> tuple[list[dict[str, Any]], Any]:
    said: list[dict[str, Any]] = []
    return said, lambda send: said.append(json.loads(send.text))


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_one_after_the_other_and_every_answer_once() -> None:
    shelf, (said, reply) = Shelf(), answers()
    keeping = Keeping(shelf)
    for number, (deed, name) in enumerate((("save", "a"), ("restore", "verse"), ("restore", "b"))):
        wanted = KeepState(deed, name, number)  # type: ignore[arg-type]
        keeping.ask(
            wanted, reply, lambda sample, n=number: Send(json.dumps({"at": sample, "n": n}))
        )
    await until(lambda: len(said) == 3)
    assert shelf.done == [("save", "a"), ("restore", "verse")]
    assert said[:2] == [{"at": 700, "n": 0}, {"at": 5000, "n": 1}]
    assert (said[2]["code"], said[2]["id"]) == ("bad_state", 2)
    assert keeping.able
    await keeping.close()


async def test_whatever_breaks_is_answered(monkeypatch) -> None:
    shelf, (said, reply) = Shelf(), answers()
    monkeypatch.setattr(shelf, "save", lambda _: 1 / 0)
    keeping = Keeping(shelf)
    keeping.ask(KeepState("save", "a", None), reply, lambda _: Send("{}"))
    await until(lambda: said)
    assert said[0]["code"] == "failed"


async def test_a_crowd_is_told_to_wait() -> None:
    said, reply = answers()
    keeping = Keeping(Shelf())
    for number in range(MOST_WAITING + 1):
        keeping.ask(KeepState("save", "a", number), reply, lambda _: Send('{"type": "ack"}'))
    assert [(one["code"], one["id"]) for one in said] == [("rate_limited", MOST_WAITING)]
    await until(lambda: len(said) == MOST_WAITING + 1)
    await keeping.close()


async def test_listeners_save_and_restore(monkeypatch) -> None:
    shelf = Shelf()
    real = broadcast.Keeping
    monkeypatch.setattr(broadcast, "Keeping", lambda _: real(shelf))
    async with playing_tape() as tape, listening(tape.url) as listener:
        assert listener.hello["states"] is True
        await say(listener, type="save", id=1, state="verse")
        ack = await text(listener, "ack", "error")
        assert (ack["id"], ack["name"], ack["state"]) == (1, "save", "verse")
        await say(listener, type="restore", id=2, state="verse")
        ack = await text(listener, "ack", "error")
        assert (ack["name"], ack["state"], ack["revision"]) == ("restore", "verse", 0)
        assert ack["heard_at"] >= 0
        await say(listener, type="restore", id=3, state="chorus")
        error = await text(listener, "ack", "error")
        assert (error["code"], error["id"]) == ("bad_state", 3)
        assert "there are: verse" in error["message"]
    assert shelf.done == [("save", "verse"), ("restore", "verse")]


@pytest.mark.parametrize("kind", ["save", "restore"])
async def test_where_nothing_is_kept(kind: str) -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        assert listener.hello["states"] is False
        await say(listener, type=kind, id=1, state="verse")
        error = await text(listener, "error")
        assert (error["code"], error["id"]) == ("no_states", 1)
        assert "--states" in error["message"]
