"""Streams of their own: what conductors get, what their listeners get, and where no room is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conducting import hall
from schema import faults
from serving import PROTOCOLS, closed_with, get, listening, metrics, packets, say, text, until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.backends import standin
from engine.controls import Controls
from engine.errors import RoomError
from engine.generator import Generator
from engine.sinks import sessions as module
from engine.wire.native import Limits

SCHEMA = json.loads((Path(__file__).parent.parent / "docs/protocol.schema.json").read_text())
LYRIA = "ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateMusic"


async def started(listener: Any) -> dict[str, Any]:
    return await told(listener, "start")


async def told(listener: Any, kind: str) -> dict[str, Any]:
    """The next message of that type, which fits the schema."""
    message = await text(listener, kind)
    assert faults(message, SCHEMA["$defs"]["server"], SCHEMA) == []
    return message


async def test_a_conductor_gets_a_stream_of_its_own() -> None:
    async with (
        hall() as house,
        listening(house.url()) as mine,
        listening(house.url("/feed")) as all_,
    ):
        start = await started(mine)
        assert start["session"]["conducts"]
        assert start["epoch"] != (await started(all_))["epoch"]
        assert {header.epoch for header, _ in await packets(mine, 5)} == {start["epoch"]}
        await say(mine, type="set", id=1, name="bpm", value=90)
        assert (await text(mine, "ack"))["value"] == 90.0
        assert house.controls.snapshot().revision == 0
        await say(mine, type="prompts", id=2, prompts=[{"text": "jazz"}])
        assert (await text(mine, "ack"))["name"] == "prompts"
        assert house.server.prompting.fields() == []
        await say(all_, type="set", id=1, name="bpm", value=70)
        assert (await text(all_, "ack"))["revision"] == 1
        async with asyncio.timeout(20):
            while (await text(mine, "state"))["controls"]["bpm"] != 90.0:
                pass
        now = await metrics(house.server.port)
        assert (now["sessions"], now["connections"]) == (1, 2)


async def test_the_same_seed_gives_the_same_samples_to_every_conductor() -> None:
    async with (
        hall() as house,
        listening(house.url("/session?seed=5")) as one,
        listening(house.url("/session?seed=5")) as other,
    ):
        heard = [await packets(who, 40) for who in (one, other)]
    assert house.opened == [5, 5]
    bundle = standin.bundle(prompting=True)
    generator = Generator(bundle, standin.StandIn(bundle), seed=5)
    snapshot = Controls(bundle.manifest.controls).snapshot()
    alone = np.concatenate([generator.tick(snapshot).audio for _ in range(3)])
    for got in heard:
        assert got[0][0].position == 0
        audio = np.concatenate([samples for _, samples in got])
        np.testing.assert_allclose(audio, alone[: len(audio)], atol=1e-6)


async def test_who_has_its_name_listens_along_and_cannot_steer() -> None:
    async with hall() as house, listening(house.url()) as conductor:
        session = (await started(conductor))["session"]
        async with listening(house.url(f"/session/{session['name']}")) as listener:
            start = await started(listener)
            assert start["session"] == {"name": session["name"], "conducts": False, "key": None}
            (header, heard), *_ = await packets(listener, 1)
            mine = {one.position: audio for one, audio in await packets(conductor, 120)}
            np.testing.assert_array_equal(heard, mine[header.position])
            for change in (
                {"type": "set", "name": "bpm", "value": 70},
                {"type": "prompts", "prompts": []},
            ):
                await say(listener, id=7, **change)
                refusal = await told(listener, "error")
                assert (refusal["code"], refusal["id"]) == ("not_conductor", 7)
        assert house.opened and house.sessions.playing == 1


async def test_without_a_free_place_one_is_told_when_to_come_again() -> None:
    async with hall(places=1) as house, listening(house.url()) as first:
        await started(first)
        async with listening(house.url()) as second:
            refusal = await told(second, "error")
            assert (refusal["code"], refusal["retry_s"]) == ("full", 5.0)
            with pytest.raises(ConnectionClosed) as end:
                await asyncio.wait_for(second.recv(), 20)
        assert (end.value.rcvd.code, end.value.rcvd.reason) == (1013, "full; try again in 5 s")
        assert (await metrics(house.server.port))["refused_total{sessions}"] == 1
        await packets(first, 5)


async def test_what_the_machine_cannot_play_is_refused_in_the_same_way() -> None:
    async with hall(refusal=RoomError("6 streams leave no room", 2.0)) as house:
        async with listening(house.url()) as connection:
            refusal = await told(connection, "error")
            assert (refusal["message"], refusal["retry_s"]) == ("6 streams leave no room", 2.0)
            assert await closed_with(connection) == 1013
        assert house.sessions.playing == 0


async def test_a_place_is_free_again_when_its_conductor_stays_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 0.1)
    async with hall(places=1) as house:
        async with listening(house.url()) as conductor:
            name = (await started(conductor))["session"]["name"]
            listener = await connect(house.url(f"/session/{name}"), subprotocols=PROTOCOLS)
            await say(listener, type="hello")
        assert await closed_with(listener) == 4410
        async with asyncio.timeout(20):
            while house.pool.taken > 1:
                await asyncio.sleep(0.02)
        async with listening(house.url()) as another:
            assert (await started(another))["session"]["name"] != name
        async with listening(house.url(f"/session/{name}")) as late:
            assert (await told(late, "error"))["code"] == "no_session"
            assert await closed_with(late) == 4404


async def test_a_conductor_comes_back_with_the_key() -> None:
    async with hall(places=1) as house:
        async with listening(house.url()) as conductor:
            start = await started(conductor)
        key = start["session"]["key"]
        async with listening(house.url(f"/session/{key}")) as again:
            back = await started(again)
            assert (back["epoch"], back["session"]) == (start["epoch"], start["session"])
            await say(again, type="set", id=1, name="gain_db", value=-6)
            assert (await text(again, "ack"))["value"] == -6.0
    assert len(house.opened) == 1


async def test_who_does_not_know_the_token_begins_no_stream() -> None:
    async with hall(token="sesame", places=1) as house:
        async with listening(house.url()) as stranger:
            assert (await text(stranger, "error"))["code"] == "bad_token"
            assert house.opened == []
        async with connect(house.url(), subprotocols=PROTOCOLS) as friend:
            await say(friend, type="hello", token="sesame")
            assert (await started(friend))["session"]["conducts"]


async def test_who_says_nothing_is_sent_away() -> None:
    async with hall(limits=Limits(hello_s=0.2)) as house:
        async with connect(house.url(), subprotocols=PROTOCOLS) as silent:
            assert await closed_with(silent) == 4408
        assert house.opened == []


async def test_what_is_asked_before_the_stream_is_there_is_asked_of_it() -> None:
    async with hall() as house, listening(house.url()) as conductor:
        await say(conductor, type="set", id=3, name="bpm", value=90)
        await started(conductor)
        assert (await text(conductor, "ack"))["id"] == 3
        assert house.controls.snapshot().values["bpm"] is None


async def test_sessions_keep_no_states() -> None:
    async with hall() as house, listening(house.url()) as conductor:
        await started(conductor)
        await say(conductor, type="save", id=4, state="here")
        assert (await text(conductor, "error"))["code"] == "no_states"


async def test_a_client_of_lyria_has_a_stream_of_its_own_while_it_is_there() -> None:
    async with hall(places=1) as house:
        async with connect(house.url(f"/{LYRIA}")) as client:
            await client.send(json.dumps({"setup": {"model": "models/any"}}))
            assert "setupComplete" in json.loads(await asyncio.wait_for(client.recv(), 20))
            assert house.sessions.playing == 1
            async with connect(house.url(f"/{LYRIA}")) as another:
                assert await closed_with(another) == 1013
        async with asyncio.timeout(20):
            while house.pool.taken > 1:
                await asyncio.sleep(0.02)
        assert house.sessions.playing == 0


async def test_info_says_where_sessions_are() -> None:
    async with hall(places=2) as house:
        _, _, body = await get(house.server.port, "/info")
        assert json.loads(body)["sessions"] == {"path": "/session", "places": 2, "playing": 0}
        house.server._sessions = None
        with pytest.raises(InvalidStatus, match="404"):
            await connect(house.url(), subprotocols=PROTOCOLS)
        _, _, body = await get(house.server.port, "/info")
        assert json.loads(body)["sessions"] is None
        house.server._sessions = house.sessions


async def test_a_session_whose_feed_breaks_ends_and_no_other() -> None:
    async with hall() as house, listening(house.url()) as broken, listening(house.url()) as other:
        name = (await started(broken))["session"]["name"]
        await started(other)
        performance, _ = house.sessions.find(name) or pytest.fail("it is gone")
        performance.broadcast._feed.pull = None  # type: ignore[method-assign, assignment]
        assert await closed_with(broken) == 4410
        await packets(other, 20)
        assert house.sessions.playing == 1


async def test_at_the_end_everything_ends() -> None:
    async with hall() as house:
        conductor = await connect(house.url(), subprotocols=PROTOCOLS)
        await say(conductor, type="hello")
        await started(conductor)
        leaver = await connect(house.url(), subprotocols=PROTOCOLS)
        await say(leaver, type="hello")
        await house.server.close()
        assert await closed_with(conductor) in (1001, 4410)
        assert house.sessions.playing == 0
        assert house.pool.taken == 1
    assert house.pool.taken == 0


async def test_many_conductors_do_not_disturb_the_house() -> None:
    async with hall(places=5) as house, listening(house.url("/feed")) as listener:
        await packets(listener, 5)
        for _ in range(5):
            async with listening(house.url()) as conductor:
                await started(conductor)
        heard = [header for header, _ in await packets(listener, 60)]
        assert np.diff([header.sequence for header in heard]).tolist() == [1] * 59
        assert len(house.opened) == 5
        await until(house.server.port, "sessions", 5)
