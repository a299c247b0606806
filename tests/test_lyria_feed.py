"""Clients of Lyria on a real feed, as bare WebSockets: what they get, and what others notice."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from serving import (
    Tape,
    closed_with,
    get,
    listening,
    metrics,
    packets,
    playing_live,
    playing_tape,
    say,
    small_socket,
    text,
    until,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from engine.errors import ControlError
from engine.prompts import Prompt
from engine.session import Floats
from engine.wire.native import Limits

SERVICE = "/ws/google.ai.generativelanguage.{}.GenerativeService.BidiGenerateMusic"


class Listens:
    """Knows every word but one."""

    def embed(self, prompts: list[Prompt]) -> Floats | None:
        if any(prompt.text == "qwertz" for prompt in prompts):
            raise ControlError("prompt: no word of 'qwertz' is known")
        return np.eye(16, dtype=np.float32)[len(prompts)] if prompts else None


def address(tape: Tape | SimpleNamespace, version: str = "v1alpha", query: str = "") -> str:
    return f"ws://127.0.0.1:{tape.server.port}{SERVICE.format(version)}{query}"


@asynccontextmanager
async def client(tape: Tape | SimpleNamespace, **options: Any) -> AsyncIterator[ClientConnection]:
    """A client whose setup is complete."""
    async with connect(address(tape), close_timeout=0.5, **options) as connection:
        await say(connection, setup={"model": "models/any"})
        assert json.loads(await connection.recv()) == {"setupComplete": {}}
        yield connection


async def answer(connection: ClientConnection, kind: str) -> Any:
    """The next message of this kind; others before it are dropped."""
    async with asyncio.timeout(30):
        while True:
            message = json.loads(await connection.recv())
            assert len(message) == 1
            if kind in message:
                return message[kind]


async def chunks(connection: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [
        (await answer(connection, "serverContent"))["audioChunks"][0] for _ in range(count)
    ]  # fmt: skip


def samples(found: list[dict[str, Any]]) -> np.ndarray:
    data = b"".join(base64.b64decode(chunk["data"]) for chunk in found)
    return np.frombuffer(data, "<i2").reshape(-1, 2)


async def until_source(
    connection: ClientConnection, true: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The first source of a chunk for which this is true."""
    async with asyncio.timeout(30):
        while True:
            source: dict[str, Any] = (await chunks(connection, 1))[0]["sourceMetadata"]
            if true(source):
                return source


# ---- the music ------------------------------------------------------------------------------


async def test_play_pause_play_and_stop() -> None:
    async with playing_tape() as tape, client(tape) as one:
        await until(tape.server.port, "packets_total", 15)
        await say(one, playbackControl="PLAY")
        heard = await chunks(one, 5)
        await say(one, playbackControl="PAUSE")
        await say(one, musicGenerationConfig={"loudness": 1})  # answered once PAUSE was
        await answer(one, "warning")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.recv(), 0.1)
        await say(one, playbackControl="PLAY")
        again = await chunks(one, 2)
        await say(one, playbackControl="STOP")
    assert {chunk["mimeType"] for chunk in heard + again} == {"audio/l16;rate=48000;channels=2"}
    audio = samples(heard)
    assert audio.shape[0] > 0.1 * 48000
    np.testing.assert_array_equal(audio[:, 0], audio[:, 1])


async def test_chunks_are_the_feed_at_48_khz_without_a_seam() -> None:
    """The tape is a ramp: beyond its first samples it is at full scale, and stays there."""
    async with playing_tape() as tape, client(tape) as one:
        await until(tape.server.port, "packets_total", 15)
        await say(one, playbackControl="PLAY")
        audio = samples(await chunks(one, 6))
    assert (audio[2400:] == 32767).all()


async def test_several_clients_and_listeners_hear_the_same_music() -> None:
    async with playing_live(packet_s=0.05) as server:
        tape = SimpleNamespace(server=server)
        url = f"ws://127.0.0.1:{server.port}/feed"
        async with listening(url) as native, client(tape) as one, client(tape) as other:
            for link in (one, other):
                await say(link, playbackControl="PLAY")
            heard, first, second = await asyncio.gather(
                packets(native, 40), chunks(one, 40), chunks(other, 40)
            )
            now = await metrics(server.port)
    assert (now["listeners"], now["connections"]) == (3, 3)
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 40))
    whole, part = (
        b"".join(base64.b64decode(chunk["data"]) for chunk in found[:end])
        for found, end in ((first, 40), (second, 25))
    )
    assert part[-40_000:] in whole


