"""`perpetuo relay`: a feed to Icecast, or to a folder of HLS segments."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from pathlib import Path
from typing import Protocol

from engine.commands import say
from engine.errors import UsageError
from engine.relays.source import Source
from engine.wire.packets import Codec

PASSWORD = "PERPETUO_ICECAST_PASSWORD"
HLS = "hls:"


class Relay(Protocol):
    """Where packets go."""

    async def run(self, source: Source) -> None:
        """Relay until cancelled."""
        ...


def relay(given: Namespace) -> int:
    """Relay until Ctrl-C; UsageError for a target that is none."""
    codec, made = _target(given.target)
    asyncio.run(_relay(given, codec, made))
    return 0


async def _relay(given: Namespace, codec: Codec, made: Relay) -> None:
    async with Source(given.feed, codec, token=given.token, tell=say) as source:
        await made.run(source)


def _target(target: str) -> tuple[Codec, Relay]:
    """The relay to a target, and the codec it wants."""
    if target.startswith(HLS) and target != HLS:
        from engine.relays.hls import HlsFolder, HlsRelay

        return Codec.PCM_S16LE, HlsRelay(HlsFolder(Path(target.removeprefix(HLS)), tell=say))
    if target.startswith("icecast"):
        from engine.relays.icecast import IcecastRelay, Mount

        mount = Mount.parse(target, os.environ.get(PASSWORD))
        return Codec.OPUS, IcecastRelay(mount, tell=say)
    raise UsageError("a relay goes to icecast://source:PASSWORD@HOST:8000/MOUNT or to hls:FOLDER")
