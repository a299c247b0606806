"""Google's published client library, unchanged, plays from our server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from certifying import certified, needs_openssl
from google import genai
from google.genai import types
from serving import playing_live
from websockets.exceptions import ConnectionClosed

from engine.sinks.websocket import FeedServer

pytestmark = [
    needs_openssl,
    pytest.mark.filterwarnings("ignore:.*[Ee]xperimental.*"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate of this machine, as options of the server."""
    return certified(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificate(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The certificate, which the client trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", files["tls_cert"])
    return files


@asynccontextmanager
async def session(server: FeedServer, key: str = "any") -> AsyncIterator[Any]:
    """Connected as its documentation says, to another server."""
    options = types.HttpOptions(base_url=f"https://127.0.0.1:{server.port}", api_version="v1alpha")
    client = genai.Client(api_key=key, http_options=options)
    async with client.aio.live.music.connect(model="models/lyria-realtime-exp") as opened:
        yield opened


async def heard(
    opened: Any, enough: Callable[[list[types.AudioChunk]], bool]
) -> list[types.AudioChunk]:
    """Chunks until there are enough of them; other messages are passed over."""
    found: list[types.AudioChunk] = []
    async with asyncio.timeout(60):
        async for message in opened.receive():
            if message.server_content is not None:
                found += message.server_content.audio_chunks
            if enough(found):
                break
    return found


async def filtered(opened: Any) -> types.LiveMusicFilteredPrompt:
    async with asyncio.timeout(60):
        async for message in opened.receive():
            if message.filtered_prompt is not None:
                return message.filtered_prompt
    raise AssertionError("the stream has ended")


def seconds(count: float) -> Callable[[list[types.AudioChunk]], bool]:
    return lambda chunks: sum(len(chunk.data or b"") for chunk in chunks) >= count * 48000 * 4


def config_of(chunks: list[types.AudioChunk]) -> types.LiveMusicGenerationConfig:
    """Of the newest chunk, an empty one if there is none."""
    source = chunks[-1].source_metadata if chunks else None
    return (source and source.music_generation_config) or types.LiveMusicGenerationConfig()


def prompts_of(chunks: list[types.AudioChunk]) -> list[types.WeightedPrompt]:
    """Of the newest chunk."""
    source = chunks[-1].source_metadata if chunks else None
    content = source.client_content if source else None
    return (content.weighted_prompts or []) if content else []


def made_of(texts: list[str], bpm: int) -> Callable[[list[types.AudioChunk]], bool]:
    """The newest chunk was made from these."""
    return lambda chunks: (
        [prompt.text for prompt in prompts_of(chunks)] == texts and config_of(chunks).bpm == bpm
    )


async def test_the_published_client_plays_and_steers(certificate: dict[str, str]) -> None:
    asked = types.LiveMusicGenerationConfig(
        bpm=90, temperature=1.1, guidance=4.0, top_k=16, seed=7, density=0.5, brightness=0.75,
        scale=types.Scale.D_MAJOR_B_MINOR, mute_bass=True, mute_drums=False,
        music_generation_mode=types.MusicGenerationMode.QUALITY,
    )  # fmt: skip
    async with playing_live(prompting=True, **certificate) as server, session(server) as opened:
        await opened.set_weighted_prompts(
            [types.WeightedPrompt(text="slow ambient pads", weight=1.0),
             types.WeightedPrompt(text="jazz piano", weight=0.5)]
        )  # fmt: skip
        await opened.set_music_generation_config(asked)
        await opened.play()
        chunks = await heard(opened, seconds(1.0))
        chunks += await heard(opened, made_of(["slow ambient pads", "jazz piano"], bpm=90))
    audio = np.frombuffer(b"".join(chunk.data or b"" for chunk in chunks), "<i2")
    assert np.abs(audio).max() > 1000  # it is heard
    np.testing.assert_array_equal(audio[::2], audio[1::2])  # mono, on both sides
    assert {chunk.mime_type for chunk in chunks} == {"audio/l16;rate=48000;channels=2"}
    assert [prompt.weight for prompt in prompts_of(chunks)] == [1.0, 0.5]
    told = config_of(chunks).model_dump(exclude_none=True)
    wanted = asked.model_dump(exclude_none=True)
    assert told == {
        k: v for k, v in wanted.items() if k not in ("mute_drums", "music_generation_mode")
    }


async def test_every_scale_mode_and_flag_comes_back_as_it_was_asked(
    certificate: dict[str, str],
) -> None:
    configs = [types.LiveMusicGenerationConfig(scale=scale) for scale in list(types.Scale)[1:]]
    configs += [
        types.LiveMusicGenerationConfig(only_bass_and_drums=True, mute_drums=True),
        types.LiveMusicGenerationConfig(
            music_generation_mode=types.MusicGenerationMode.VOCALIZATION
        ),
    ]
    async with playing_live(prompting=True, **certificate) as server, session(server) as opened:
        for number, config in enumerate(configs, 1):
            await opened.set_music_generation_config(config)
            async with asyncio.timeout(60):
                while server._controls.snapshot().revision < number:
                    await asyncio.sleep(0.01)
            found = server._lyria._sources.at(number)["musicGenerationConfig"]
            told = types.LiveMusicGenerationConfig.model_validate(found)
            fields = config.model_dump(exclude_none=True)
            assert told.model_dump(include=set(fields)) == fields


async def test_pause_stop_and_reset(certificate: dict[str, str]) -> None:
    resets: list[None] = []
    async with playing_live(**certificate) as server, session(server) as opened:
        server._lyria._start_anew = lambda: resets.append(None)
        await opened.play()
        await heard(opened, seconds(0.5))
        await opened.pause()
        await opened.set_weighted_prompts([])  # this bundle takes none: a warning, after the pause
        async with asyncio.timeout(60):
            async for message in opened.receive():
                if message == types.LiveMusicServerMessage():
                    break
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(opened.receive()), 0.5)
        assert server._values()["listeners"] == 0
        await opened.play()
        await heard(opened, seconds(0.5))
        await opened.stop()


async def test_bad_input_is_answered_and_the_music_goes_on(certificate: dict[str, str]) -> None:
    async with playing_live(prompting=True, **certificate) as server, session(server) as opened:
        await opened.play()
        await opened.set_weighted_prompts([types.WeightedPrompt(text="qwertz", weight=1.0)])
        answer = await filtered(opened)
        assert answer.text == "qwertz"
        await opened.set_music_generation_config(types.LiveMusicGenerationConfig(bpm=10_000))
        await opened.set_weighted_prompts([types.WeightedPrompt(text="", weight=-1.0)])
        await heard(opened, seconds(1.0))
        assert server._controls.snapshot().values["bpm"] is None


async def test_several_clients_play_at_once(certificate: dict[str, str]) -> None:
    async with playing_live(**certificate) as server, AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(session(server)) for _ in range(4)]
        for one in opened:
            await one.play()
        found = await asyncio.gather(*(heard(one, seconds(1.0)) for one in opened))
    assert all(found)


async def test_the_token_is_the_api_key(certificate: dict[str, str]) -> None:
    async with playing_live(token="right", **certificate) as server:
        with pytest.raises(ConnectionClosed) as refusal:
            async with session(server, "wrong"):
                pass
        assert refusal.value.rcvd is not None and refusal.value.rcvd.code == 4401
        async with session(server, "right") as opened:
            await opened.play()
            assert await heard(opened, seconds(0.2))
