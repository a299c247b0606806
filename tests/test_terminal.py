"""What is said while a screen has the terminal."""

from __future__ import annotations

import os

from engine.commands.terminal import MOST_BYTES, Said


def test_whoever_looks_sees_the_last_lines_of_all() -> None:
    said = Said.made()
    other = Said(os.dup(said.fd))
    said.say("one")
    other.say("two")
    os.write(other.fd, b"\n\xff three\nfour")
    assert said.lines() == ["one", "two", "\ufffd three", "four"]
    assert other.lines(2) == ["\ufffd three", "four"]


def test_much_is_forgotten_but_for_the_last() -> None:
    said = Said.made()
    said.say("the first")
    said.tidy()
    assert said.lines() == ["the first"]
    os.write(said.fd, (b"x" * 1023 + b"\n") * (MOST_BYTES // 1024))
    said.say("the last")
    said.tidy()
    assert os.fstat(said.fd).st_size < MOST_BYTES / 10
    assert said.lines()[-1] == "the last" and "the first" not in said.lines()
