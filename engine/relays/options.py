"""The options of `perpetuo listen` and `perpetuo relay`; nothing heavy is imported here."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from engine import ranges

FEED = "ws://127.0.0.1:8765/feed"
CODECS = {"s16": "pcm_s16le", "f32": "pcm_f32le", "opus": "opus"}


def add_listen(listen: argparse.ArgumentParser) -> None:
    """What `perpetuo listen` takes."""
    listen.add_argument("feed", nargs="?", default=FEED, metavar="URL", help=f"default: {FEED}")
    listen.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE",
        help=".wav, .flac, .ogg; .opus keeps Opus packets as they are",
    )  # fmt: skip
    listen.add_argument("--codec", choices=tuple(CODECS), help="default: s16; opus for .opus")
    listen.add_argument(
        "--seconds",
        type=ranges.number(0.001, 1e9, "seconds"),
        metavar="S",
        help="default: until Ctrl-C",
    )
    _add_token(listen)


def add_relay(relay: argparse.ArgumentParser) -> None:
    """What `perpetuo relay` takes."""
    relay.add_argument(
        "target", metavar="TARGET",
        help="icecast://source:PASSWORD@HOST:8000/MOUNT or hls:FOLDER",
    )  # fmt: skip
    relay.add_argument("--from", dest="feed", default=FEED, metavar="URL", help=f"default: {FEED}")
    _add_token(relay)


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token", default=os.environ.get("PERPETUO_TOKEN") or None,
        help="the feed's; PERPETUO_TOKEN keeps it out of the process list",
    )  # fmt: skip
