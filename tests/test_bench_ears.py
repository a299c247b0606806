"""bench.ears: a feed is taken apart, and packets carry the time at which the kernel had them."""

from __future__ import annotations

import asyncio
import math
import socket
import time

import pytest
from serving import playing_live

from bench.ears import SO_TIMESTAMPNS, STAMP, Ear, Record, attend, stamp_s


async def test_ears_hear_every_packet_of_a_feed_but_the_stalled_one_none() -> None:
    async with playing_live(packet_s=0.02) as server:
        address = f"http://127.0.0.1:{server.port}/"

        def listen() -> list[Ear]:
            ears = [Ear(address, "pcm_s16le", small=small) for small in (False, True)]
            ears[1].stalled = True
            attend(ears, 1.5)
            return ears

        ears = await asyncio.to_thread(listen)
        for ear in ears:
            ear.close()
    record = ears[0].record
    assert len(record.times_s) > 20 and not record.missed and not record.gone
    assert record.times_s == sorted(record.times_s)
    assert not ears[1].record.times_s


async def test_who_is_cut_is_gone() -> None:
    async with playing_live() as server:
        ear = Ear(f"http://127.0.0.1:{server.port}/", "pcm_s16le")
        ear.link.shutdown(socket.SHUT_RD)
        await asyncio.to_thread(attend, [ear], 0.3)
        ear.close()
    assert ear.record.gone


def test_the_time_of_a_packet_is_when_it_came_not_when_it_was_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        link.connect(server.getsockname())
        with server.accept()[0] as sender:
            for _ in range(100):  # the kernel begins to stamp a moment after it was asked to
                sent_s = time.time()
                sender.send(b"packet")
                time.sleep(0.05)
                looked_s = time.time()
                data, beside, _, _ = link.recvmsg(100, socket.CMSG_SPACE(STAMP.size))
                if beside:
                    break
    assert data == b"packet"
    assert sent_s <= stamp_s(beside, math.inf) < looked_s


def test_without_a_stamp_it_is_now() -> None:
    assert stamp_s([], 7.0) == 7.0
    beside = [(socket.SOL_SOCKET, SO_TIMESTAMPNS, STAMP.pack(3, 500_000_000))]
    assert stamp_s(beside, 7.0) == 3.5


def test_what_is_missing_is_counted() -> None:
    record = Record()
    for sequence in (4, 5, 8):
        record.note(sequence, float(sequence), sequence + 0.5)
    assert record.missed == 2
    assert record.read_late_s == pytest.approx([0.5] * 3)
