"""The feed from a listener's side: what it gets, what it can set, and how it ends."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from serving import closed_with, get, listening, packets, playing_tape, say, text, until

from engine.controls import Controls
from engine.generator import Generator
from engine.runner import Runner
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.sinks.websocket import FeedServer
from engine.wire.packets import Flag


async def test_a_listener_gets_every_sample_in_order() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        heard = await packets(listener, 40)
    assert listener.subprotocol == "perpetuo.v1"
    first = heard[0][0].position
    audio = np.concatenate([samples for _, samples in heard])[:, 0]
    np.testing.assert_array_equal(audio, np.arange(first, first + len(audio), dtype=np.float32))
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 40))
    assert {header.epoch for header, _ in heard} == {listener.hello["epoch"]}


async def test_the_hello_tells_what_plays_and_what_can_be_set() -> None:
    async with playing_tape(channels=2) as tape, listening(tape.url) as listener:
        hello = listener.hello
    assert hello["protocol"] == 1
    assert hello["audio"] == {"sample_rate_hz": 24000, "channels": 2, "packet_samples": 240}
    assert hello["window"] == {"chunk_samples": 7680, "chunks": 6, "steps": 10, "depth": 1}
    gain = next(control for control in hello["controls"] if control["name"] == "gain_db")
    assert (gain["kind"], gain["minimum"], gain["value"]) == ("hand", -60.0, 0.0)


async def test_late_joiners_get_the_last_packets_at_once() -> None:
    async with playing_tape() as tape:
        await until(tape.server.port, "packets_total", 30)
        async with listening(tape.url) as listener:
            heard = [header for header, _ in await packets(listener, 15)]
    replayed = [header for header in heard if header.flags & Flag.REPLAY]
    assert len(replayed) == 10
    assert heard[:10] == replayed
    sequences = [header.sequence for header in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 15))


async def test_each_listener_gets_its_own_codec() -> None:
    async with (
        playing_tape() as tape,
        listening(tape.url, "pcm_s16le") as small,
        listening(tape.url) as exact,
    ):
        (header, samples), (other, _) = (await packets(small, 1))[0], (await packets(exact, 1))[0]
    assert (header.codec.label, other.codec.label) == ("pcm_s16le", "pcm_f32le")
    assert samples.max() <= 1.0


async def test_the_state_comes_by_itself() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        state = await text(listener, "state")
    assert state["listeners"] == 1
    assert state["underruns"] == 0
    assert state["fill_ms"] > 1000
    assert state["controls"]["gain_db"] == 0.0


# ---- controls -------------------------------------------------------------------------------


async def test_a_hand_is_heard_where_its_answer_says() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await packets(listener, 3)
        await say(listener, type="set", id="m", name="mute", value=True)
        ack = await text(listener, "ack", "error")
        assert (ack["type"], ack["id"], ack["revision"]) == ("ack", "m", 1)
        heard = await packets(listener, 10)
    for header, audio in heard:
        plain = np.arange(header.position, header.position + header.samples)
        assert (header.hand_revision == 1) == (header.position >= ack["heard_at"])
        changed = np.flatnonzero(audio[:, 0] != plain)
        assert (changed.size > 0) == (header.position >= ack["heard_at"])
    assert not heard[-1][1].any()


async def test_a_refused_control_names_its_message_and_range() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await say(listener, type="set", id=5, name="gain_db", value=99)
        error = await text(listener, "ack", "error")
    assert (error["type"], error["code"], error["id"]) == ("error", "bad_control", 5)
    assert "-60 … 6 dB" in error["message"]


async def test_an_idea_is_not_heard_before_its_answer_says(
    generator: Generator, controls: Controls
) -> None:
    """Played by the real runner: the packets name the revision that made them."""
    blocks = BlockLog()
    runner = Runner(generator, controls, ring_s=0.6, on_block=blocks.note)
    programme = Programme(
        ring=runner.ring, blocks=blocks, controls=controls, status=runner.status,
        bundle=generator.bundle, version="0",
    )  # fmt: skip
    server = FeedServer(ServeConfig(port=0, packet_s=0.02), programme)
    await server.start()
    runner.start()
    try:
        async with listening(f"ws://127.0.0.1:{server.port}/feed") as listener:
            await packets(listener, 20)
            await say(listener, type="set", id=1, name="seed", value=7)
            ack = await text(listener, "ack")
            heard = [header for header, _ in await packets(listener, 1)]
            async with asyncio.timeout(60):
                while heard[-1].idea_revision < ack["revision"]:
                    heard += [header for header, _ in await packets(listener, 1)]
            state = await text(listener, "state")
    finally:
        await server.close()
        runner.stop()
    changed = heard[-1]
    assert changed.idea_revision == ack["revision"]
    assert ack["heard_at"] < changed.position + changed.samples
    if not runner.status().cover_blocks and not runner.ring.shortfalls:  # a machine that keeps up
        behind = changed.position + changed.samples - ack["heard_at"]
        assert behind % generator.chunk_samples <= changed.samples
        assert behind <= generator.chunk_samples + changed.samples
    assert state["rungs"]
    assert state["chunk"]["index"] >= 0


async def test_a_stalled_engine_stalls_nobody() -> None:
    """The ring runs dry: packets keep their pace and say that they hold filler."""
    async with playing_tape(seconds=0.6) as tape, listening(tape.url) as listener:
        heard = await packets(listener, 120)
        status, _, body = await get(tape.server.port, "/readyz")
        alive, _, _ = await get(tape.server.port, "/livez")
    assert heard[-1][0].flags == Flag.FILLER
    assert not heard[-1][1].any()
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 120))
    assert (status, alive) == (503, 200)
    assert b"ring is empty" in body


# ---- the end --------------------------------------------------------------------------------


async def test_closing_tells_the_listeners() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await packets(listener, 1)
        await tape.server.close()
        assert await closed_with(listener) == 1001


async def test_what_ends_the_feed_ends_run() -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the monitor failed")

    async with playing_tape() as tape:
        tape.server._monitor = broken
        with pytest.raises(RuntimeError, match="the monitor failed"):
            await asyncio.wait_for(tape.server.run(), 30)
        assert (await get(tape.server.port, "/livez"))[0] == 503
