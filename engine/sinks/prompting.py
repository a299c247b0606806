"""The prompts of the stream: one set for all listeners, and whoever asked last is heard.

Words become a vector in a thread of their own, beside the event loop and beside the tick. What is
asked while one set is on its way there waits; only the newest of it is taken up afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from engine.controls import Controls
from engine.errors import ControlError
from engine.prompts import Prompt
from engine.session import Floats
from engine.wire.actions import Send, SetPrompts, refuse
from engine.wire.messages import AskedPrompt
from engine.wire.requests import MAX_PROMPT_CHARS, MAX_PROMPTS, MAX_WEIGHT

log = logging.getLogger(__name__)

Reply = Callable[[Send], None]
Heard = Callable[[tuple[AskedPrompt, ...], Floats | None], None]


class Embedder(Protocol):
    """What turns prompts into a vector; `engine.prompts.Prompts` is one."""

    def embed(self, prompts: list[Prompt]) -> Floats | None:
        """float32[embedding], None without prompts; ControlError says what is wrong with them."""
        ...


class Prompting:
    """Takes prompts from listeners to the controls."""

    def __init__(
        self, embedder: Embedder | None, controls: Controls, present: Sequence[Prompt] = ()
    ) -> None:
        """`present` are the prompts that play at the start; their recordings can be asked for."""
        self._embedder = embedder
        self._controls = controls
        self._audio = [prompt.audio for prompt in present if prompt.audio is not None]
        self._waiting: tuple[SetPrompts, Reply, Callable[[int], Send]] | None = None
        self._task: asyncio.Task[None] | None = None
        self.present = as_asked(present)
        self.changes = 0
        self.keep: Callable[[], None] = lambda: None
        """Called after each change, before it is answered."""
        self.heard: Heard = lambda _, __: None
        """Told of prompts that a listener has set, and their place."""

    @property
    def recordings(self) -> int | None:
        """How many recordings prompts may name; None where nothing takes prompts."""
        return None if self._embedder is None else len(self._audio)

    def limits(self) -> dict[str, int] | None:
        """What hello and /info say of it; None where nothing takes prompts."""
        if self._embedder is None:
            return None
        return {
            "prompts": MAX_PROMPTS, "text_characters": MAX_PROMPT_CHARS, "weight": MAX_WEIGHT,
            "recordings": len(self._audio),
        }  # fmt: skip

    def fields(self) -> list[dict[str, object]]:
        """The present prompts as JSON."""
        return [prompt.fields() for prompt in self.present]

    def ask(self, wanted: SetPrompts, reply: Reply, done: Callable[[int], Send]) -> None:
        """Take up these prompts as soon as possible; `done` makes the answer from the revision.

        `reply` is called exactly once, unless it is closed before.
        """
        if self._waiting is not None:
            older, reply_older, _ = self._waiting
            reply_older(refuse(older, "newer prompts came before these", "superseded"))
        self._waiting = (wanted, reply, done)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    def told(self, prompts: tuple[AskedPrompt, ...]) -> None:
        """These are the prompts now, whoever set them; listeners are told soon."""
        self.present = prompts
        self.changes += 1
        self.keep()

    async def close(self) -> None:
        """Drop what waits."""
        self._waiting = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while self._waiting is not None:
            (wanted, reply, done), self._waiting = self._waiting, None
            try:
                vector = await asyncio.to_thread(self._embed, wanted.prompts)
            except ControlError as error:
                reply(refuse(wanted, str(error)))
            except Exception:  # whatever breaks there must not stop the feed
                log.exception("prompts could not be embedded")
                reason = "the prompts could not be understood here; those before them play on"
                reply(refuse(wanted, reason, "failed"))
            else:
                revision = self._controls.set_prompt(vector)
                self.told(wanted.prompts)
                self.heard(wanted.prompts, vector)
                reply(done(revision))

    def _embed(self, prompts: tuple[AskedPrompt, ...]) -> Floats | None:
        assert self._embedder is not None
        return self._embedder.embed([self._read(prompt) for prompt in prompts])

    def _read(self, asked: AskedPrompt) -> Prompt:
        if asked.recording is None:
            return Prompt(text=asked.text, audio=None, weight=asked.weight)
        return Prompt(text=None, audio=self._audio[asked.recording - 1], weight=asked.weight)


def as_asked(prompts: Sequence[Prompt]) -> tuple[AskedPrompt, ...]:
    """Prompts as they travel, recordings numbered from 1; `asked_of` reads their fields."""
    asked, recordings = [], 0
    for prompt in prompts:
        recordings += prompt.audio is not None
        number = None if prompt.audio is None else recordings
        asked.append(AskedPrompt(None if number else prompt.text, number, prompt.weight))
    return tuple(asked)


def asked_of(said: Sequence[Mapping[str, Any]]) -> tuple[AskedPrompt, ...]:
    """Prompts from the fields in which they travel."""
    return tuple(AskedPrompt(one.get("text"), one.get("recording"), one["weight"]) for one in said)
