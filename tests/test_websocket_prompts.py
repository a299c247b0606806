"""Prompts and what goes with them, from the listeners' side of a real feed."""

from __future__ import annotations

import asyncio
import json

import numpy as np
from serving import get, listening, metrics, packets, playing_live, playing_tape, say, text

from engine.prompts import Prompt
from engine.session import Floats


class Instant:
    """An embedder that answers at once."""

    def embed(self, prompts: list[Prompt]) -> Floats | None:
        return np.eye(16, dtype=np.float32)[0] if prompts else None


async def test_a_prompt_reaches_the_music_and_its_packets_say_so() -> None:
    async with playing_live(prompting=True, packet_s=0.02) as server:
        async with listening(f"ws://127.0.0.1:{server.port}/feed") as listener:
            await packets(listener, 10)
            await say(listener, type="prompts", id=1, prompts=[{"text": "slow ambient pads"}])
            ack = await text(listener, "ack", "error")
            assert (ack["type"], ack["name"], ack["revision"]) == ("ack", "prompts", 1)
            heard = [header for header, _ in await packets(listener, 1)]
            async with asyncio.timeout(60):
                while heard[-1].idea_revision < 1:
                    heard += [header for header, _ in await packets(listener, 1)]
        changed = heard[-1]
        assert ack["heard_at"] < changed.position + changed.samples
        assert (await metrics(server.port))["prompt_changes_total"] == 1


async def test_words_that_mean_nothing_are_refused_and_the_music_goes_on() -> None:
    async with playing_live(prompting=True, packet_s=0.02) as server:
        async with listening(f"ws://127.0.0.1:{server.port}/feed") as listener:
            for number, words in enumerate(("qwertz", "🎷", "\u202eهادئ")):
                await say(listener, type="prompts", id=number, prompts=[{"text": words}])
                error = await text(listener, "ack", "error")
                assert (error["code"], error["id"]) == ("bad_prompt", number)
                assert "known" in error["message"]
            assert await packets(listener, 5)
        assert (await metrics(server.port))["prompt_changes_total"] == 0


async def test_the_hello_tells_what_can_be_asked() -> None:
    recording = Prompt(audio=np.ones((24000, 1), np.float32), weight=0.5)
    async with playing_tape(prompts=Instant(), prompted=(recording,)) as tape:
        async with listening(tape.url) as listener:
            start = await text(listener, "start")
            info = json.loads((await get(tape.server.port, "/info"))[2])
        hello = listener.hello
    expected = {"prompts": 16, "text_characters": 1000, "weight": 100, "recordings": 1}
    assert hello["prompting"] == info["prompting"] == expected
    assert start["prompts"] == [{"recording": 1, "weight": 0.5}]
    controls = {control["name"]: control for control in hello["controls"]}
    bpm, tonic = controls["bpm"], controls["tonic"]
    assert (bpm["minimum"], bpm["maximum"], bpm["unit"]) == (40.0, 220.0, "bpm")
    assert (bpm["optional"], bpm["value"], bpm["choices"]) == (True, None, None)
    assert tonic["choices"][9] == "A"
    assert controls["scale"]["choices"][1] == "minor"
    assert controls["gain_db"]["optional"] is False


async def test_what_one_asks_for_the_others_see_and_late_joiners_too() -> None:
    wanted = [{"text": "pads", "weight": 1.0}, {"text": "bass", "weight": 0.5}]
    async with playing_tape(prompts=Instant()) as tape, listening(tape.url) as asking:
        async with listening(tape.url) as other:
            await text(other, "start")
            await say(asking, type="prompts", id=1, prompts=wanted)
            for name, value in (("tonic", "Bb"), ("scale", "minor"), ("bpm", 92), ("drums", False)):
                await say(asking, type="set", name=name, value=value)
            told = [await text(listener, "prompts") for listener in (asking, other)]
            assert [message["prompts"] for message in told] == [wanted, wanted]
            async with asyncio.timeout(30):
                while (state := await text(other, "state"))["controls"]["drums"] is None:
                    pass
        async with listening(tape.url) as late:
            assert (await text(late, "start"))["prompts"] == wanted
        values = {control["name"]: control["value"] for control in late.hello["controls"]}
    for shown in (state["controls"], values):
        asked = {name: shown[name] for name in ("tonic", "scale", "bpm", "drums", "bass")}
        assert asked == {"tonic": 10.0, "scale": 1.0, "bpm": 92.0, "drums": 0.0, "bass": None}


async def test_names_and_null_are_acknowledged_as_numbers_and_null() -> None:
    async with playing_tape(prompts=Instant()) as tape, listening(tape.url) as listener:
        for name, value, number in (
            ("tonic", "F#", 6.0), ("tonic", "A", 9.0), ("scale", "dorian", 2.0), ("bpm", 90, 90.0),
            ("bpm", None, None),
        ):  # fmt: skip
            await say(listener, type="set", id=name, name=name, value=value)
            ack = await text(listener, "ack", "error")
            assert (ack["type"], ack["value"]) == ("ack", number)
        for name, value, words in (
            ("tonic", "H", "Bb"), ("scale", "klingon", "mixolydian"), ("bpm", 0, "40 … 220 bpm"),
            ("bpm", 1e9, "40 … 220 bpm"), ("gain_db", None, "gain_db takes a number"),
        ):  # fmt: skip
            await say(listener, type="set", id=name, name=name, value=value)
            error = await text(listener, "ack", "error")
            assert (error["code"], error["id"]) == ("bad_control", name)
            assert words in error["message"]


async def test_bundles_without_prompting_say_so() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        assert listener.hello["prompting"] is None
        await say(listener, type="prompts", id=4, prompts=[{"text": "pads"}])
        error = await text(listener, "ack", "error")
    assert (error["code"], error["id"]) == ("no_prompting", 4)
