"""The command `perpetuo`: its arguments, its errors and its exit codes.

Nothing heavy is imported before the arguments are understood; what the commands do stands in
`engine.commands`. Exit codes: 0, 2 usage, 3 bundle, 4 device, 5 network, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from engine import ranges
from engine.choices import BACKENDS
from engine.commands import registered, version
from engine.errors import PerpetuoError, UsageError
from engine.relays.options import add_listen, add_relay
from engine.rig.options import add_options
from engine.scheduler import MARGIN_S


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; one line on stderr says what went wrong."""
    try:
        return _dispatch(arguments)
    except PerpetuoError as error:
        print(f"perpetuo: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has gone; that is no error
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    top = Parser(prog="perpetuo", description="Continues music without end, live.")
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    music = _music()
    _serve(commands.add_parser("serve", parents=[music], help="the feed and the page"))
    _live(commands.add_parser("play", parents=[music], help="to the sound device"))
    _render(commands.add_parser("render", parents=[music], help="to a file, as fast as it can"))
    add_listen(commands.add_parser("listen", help="a feed to a file"))
    add_relay(commands.add_parser("relay", help="a feed to Icecast, or to HLS segments"))
    commands.add_parser("bench", add_help=False, help="latency, real-time factor, misses")
    info = commands.add_parser("info", help="what a bundle is, and whether it is whole")
    info.add_argument("bundle", nargs="?", type=Path, help="its folder; default: the shipped one")
    commands.add_parser("devices", help="the sound devices")
    return top


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are UsageErrors of one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UsageError(f"{message}; see {self.prog} --help")


def _dispatch(arguments: Sequence[str]) -> int:
    top = parser()
    given, rest = top.parse_known_args(arguments)
    if given.version:
        print(f"perpetuo {version()}")
        return 0
    if given.command is None:
        top.print_help()
        return UsageError.exit_code
    if given.command == "bench":
        return registered("bench", rest)
    if rest:
        help_ = f"see {top.prog} {given.command} --help"
        raise UsageError(f"{given.command} does not know {' '.join(rest)}; {help_}")
    return _command(given.command)(given)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """The function behind a command, imported when it is wanted."""
    if name == "serve":
        from engine.commands.serve import serve

        return serve
    if name == "play":
        from engine.commands.play import play

        return play
    if name == "render":
        from engine.commands.render import render

        return render
    if name == "listen":
        from engine.commands.listen import listen

        return listen
    if name == "relay":
        from engine.commands.relay import relay

        return relay
    from engine.commands import info

    return info.devices if name == "devices" else info.info


def _music() -> Parser:
    """What serve, play and render share."""
    music = Parser(add_help=False)
    start = music.add_argument_group("where the music comes from")
    start.add_argument("--from", dest="take", type=Path, metavar="TAKE", help="a recording")
    start.add_argument(
        "--state", type=Path, metavar="FILE", help="a musical state, as kept by --states"
    )
    start.add_argument("--bundle", type=Path, metavar="FOLDER", help="default: the shipped one")
    start.add_argument(
        "--seed", type=ranges.whole(0, 2**31 - 1), default=0, help="same seed, same samples"
    )
    _wishes(music.add_argument_group("what is asked of it; prompts add up, and may be many"))
    ladder = music.add_argument_group("how it is made")
    ladder.add_argument(
        "--steps", type=ranges.count, metavar="T", help="passes from noise to music"
    )
    ladder.add_argument(
        "--depth", type=ranges.count, metavar="J", help="chunks in flight; divides T"
    )
    ladder.add_argument(
        "--chunk", type=ranges.count, metavar="FRAMES", help="size of a chunk, one that info lists"
    )
    ladder.add_argument("--backend", choices=BACKENDS, default="auto", help="docs/backends.md")
    ladder.add_argument("--threads", type=ranges.count, default=1, help="threads of one pass")
    ladder.add_argument(
        "--standin-audio", type=_format, default=(24000, 1), metavar="HZ,CHANNELS",
        help="what the stand-in plays (24000,1)",
    )  # fmt: skip
    return music


def _wishes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prompt", dest="prompts", action="append", default=[], metavar="TEXT", help="words"
    )
    group.add_argument(
        "--prompt-audio", dest="prompts", action="append", type=Path, metavar="FILE",
        help="music like this recording",
    )  # fmt: skip
    group.add_argument(
        "--weight", dest="weights", action="append", type=_plain, default=[], metavar="W",
        help="of the prompts, in their order; usually 1",
    )  # fmt: skip
    group.add_argument("--bpm", type=_plain)
    group.add_argument("--key", metavar="'A minor'")
    group.add_argument("--density", type=_plain, metavar="0…1", help="from sparse to busy")
    group.add_argument("--brightness", type=_plain, metavar="0…1", help="from dark to bright")
    for option, name in (("--with", "play"), ("--without", "without")):
        group.add_argument(
            option, dest=name, action="append", default=[], metavar="NAME",
            help="instruments, as perpetuo info lists them",
        )  # fmt: skip
    group.add_argument("--guidance", type=_plain, metavar="G", help="how much all this counts")


