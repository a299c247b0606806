from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.process.house import AREAS, Area, House, pipe_ends
from engine.process.memory import Board, Memory, Word

ROOM = 200


def board() -> tuple[Board, Board]:
    """The same one, as two processes see it."""
    memory = Memory.made(Board.size(ROOM))
    return Board(memory.mapped(), 0, ROOM), Board(memory.mapped(), 0, ROOM)


def test_words_are_seen_by_all_who_look() -> None:
    memory = Memory.made(16)
    whole, time_s = Word(memory.mapped(), 0), Word(memory.mapped(), 8, "d")
    whole.value, time_s.value = -3, 0.25
    again = memory.mapped()
    assert (Word(again, 0).value, Word(again, 8, "d").value) == (-3, 0.25)


@given(st.lists(st.one_of(st.integers(), st.text(max_size=20), st.none()), max_size=9))
def test_the_newest_value_is_read_whole(values: list[object]) -> None:
    ours, theirs = board()
    assert theirs.read() is None
    for number, value in enumerate(values, 1):
        ours.publish(value)
        assert (theirs.read(), theirs.count) == (value, number)


def test_what_is_too_long_changes_nothing() -> None:
    ours, theirs = board()
    ours.publish("first")
    with pytest.raises(ValueError, match="202 bytes of JSON on a board for 200"):
        ours.publish("x" * 200)
    assert theirs.read() == "first"


def test_who_is_killed_while_writing_has_written_nothing() -> None:
    memory = Memory.made(Board.size(ROOM))
    mapped = memory.mapped()
    one = Board(mapped, 0, ROOM)
    one.publish("whole")
    half = slice(one._slot(2), one._slot(2) + 100)
    mapped[half] = b"\xff" * 100  # the next one, half written
    assert Board(memory.mapped(), 0, ROOM).read() == "whole"


def test_memory_grows_and_keeps_what_it_holds() -> None:
    memory = Memory.made(8)
    Word(memory.mapped(), 0).value = 5
    memory.grow(1 << 16)
    memory.grow(8)
    mapped = memory.mapped()
    assert (len(mapped), Word(mapped, 0).value) == (1 << 16, 5)


def test_another_process_writes_what_this_one_reads() -> None:
    house = House.made()
    code = (
        "import sys; from engine.process.house import House; from engine.process.memory import "
        "Memory; House(Memory(int(sys.argv[1]))).door.publish({'port': 7})"
    )
    fd = house.memory.fd
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", code, str(fd)], pass_fds=[fd], check=True, cwd=root)
    assert house.door.read() == {"port": 7}


def test_nothing_lies_over_anything_else() -> None:
    house, area = House.made(), Area.made()
    boards = [house.controls, house.prompts, house.door, area.about, area.status]
    for number, one in enumerate(boards):
        one.publish(number)
    house.engine.value, house.feed_beat_s.value, area.beat_s.value = 1, 2.0, 3.0
    house.engine_restarts.value, house.feed_restarts.value, house.spare.value = 4, 5, 6
    assert [one.read() for one in boards] == list(range(5))
    assert (house.engine.value, house.feed_beat_s.value, area.beat_s.value) == (1, 2.0, 3.0)
    assert os.fstat(area.memory.fd).st_size == Area.SIZE and AREAS == 2


def test_pipes_keep_messages_whole() -> None:
    one, other = pipe_ends()
    for message in (b"a" * 150_000, b"b"):
        one.send(message)
        assert other.recv(1 << 18) == message
