"""The options of the rig on the command line; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine import ranges

PORT = 8766


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `serve` and `play` take for a performer."""
    rig = parser.add_argument_group("for a performer (pip install 'perpetuo[rig]')")
    rig.add_argument(
        "--osc", type=ranges.whole(0, 65535), nargs="?", const=PORT, metavar="PORT",
        help=f"hear OSC, usually on UDP port {PORT}; docs/osc.md lists the addresses",
    )  # fmt: skip
    rig.add_argument("--osc-host", default="127.0.0.1", metavar="HOST")
    rig.add_argument("--announce", action="store_true", help="make the OSC port known (zeroconf)")
    rig.add_argument("--midi", metavar="NAME", help="a MIDI input whose name holds this")
    rig.add_argument(
        "--link", action="store_true", help="follow Ableton Link (pip install 'perpetuo[link]')"
    )
    rig.add_argument("--screen", action="store_true", help="meters, controls and keys, here")
    rig.add_argument("--show", type=Path, metavar="FILE", help="scenes and cues; docs/rig.md")
    rig.add_argument(
        "--record", type=Path, metavar="PLACE",
        help="a .flac to record to, or the folder for recordings begun by OSC",
    )  # fmt: skip
    rig.add_argument(
        "--states", type=Path, metavar="FOLDER", help="where musical states are saved and restored"
    )
    rig.add_argument("--flight", type=Path, metavar="FILE", help="a log that can be played again")


def wanted(given: argparse.Namespace) -> bool:
    """True if any of them was given; `watched` by a screen in another process is one."""
    names = ("osc", "midi", "show", "record", "states", "flight")
    switched = any(getattr(given, name, False) for name in ("screen", "watched", "link"))
    return switched or any(getattr(given, name, None) is not None for name in names)
