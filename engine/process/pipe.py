"""The small pipe between feed and engine: one request or answer a message, as JSON.

    {"ask": 7, "embed": [{"text": "warm pads", "weight": 1.0}, {"recording": 1, "weight": 0.5}]}
    {"answer": 7, "place": [0.1, …] or null}        or {"answer": 7, "refused": "no word of …"}
    {"anew": true}

Both ends outlive the processes that use them, so a message may come from one that is gone: answers
that nobody waits for are dropped. What the other side does not take in time is dropped, too.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from engine.errors import ControlError
from engine.process.house import MOST_MESSAGE_BYTES
from engine.prompts import Prompt
from engine.session import Floats

PATIENCE_S = 10.0
"""The longest that prompts may take: a new engine loads in this time, too."""

Message = dict[str, Any]


class Pipe:
    """One end: sends without waiting, and reads what is there."""

    def __init__(self, fd: int) -> None:
        """Take up an end that `pipe_ends` has made."""
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, message: Mapping[str, object]) -> bool:
        """False if it was dropped, because nobody reads at the other end."""
        try:
            self._socket.send(json.dumps(message, ensure_ascii=False).encode())
        except OSError:
            return False
        return True

    def read(self) -> list[Message]:
        """All messages that wait."""
        found: list[Message] = []
        with suppress(BlockingIOError):
            while True:
                found.append(json.loads(self._socket.recv(MOST_MESSAGE_BYTES)))
        return found


class RemotePrompts:
    """Embeds prompts in the engine's process: an `Embedder` for any thread of the feed.

    `recordings` are those that the engine was started with, as prompts for the feed; their audio
    is there only to tell them apart.
    """

    def __init__(self, pipe: Callable[[], Pipe], recordings: int) -> None:
        """`pipe` gives the one to the present engine."""
        self._pipe = pipe
        self._number = random.SystemRandom().randrange(1 << 40)
        self._waiting: dict[int, tuple[threading.Event, Message]] = {}
        self._recordings = [np.zeros((1, 1), np.float32) for _ in range(recordings)]

    def prompt(self, said: Mapping[str, Any]) -> Prompt:
        """A prompt as it travels, for `Prompting`."""
        if "recording" in said:
            return Prompt(audio=self._recordings[said["recording"] - 1], weight=said["weight"])
        return Prompt(said["text"], weight=said["weight"])

    def embed(self, prompts: Sequence[Prompt]) -> Floats | None:
        """float32[embedding], None without prompts; ControlError says what is wrong with them."""
        if not prompts:
            return None
        self._number += 1
        number, (event, answer) = self._number, (threading.Event(), Message())
        self._waiting[number] = event, answer
        try:
            asked = [self._said(prompt) for prompt in prompts]
            if not (self._pipe().send({"ask": number, "embed": asked}) and event.wait(PATIENCE_S)):
                raise ControlError("prompts: the engine is being started anew; ask again")
        finally:
            del self._waiting[number]
        if "refused" in answer:
            raise ControlError(answer["refused"])
        return None if answer["place"] is None else np.asarray(answer["place"], np.float32)

    def hear(self, message: Message) -> None:
        """An answer of the engine."""
        event, answer = self._waiting.get(message.get("answer", 0), (None, {}))
        if event is not None:
            answer.update(message)
            event.set()

    def _said(self, prompt: Prompt) -> dict[str, object]:
        if prompt.audio is None:
            return {"text": prompt.text, "weight": prompt.weight}
        number = next(n for n, one in enumerate(self._recordings, 1) if one is prompt.audio)
        return {"recording": number, "weight": prompt.weight}


def answer_of(
    message: Message, embed: Callable[[list[Prompt]], Floats | None] | None,
    recordings: Sequence[Prompt],
) -> Message:  # fmt: skip
    """The engine's answer to a request for a place; whatever breaks in it is told."""
    try:
        if embed is None:
            raise ControlError("this bundle takes no prompts")
        place = embed([prompt_of(said, recordings) for said in message["embed"]])
    except ControlError as error:
        return {"answer": message["ask"], "refused": str(error)}
    except Exception as error:  # the feed must not wait for what has failed
        return {"answer": message["ask"], "refused": f"prompts: the engine failed: {error}"}
    return {"answer": message["ask"], "place": None if place is None else place.tolist()}


def prompt_of(said: Mapping[str, Any], recordings: Sequence[Prompt]) -> Prompt:
    """A prompt as it travels, with the recording it names."""
    if "recording" in said:
        return Prompt(audio=recordings[said["recording"] - 1].audio, weight=said["weight"])
    return Prompt(said["text"], weight=said["weight"])
