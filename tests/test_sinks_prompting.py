"""Prompts on their way from the listeners to the controls."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from engine.controls import Controls
from engine.errors import ControlError
from engine.prompts import Prompt
from engine.session import Floats
from engine.sinks.prompting import Prompting
from engine.wire.actions import Send, SetPrompts, acknowledge
from engine.wire.messages import AskedPrompt


class Slow:
    """Embeds when it is told to; remembers what, and in which thread."""

    def __init__(self) -> None:
        self.seen: list[list[Prompt]] = []
        self.threads: set[int] = set()
        self.go = threading.Semaphore(0)
        self.error: Exception | None = None

    def embed(self, prompts: list[Prompt]) -> Floats | None:
        self.seen.append(prompts)
        self.threads.add(threading.get_ident())
        self.go.acquire(timeout=30)
        if self.error is not None:
            raise self.error
        return np.eye(4, dtype=np.float32)[len(self.seen) - 1] if prompts else None


class Desk:
    """Asks, and keeps the answers by id."""

    def __init__(self, controls: Controls, present: tuple[Prompt, ...] = ()) -> None:
        self.embedder = Slow()
        self.controls = controls
        self.prompting = Prompting(self.embedder, controls, present)
        self.answers: dict[Any, dict[str, Any]] = {}

    def ask(self, number: int, *prompts: AskedPrompt) -> None:
        wanted = SetPrompts(prompts, number)
        self.prompting.ask(
            wanted, self._keep, lambda revision: acknowledge(wanted, revision, 1000 + revision)
        )

    def _keep(self, answer: Send) -> None:
        said = json.loads(answer.text)
        assert said["id"] not in self.answers
        self.answers[said["id"]] = said

    async def until(self, number: int) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while number not in self.answers:
                await asyncio.sleep(0.001)
        return self.answers[number]

    async def until_seen(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.embedder.seen) < count:
                await asyncio.sleep(0.001)


@pytest.fixture
async def desk(controls: Controls) -> AsyncIterator[Desk]:
    made = Desk(controls)
    yield made
    made.embedder.go.release(100)
    await made.prompting.close()


async def test_prompts_become_a_vector_beside_the_event_loop(desk: Desk) -> None:
    desk.ask(1, AskedPrompt("pads", None, 2.0))
    await desk.until_seen(1)
    assert not desk.answers  # the loop is free while it embeds
    desk.embedder.go.release()
    assert await desk.until(1) == {
        "type": "ack", "id": 1, "name": "prompts", "revision": 1, "heard_at": 1001,
    }  # fmt: skip
    assert threading.get_ident() not in desk.embedder.threads
    ((prompt,),) = desk.embedder.seen
    assert (prompt.text, prompt.weight) == ("pads", 2.0)
    np.testing.assert_array_equal(desk.controls.snapshot().prompt, [1, 0, 0, 0])
    assert desk.prompting.fields() == [{"text": "pads", "weight": 2.0}]
    assert desk.prompting.changes == 1


async def test_no_prompts_are_no_prompt(desk: Desk) -> None:
    desk.embedder.go.release(2)
    desk.ask(1, AskedPrompt("pads"))
    await desk.until(1)
    desk.ask(2)
    assert (await desk.until(2))["revision"] == 2
    assert desk.controls.snapshot().prompt is None
    assert desk.prompting.fields() == []


async def test_of_what_comes_meanwhile_only_the_newest_is_taken_up(desk: Desk) -> None:
    desk.ask(0, AskedPrompt("first"))
    await desk.until_seen(1)
    for number in range(1, 50):
        desk.ask(number, AskedPrompt(f"pads {number}"))
    desk.embedder.go.release(50)
    assert (await desk.until(49))["type"] == "ack"
    assert [prompts[0].text for prompts in desk.embedder.seen] == ["first", "pads 49"]
    older = {desk.answers[number]["code"] for number in range(1, 49)}
    assert older == {"superseded"}
    assert desk.prompting.changes == 2


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ControlError("prompt: no word is known"), "bad_prompt", "no word is known"),
        (RuntimeError("a graph broke"), "failed", "play on"),
    ],
)
async def test_what_cannot_be_embedded_leaves_all_as_it_was(
    desk: Desk, error: Exception, code: str, words: str
) -> None:
    desk.embedder.go.release(3)
    desk.ask(1, AskedPrompt("pads"))
    await desk.until(1)
    before = desk.controls.snapshot()
    desk.embedder.error = error
    desk.ask(2, AskedPrompt("???"))
    said = await desk.until(2)
    assert (said["code"], said["id"]) == (code, 2)
    assert words in said["message"]
    assert desk.controls.snapshot() is before
    assert desk.prompting.fields() == [{"text": "pads", "weight": 1.0}]
    desk.embedder.error = None
    desk.ask(3, AskedPrompt("pads again"))
    assert (await desk.until(3))["type"] == "ack"


async def test_recordings_of_the_start_can_be_asked_for_by_number(controls: Controls) -> None:
    audio = np.ones((24000, 1), np.float32)
    desk = Desk(controls, (Prompt(text="pads"), Prompt(audio=audio, weight=0.5)))
    desk.embedder.go.release()
    assert desk.prompting.recordings == 1
    assert desk.prompting.fields() == [
        {"text": "pads", "weight": 1.0}, {"recording": 1, "weight": 0.5},
    ]  # fmt: skip
    desk.ask(1, AskedPrompt(None, 1, 3.0))
    await desk.until(1)
    ((prompt,),) = desk.embedder.seen
    assert prompt.audio is audio
    assert prompt.weight == 3.0


async def test_without_prompting_there_are_no_limits_to_tell(controls: Controls) -> None:
    nothing = Prompting(None, controls)
    assert nothing.limits() is None
    assert nothing.recordings is None
    await nothing.close()


async def test_closing_drops_what_waits(desk: Desk) -> None:
    desk.ask(1, AskedPrompt("first"))
    await desk.until_seen(1)
    desk.ask(2, AskedPrompt("second"))
    await desk.prompting.close()
    desk.embedder.go.release(9)
    await asyncio.sleep(0.05)
    assert not desk.answers
    assert desk.controls.snapshot().revision == 0


async def test_those_around_know_what_listeners_ask_and_the_other_way_round(desk: Desk) -> None:
    heard: list[Any] = []
    desk.prompting.heard = lambda prompts, place: heard.append((prompts, place))
    desk.embedder.go.release()
    desk.ask(1, AskedPrompt("slow"))
    while not desk.answers:
        await asyncio.sleep(0.005)
    ((prompts, place),) = heard
    assert prompts == (AskedPrompt("slow"),)
    assert place is not None
    assert desk.prompting.changes == 1
    desk.prompting.told((AskedPrompt("calm", None, 2.0),))
    assert desk.prompting.fields() == [{"text": "calm", "weight": 2.0}]
    assert desk.prompting.changes == 2
    assert len(heard) == 1