def _live(live: argparse.ArgumentParser) -> None:
    live.add_argument("--device", metavar="NAME", help="number or name, as in perpetuo devices")
    live.add_argument(
        "--channels", type=_channels, default=(), metavar="3,4", help="of the device; usually 1,2"
    )
    live.add_argument(
        "--ring", type=ranges.number(0.05, 60.0, "seconds"), default=0.6, metavar="S",
        help="audio ahead at most, in s",
    )  # fmt: skip
    live.add_argument(
        "--margin", type=ranges.number(0.0, 60.0, "seconds"), default=MARGIN_S, metavar="S",
        help=f"a chunk is begun so much earlier than it takes ({MARGIN_S:g}); "
        "more is safer, less is steered sooner",
    )  # fmt: skip
    add_options(live)


def _serve(serve: argparse.ArgumentParser) -> None:
    _live(serve)
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be heard in the network")
    serve.add_argument("--port", type=ranges.whole(0, 65535), default=8765)
    serve.add_argument(
        "--token", type=_token, default=os.environ.get("PERPETUO_TOKEN") or None,
        help="listeners must name it; PERPETUO_TOKEN keeps it out of the process list",
    )  # fmt: skip
    for role, may in (
        ("listener", "hear"), ("performer", "move the hands, too"),
        ("conductor", "ask for everything, one at a time"),
    ):  # fmt: skip
        serve.add_argument(
            f"--{role}-token", type=_token, metavar="TOKEN",
            default=os.environ.get(f"PERPETUO_{role.upper()}_TOKEN") or None,
            help=f"who names it may {may} (docs/protocol.md)",
        )  # fmt: skip
    serve.add_argument("--tls-cert", metavar="FILE", help="PEM; with it, https and wss")
    serve.add_argument("--tls-key", metavar="FILE", help="PEM")
    serve.add_argument("--origin", action="append", default=[], help="a page that may listen, too")
    serve.add_argument(
        "--listeners", type=ranges.count, default=200, metavar="N",
        help="at once; more are told to come again (200)",
    )  # fmt: skip
    watch = serve.add_argument_group("how engine and feed are watched (docs/install.md)")
    watch.add_argument(
        "--restarts", type=ranges.whole(0, 1_000_000), default=5, metavar="N",
        help="new starts of either within a minute, then it is given up (5)",
    )  # fmt: skip
    watch.add_argument(
        "--memory", type=ranges.whole(1, 1 << 20), metavar="MIB",
        help="address space of the engine; what asks for more is started again",
    )  # fmt: skip
    watch.add_argument(
        "--no-spare", dest="spare", action="store_false",
        help="no second engine that waits, even where there is memory for it",
    )  # fmt: skip
    watch.add_argument(
        "--sessions", type=ranges.whole(0, 1000), default=0, metavar="N",
        help="streams of their own for as many conductors; one process plays them all",
    )  # fmt: skip
    watch.add_argument(
        "--batch", type=ranges.count, default=4, metavar="N",
        help="of --sessions, how many at most share a run of the network (4; int8 shares none)",
    )  # fmt: skip
    watch.add_argument("--one-process", action="store_true", help="unwatched: nothing is replaced")


def _render(render: argparse.ArgumentParser) -> None:
    render.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    render.add_argument(
        "--seconds", type=ranges.number(0.001, 86400.0, "seconds"), default=60.0, help="default: 60"
    )
    render.add_argument("--with-take", action="store_true", help="the recording in front")
    render.add_argument(
        "--replay", type=Path, metavar="LOG", help="a session again, from its --flight log"
    )


def _token(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an empty token keeps nobody out")
    return text


def _channels(text: str) -> tuple[int, ...]:
    found = tuple(ranges.whole(1, 1024)(part.strip()) for part in text.split(","))
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r:.40} names a channel twice")
    return found


def _format(text: str) -> tuple[int, int]:
    rate_hz, _, channels = text.partition(",")
    return ranges.whole(8000, 192000)(rate_hz), ranges.whole(1, 8)(channels or "1")


def _plain(text: str) -> float:
    """Any number; what it is for knows its range."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no number") from None