# ---- prompts, config, sources ---------------------------------------------------------------


async def test_prompts_and_config_reach_the_controls_and_the_listeners() -> None:
    prompts = [{"text": "pads", "weight": 2}, {"text": "bass", "weight": 1}]
    async with playing_tape(prompts=Listens()) as tape, client(tape) as one:
        async with listening(tape.url) as native:
            await text(native, "start")
            await say(one, clientContent={"weightedPrompts": prompts})
            told = await text(native, "prompts")
            await say(one, musicGenerationConfig={"bpm": 90, "scale": "D_MAJOR_B_MINOR"})
            async with asyncio.timeout(30):
                while (state := await text(native, "state"))["controls"]["bpm"] != 90.0:
                    pass
        present = tape.controls.snapshot()
    assert told["prompts"] == [{"text": "pads", "weight": 1.0}, {"text": "bass", "weight": 0.5}]
    assert (state["controls"]["tonic"], state["controls"]["scale"]) == (2.0, 0.0)
    assert present.prompt is not None and present.prompt[2] == 1.0


async def test_each_prompt_that_says_nothing_is_filtered_and_the_others_are_taken() -> None:
    prompts = [{"text": "qwertz", "weight": 1}, {"text": "pads", "weight": 1}]
    async with playing_tape(prompts=Listens()) as tape, client(tape) as one:
        await say(one, clientContent={"weightedPrompts": prompts[:1]})
        filtered = await answer(one, "filteredPrompt")
        assert tape.controls.snapshot().prompt is None
        await say(one, clientContent={"weightedPrompts": prompts})
        assert await answer(one, "filteredPrompt") == filtered
        async with asyncio.timeout(30):
            while (prompt := tape.controls.snapshot().prompt) is None:
                await asyncio.sleep(0.01)
    assert filtered["text"] == "qwertz"
    assert "known" in filtered["filteredReason"]
    assert prompt[1] == 1.0


class Hostile(Listens):
    """Breaks at whatever is asked together."""

    def embed(self, prompts: list[Prompt]) -> Floats | None:
        if len(prompts) > 1:
            raise ControlError("prompts: they cancel each other out")
        return super().embed(prompts)


async def test_prompts_that_are_refused_together_are_one_warning() -> None:
    prompts = [{"text": "pads", "weight": 1}, {"text": "bass", "weight": 1}]
    async with playing_tape(prompts=Hostile()) as tape, client(tape) as one:
        await say(one, clientContent={"weightedPrompts": prompts})
        assert "bad_prompt: prompts: they cancel" in await answer(one, "warning")


async def test_a_chunk_names_the_prompts_and_the_config_that_made_it() -> None:
    async with playing_tape(prompts=Listens()) as tape, client(tape) as one:
        await say(one, playbackControl="PLAY")
        before = (await chunks(one, 1))[0]["sourceMetadata"]
        await say(one, clientContent={"weightedPrompts": [{"text": "pads", "weight": 1}]})
        await say(one, musicGenerationConfig={"bpm": 90})
        async with asyncio.timeout(30):
            while tape.controls.snapshot().revision < 2:
                await asyncio.sleep(0.01)
        # The tape was made before anybody asked for anything: its chunks go on to say so.
        assert await until_source(one, lambda source: True) == before
        tape.server._feed.blocks.note(Made(tape.ring.read_samples, 2))
        after = await until_source(one, lambda source: source != before)
    assert before["clientContent"] == {"weightedPrompts": []}
    assert after["clientContent"] == {"weightedPrompts": [{"text": "pads", "weight": 1.0}]}
    assert after["musicGenerationConfig"]["bpm"] == 90


class Made:
    """A block that this revision made."""

    def __init__(self, position_samples: int, control_revision: int) -> None:
        self.position_samples = position_samples
        self.control_revision = control_revision
        self.index = 0
        self.cover = False


# ---- starting anew --------------------------------------------------------------------------


