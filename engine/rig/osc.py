"""OSC without sockets: datagrams and the time go in, orders and the times they are for come out.

An OSC time tag is wall-clock time. It is turned into a delay as it comes in, and everything after
that is monotonic: a clock that jumps moves nothing that already waits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from engine.rig.addresses import PREFIX
from engine.rig.faders import from_fader
from engine.rig.orders import (
    UNITS,
    Fire,
    Hush,
    Learn,
    Order,
    Panic,
    Ping,
    Quantise,
    Recall,
    Record,
    Restore,
    Save,
    SetControls,
    SetPrompts,
    Store,
    Subscribe,
    Tell,
    Words,
)
from engine.spec import ControlSpec

AHEAD_S = 60.0
"""A bundle may be dated so far ahead."""

CONTINUOUS = (f"{PREFIX}/control/".encode(), f"{PREFIX}/value/".encode())
"""Addresses of which only the newest message counts."""

MOST_AT_ONCE = 64
"""Messages of one kind taken up in one look."""

MOST_NESTED = 4
BUNDLE = b"#bundle\0"
TAGS = re.compile(rb"(,[ifhdsTFN]*)?")
IMMEDIATELY = 1
NTP_EPOCH_S = 2208988800
"""From 1900, where time tags begin, to 1970."""

Dated = tuple[float, Order]


class OscReader:
    """Reads datagrams. Not thread-safe."""

    def __init__(
        self, specs: Mapping[str, ControlSpec], cues: Callable[[], Mapping[str, str]]
    ) -> None:
        """`cues` gives the names of cues by the address of their own that they are called with."""
        self._specs = specs
        self._cues = cues

    def read(self, datagram: bytes, now_s: float, wall_s: float) -> list[Dated]:
        """Orders and when they are due, on the clock of `now_s`; never raises.

        `wall_s` is the time of day, in seconds since 1970, at the same moment.
        """
        try:
            messages = list(_messages(datagram, wall_s))
        except Exception:  # whatever the library stumbles over came from outside
            return [(now_s, Tell(f"an OSC packet of {len(datagram)} bytes is malformed: ignored"))]
        found: list[Dated] = []
        for ahead_s, address, arguments in messages:
            if not ahead_s <= AHEAD_S:
                late = f"an OSC bundle is dated {ahead_s:,.0f} s ahead, at most {AHEAD_S:g} s"
                return [(now_s, Tell(f"{late}: refused; set the sender's clock"))]
            found.append((now_s + ahead_s, self.order(address, arguments)))
        return found

    def order(self, address: str, arguments: Sequence[Any]) -> Order:
        """What one message asks for; a Tell that names the culprit where it asks for nothing."""
        cue = self._cues().get(address)
        if cue is not None:
            return Fire(cue) if _pressed(arguments) else _nothing()
        if not address.startswith(PREFIX + "/"):
            return Tell(f"{address!r:.80} is no address of {PREFIX}; docs/osc.md lists them")
        kind, _, name = address[len(PREFIX) + 1 :].partition("/")
        make = (_NAMED if name else _PLAIN).get(kind)
        if make is None:
            return Tell(f"{address!r:.80} is not known; docs/osc.md lists the addresses")
        try:
            return make(self._specs, name, arguments)
        except ValueError as reason:
            return Tell(f"{address:.80}: {reason}")


class Intake:
    """Datagrams between two looks at them: of a flood of one control the newest is kept."""

    def __init__(self) -> None:
        self._waiting: dict[bytes | int, tuple[bytes, str]] = {}
        self._others = 0
        self.dropped = 0

    def add(self, datagram: bytes, sender: str) -> None:
        """Keep it, in the place of an older one of the same control, or count it as dropped."""
        key: bytes | int = self._others
        if datagram.startswith(CONTINUOUS):
            key = datagram[: datagram.find(b"\0")]
            self._waiting.pop(key, None)
        elif self._others >= MOST_AT_ONCE:
            self.dropped += 1
            return
        else:
            self._others += 1
        if len(self._waiting) - self._others >= MOST_AT_ONCE:
            self.dropped += 1
            return
        self._waiting[key] = (datagram, sender)

    def take(self) -> list[tuple[bytes, str]]:
        """What there is to do, and from whom, in the order in which it came; nothing is left."""
        found = list(self._waiting.values())
        self._waiting.clear()
        self._others = 0
        return found


def encode(path: str, *arguments: float | int | str) -> bytes:
    """A message of the rig as a datagram; `path` comes behind the prefix."""
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(PREFIX + path)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build().dgram


Timed = tuple[float, str, list[Any]]


def _messages(datagram: bytes, wall_s: float, depth: int = 0) -> Iterator[Timed]:
    """Seconds ahead (0 for now and the past), address and arguments of every message.

    Bundles are walked here: a negative size would keep the library in a loop for ever.
    """
    if not datagram.startswith(BUNDLE):
        yield 0.0, *_message(datagram)
        return
    stamp = int.from_bytes(datagram[8:16])
    if len(datagram) < 16 or depth > MOST_NESTED:
        raise ValueError("no time tag, or nested too deeply")
    ahead_s = 0.0 if stamp == IMMEDIATELY else stamp / 2**32 - NTP_EPOCH_S - wall_s
    index = 16
    while index < len(datagram):
        size = int.from_bytes(datagram[index : index + 4])
        index += 4
        if not 0 < size <= len(datagram) - index:
            raise ValueError("an element that is not there")
        for inner_s, address, arguments in _messages(
            datagram[index : index + size], wall_s, depth + 1
        ):
            yield max(0.0, ahead_s, inner_s), address, arguments
        index += size


def _message(datagram: bytes) -> tuple[str, list[Any]]:
    from pythonosc.osc_message import OscMessage

    if not datagram.startswith(b"/"):
        raise ValueError("no address")
    tags = datagram[(datagram.index(b"\0") & ~3) + 4 :].partition(b"\0")[0]
    if not TAGS.fullmatch(tags):
        raise ValueError("arguments of an unknown kind")
    message = OscMessage(datagram)
    return message.address, message.params


# ---- one function an address --------------------------------------------------------------------

Specs = Mapping[str, ControlSpec]


def _control(specs: Specs, name: str, arguments: Sequence[Any]) -> Order:
    place = _number(arguments)
    return SetControls({name: from_fader(_spec(specs, name), place)})


def _value(specs: Specs, name: str, arguments: Sequence[Any]) -> Order:
    spec = _spec(specs, name)
    if len(arguments) != 1:
        raise ValueError(f"{len(arguments)} arguments, it takes one value")
    if arguments[0] == "free" and spec.optional:
        return SetControls({name: None})
    if isinstance(arguments[0], str):
        return SetControls({name: arguments[0]})
    return SetControls({name: _number(arguments)})


def _free(specs: Specs, name: str, _arguments: Sequence[Any]) -> Order:
    if not _spec(specs, name).optional:
        raise ValueError("this control cannot be left free")
    return SetControls({name: None})


def _prompt(_specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    words: list[Words] = []
    for argument in arguments:
        if isinstance(argument, str):
            words.append(Words(argument))
        elif words and isinstance(argument, int | float):
            words[-1] = Words(words[-1].text, float(argument))
        else:
            raise ValueError("it takes texts, each followed by its weight or not")
    return SetPrompts(tuple(words))


def _button(
    make: Callable[[str], Order], _specs: Specs, name: str, arguments: Sequence[Any]
) -> Order:
    return make(name) if _pressed(arguments) else _nothing()


def _panic(_specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    return Panic(_pressed(arguments))


def _hush(_specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    return Hush() if _pressed(arguments) else _nothing()


def _quantise(_specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    if len(arguments) != 1 or arguments[0] not in UNITS:
        raise ValueError(f"it takes one of {', '.join(UNITS)}")
    return Quantise(arguments[0])


def _learn(specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    if not arguments or arguments[0] == "":
        return Learn(None)
    return Learn(_spec(specs, str(arguments[0])).name)


def _record(_specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    return Record(_pressed(arguments))


def _subscribe(_specs: Specs, _name: str, arguments: Sequence[Any]) -> Order:
    port = _number(arguments)
    if not 0 <= port <= 65535 or port != int(port):
        raise ValueError("it takes a UDP port, or 0 to end it")
    return Subscribe(int(port))


def _ping(_specs: Specs, _name: str, _arguments: Sequence[Any]) -> Order:
    return Ping()


Make = Callable[[Specs, str, Sequence[Any]], Order]

_NAMED: dict[str, Make] = {
    "control": _control,
    "value": _value,
    "free": _free,
    "scene": partial(_button, Recall),
    "cue": partial(_button, Fire),
    "store": partial(_button, Store),
    "save": partial(_button, Save),
    "restore": partial(_button, Restore),
}
_PLAIN: dict[str, Make] = {
    "prompt": _prompt,
    "panic": _panic,
    "hush": _hush,
    "quantise": _quantise,
    "learn": _learn,
    "record": _record,
    "subscribe": _subscribe,
    "ping": _ping,
}


def _spec(specs: Specs, name: str) -> ControlSpec:
    if name not in specs:
        raise ValueError(f"no control {name!r:.40}; there are {', '.join(specs)}")
    return specs[name]


def _number(arguments: Sequence[Any]) -> float:
    if len(arguments) == 1 and isinstance(arguments[0], bool | int | float):
        number = float(arguments[0])
        if math.isfinite(number):
            return number
    raise ValueError("it takes one number")


def _pressed(arguments: Sequence[Any]) -> bool:
    """A button: pressed without an argument or with one that is not 0."""
    return not arguments or bool(arguments[0])


def _nothing() -> Order:
    return SetControls({})
