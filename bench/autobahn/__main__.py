"""The cases of the Autobahn test suite against our server, and what came of them.

    python -m bench.autobahn                 all cases, an echo behind our door, then the feed
    python -m bench.autobahn --cases 6. 7.   those whose ids begin so

Two servers are asked. *echo*: the door of the feed, with its options, and an echo behind it, which
is what the suite expects of a server. *feed*: the feed itself, whose answer to every message of the
suite is a typed error; it is asked the cases that fit into its bound of 64 KiB a message.
Compression (12, 13) is never offered by our server, so nothing of it can be tested. Cases of limits
and speed (9) have a time to be done in: a failure there means something on an idle machine only.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.autobahn import suite, testee
from bench.autobahn.player import Outcome, Player, Server
from bench.command import answered
from engine.cli import Parser

AT_ONCE = 8
LARGE = ("9.", "7.1.6", "10.")
"""Messages beyond 64 KiB, or 1,000 of them in a row: not for the feed."""

CLASSES = {
    "1": "framing", "2": "pings", "3": "reserved bits", "4": "opcodes", "5": "fragments",
    "6": "UTF-8", "7": "closing", "9": "limits, speed", "10": "auto-fragments",
}  # fmt: skip


async def ask(server: Server, cases: Mapping[str, type[Any]]) -> list[Outcome]:
    """All cases, a few at once; those of limits one by one."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(case: type[Any]) -> Outcome:
        async with places:
            return await Player(server).play(case)

    small = [case for name, case in cases.items() if not name.startswith("9.")]
    found = list(await asyncio.gather(*map(one, small)))
    for name, case in cases.items():
        if name.startswith("9."):
            found.append(await Player(server).play(case))
    return found


def report(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    """Sums of all and of each class of cases; a line for each that failed or was not strict."""
    lines = [f"{name:5} {len(outcomes)} cases: {sums(outcomes)}"]
    for number, title in CLASSES.items():
        if members := [one for one in outcomes if one.case.partition(".")[0] == number]:
            lines.append(f"  {number:>2} {title:15} {sums(members)}")
    for outcome in outcomes:
        if outcome.kind not in ("OK", "INFORMATIONAL"):
            lines.append(
                f"  {outcome.case:8} {outcome.kind}: {outcome.behaviour}, close {outcome.close} "
                f"({outcome.code}): {outcome.why}"
            )
    return lines


def sums(outcomes: Sequence[Outcome]) -> str:
    """How many of each kind."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def main() -> int:
    """0 where no case failed, else 1."""
    parser = Parser(prog="python -m bench.autobahn", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", nargs="*", default=[""], help="how their ids begin")
    parser.add_argument("--archive", type=Path, help="the suite's source, fetched before")
    given = parser.parse_args()
    return answered("autobahn", lambda: _run(given))


def _run(given: Namespace) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = suite.unpack(given.archive or suite.fetch(folder), folder)
        cases = {key: every[key] for key in every if key.startswith(tuple(given.cases))}
        outcomes = asyncio.run(_both(cases))
    for server, found in outcomes.items():
        print("\n".join(report(server, found)), flush=True)
    return int(any(one.kind == "FAILED" for found in outcomes.values() for one in found))


async def _both(cases: Mapping[str, type[Any]]) -> dict[str, list[Outcome]]:
    small = {name: case for name, case in cases.items() if not name.startswith(LARGE)}
    async with testee.echo() as server:
        echoed = await ask(server, cases)
    async with testee.feed() as server:
        fed = await ask(server, small)
    return {"echo": echoed, "feed": fed}


if __name__ == "__main__":
    sys.exit(main())