async def test_reset_context_is_handed_on_and_stop_only_if_nobody_else_listens() -> None:
    resets: list[None] = []
    async with playing_tape() as tape:
        tape.server._lyria._start_anew = lambda: resets.append(None)
        async with client(tape) as one, client(tape) as other:
            await say(other, playbackControl="PLAY")
            await chunks(other, 1)
            for control in ("RESET_CONTEXT", "PLAY", "STOP"):
                await say(one, playbackControl=control)
            await say(one, playbackControl="?")
            await answer(one, "warning")
            assert len(resets) == 1
            await say(other, playbackControl="STOP")
            await say(other, playbackControl="?")
            await answer(other, "warning")
            assert len(resets) == 2


async def test_where_it_cannot_start_anew_it_says_so() -> None:
    async with playing_tape() as tape, client(tape) as one:
        await say(one, playbackControl="RESET_CONTEXT")
        assert (await answer(one, "warning")).startswith("no_reset: ")


# ---- bad input and bad clients --------------------------------------------------------------


async def test_garbage_is_one_typed_line_and_the_music_goes_on() -> None:
    async with playing_tape() as tape, client(tape) as one:
        await say(one, playbackControl="PLAY")
        for bad in ("{", b"\x00", "[1]", '{"playbackControl": "LOUD"}', '{"clientContent": 1}'):
            await one.send(bad)
            assert ": " in await answer(one, "warning")
        await chunks(one, 3)


async def test_a_flood_is_warned_of_and_the_newest_config_is_set() -> None:
    limits = Limits(messages_hz=50.0, burst=5.0)
    async with playing_tape(prompts=Listens(), limits=limits) as tape, client(tape) as one:
        for k in range(2000):
            await say(one, musicGenerationConfig={"density": k / 1999})
        assert "rate_limited" in await answer(one, "warning")
        async with asyncio.timeout(30):
            while tape.controls.snapshot().values["density"] != 1.0:
                await asyncio.sleep(0.01)


async def test_a_stalled_client_is_cut_and_the_others_hear_nothing_of_it() -> None:
    config = {"skip_s": 0.5, "cut_s": 0.8}
    async with playing_tape(**config) as tape, client(tape) as good, listening(tape.url) as native:
        await say(good, playbackControl="PLAY")
        async with client(tape, sock=small_socket(tape.server.port), max_queue=1) as bad:
            await say(bad, playbackControl="PLAY")
            heard, _ = await asyncio.gather(packets(native, 300), chunks(good, 80))
            now = await until(tape.server.port, "listeners_gone_total{behind}", 1)
            bad.transport.abort()
    assert (now["listeners"], now["connections"], now["packets_skipped_total"] > 0) == (2, 2, True)
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 300))


# ---- the door -------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?key=wrong"])
async def test_a_wrong_token_is_closed_with_4401(query: str) -> None:
    async with (
        playing_tape(token="right", limits=Limits(bad_token_s=0.05)) as tape,
        connect(address(tape, query=query)) as stranger,
    ):
        await say(stranger, setup={})
        assert await closed_with(stranger) == 4401


@pytest.mark.parametrize("version", ["v1alpha", "v1beta"])
async def test_the_token_comes_as_the_key_of_a_header_or_of_the_address(version: str) -> None:
    async with playing_tape(token="right") as tape:
        plain, with_key = address(tape, version), address(tape, version, "?key=right")
        of_pages = with_key.replace("/ws/", "//ws/")
        for url, headers in (
            (with_key, {}), (of_pages, {}), (plain, {"x-goog-api-key": "right"}),
        ):  # fmt: skip
            async with connect(url, additional_headers=headers) as friend:
                await say(friend, setup={})
                assert json.loads(await friend.recv()) == {"setupComplete": {}}


async def test_who_sends_no_setup_or_too_much_is_closed() -> None:
    async with playing_tape(limits=Limits(hello_s=0.1)) as tape:
        async with connect(address(tape)) as silent:
            assert await closed_with(silent) == 4408
        async with client(tape) as loud:
            await loud.send("x" * 70_000)
            assert await closed_with(loud) == 1009


async def test_beyond_the_cap_and_from_elsewhere_clients_are_refused() -> None:
    async with playing_tape(max_connections=2) as tape, listening(tape.url), client(tape):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(address(tape))
        assert refusal.value.response.status_code == 503
    async with playing_tape() as tape:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(address(tape), origin="http://elsewhere.example")  # type: ignore[arg-type]
        assert refusal.value.response.status_code == 403
        path = SERVICE.format("v1alpha")
        assert (await get(tape.server.port, path))[0] == 426
        assert (await get(tape.server.port, path + "s"))[0] == 404
