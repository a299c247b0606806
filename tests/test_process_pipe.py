from __future__ import annotations

import threading

import numpy as np
import pytest

from engine.errors import ControlError
from engine.process import pipe as pipes
from engine.process.house import pipe_ends
from engine.process.pipe import Pipe, RemotePrompts, answer_of
from engine.prompts import Prompt
from engine.session import Floats

RECORDING = Prompt(audio=np.ones((24000, 1), np.float32))


def both() -> tuple[Pipe, Pipe]:
    one, other = pipe_ends()
    return Pipe(one.detach()), Pipe(other.detach())


class Engine:
    """Answers as an engine would; `asked` are the prompts that reached it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[list[Prompt]] = []
        self.error = error
        self.near, self.far = both()
        self.remote = RemotePrompts(lambda: self.near, recordings=1)

    def embed(self, prompts: list[Prompt]) -> Floats | None:
        self.asked.append(prompts)
        if self.error is not None:
            raise self.error
        return np.array([0.6, 0.8], np.float32)

    def serve(self, prompts: list[Prompt]) -> Floats | None:
        """What the feed gets for these prompts."""
        got: list[Floats | Exception | None] = []

        def ask() -> None:
            try:
                got.append(self.remote.embed(prompts))
            except Exception as error:
                got.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while asking.is_alive():
            for message in self.far.read():
                self.far.send(answer_of(message, self.embed, [RECORDING]))
            for message in self.near.read():
                self.remote.hear(message)
        if isinstance(got[0], Exception):
            raise got[0]
        return got[0]


def test_prompts_are_embedded_in_the_other_process() -> None:
    engine = Engine()
    recording = engine.remote.prompt({"recording": 1, "weight": 0.5})
    place = engine.serve([Prompt("wärm 🎹", weight=2.0), recording])
    np.testing.assert_array_equal(place, np.array([0.6, 0.8], np.float32))
    (words, heard), = engine.asked  # fmt: skip
    assert (words.text, words.weight, heard.weight) == ("wärm 🎹", 2.0, 0.5)
    assert heard.audio is RECORDING.audio


def test_no_prompts_ask_nobody() -> None:
    assert Engine().remote.embed([]) is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ControlError("prompt: no word of 'x' is known"), "no word of 'x'"),
        (ValueError("a graph broke"), "the engine failed: a graph broke"),
    ],
)
def test_a_refusal_comes_back_in_its_words(error: Exception, line: str) -> None:
    with pytest.raises(ControlError, match=line):
        Engine(error).serve([Prompt("x")])


def test_a_bundle_without_prompts_refuses() -> None:
    assert "no prompts" in answer_of({"ask": 3, "embed": []}, None, [])["refused"]


def test_an_engine_that_is_gone_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "PATIENCE_S", 0.01)
    remote = Engine().remote
    with pytest.raises(ControlError, match="started anew; ask again"):
        remote.embed([Prompt("warm")])
    remote.hear({"answer": remote._number, "place": None})  # too late: nobody waits


def test_what_nobody_reads_is_dropped_and_holds_nobody_up() -> None:
    near, far = both()
    sent = [near.send({"anew": "x" * 20_000}) for _ in range(200)]
    assert sent[0] and not sent[-1]
    assert len(far.read()) == sum(sent)


def test_the_longest_prompts_fit() -> None:
    near, far = both()
    longest = [{"text": "🎹" * 1000, "weight": 1.0}] * 16
    assert near.send({"ask": 1, "embed": longest})
    assert far.read()[0]["embed"] == longest
