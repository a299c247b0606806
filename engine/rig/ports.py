"""The ports of the rig, each a thin thing: OSC over UDP, MIDI input, the announcement.

The libraries are those of the extra `rig`; each is imported when its port is opened.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from engine.errors import DeviceError, NetworkError, UsageError
from engine.rig.osc import Intake

SERVICE = "_osc._udp.local."
MOST_DATAGRAM = 65536
DRAINED = 4096
"""Datagrams read in one look; what is more waits in the socket."""

RECEIVE_BUFFER_BYTES = 1 << 20
MOST_SUBSCRIBERS = 16


def library(name: str, extra: str = "rig") -> Any:
    """A module of this extra; UsageError says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            f"{name.partition('.')[0]} is not installed: pip install 'perpetuo[{extra}]'"
        ) from None


class OscPort:
    """A UDP socket that hears orders and tells subscribers."""

    def __init__(self, host: str, port: int) -> None:
        """NetworkError if the address cannot be used."""
        library("pythonosc.osc_message")
        library("pythonosc.osc_message_builder")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise NetworkError(
                f"OSC cannot listen on {host}:{port}: {reason}; choose another --osc"
            ) from None
        self.host, self.port = self._socket.getsockname()[:2]
        self._subscribers: dict[tuple[str, int], None] = {}
        self.intake = Intake()

    @property
    def subscribers(self) -> int:
        """How many are told."""
        return len(self._subscribers)

    def drain(self) -> list[tuple[bytes, str]]:
        """Datagrams that came, with their senders; of a flood the newest of each control."""
        for _ in range(DRAINED):
            try:
                datagram, sender = self._socket.recvfrom(MOST_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an answer of ours was refused over there
                continue
            self.intake.add(datagram, sender[0])
        return self.intake.take()

    def subscribe(self, host: str, port: int) -> bool:
        """Tell this one from now on, port 0: no longer; False where there are too many."""
        if port == 0:
            for one in [one for one in self._subscribers if one[0] == host]:
                del self._subscribers[one]
            return True
        if len(self._subscribers) >= MOST_SUBSCRIBERS and (host, port) not in self._subscribers:
            return False
        self._subscribers[host, port] = None
        return True

    def tell(self, datagram: bytes) -> None:
        """Send to all subscribers; one that does not listen costs nothing."""
        for place in self._subscribers:
            with suppress(OSError):
                self._socket.sendto(datagram, place)

    def close(self) -> None:
        """Free the port."""
        self._socket.close()


class MidiPort:
    """A MIDI input; each message is handed to `hear`, in the driver's thread."""

    def __init__(self, wanted: str, hear: Callable[[Any], None]) -> None:
        """The input whose name holds `wanted`; DeviceError lists what there is."""
        mido = library("mido")
        library("rtmidi")
        try:
            names = mido.get_input_names()
        except Exception as error:  # whatever the driver stumbles over
            raise DeviceError(f"MIDI does not work on this machine: {error}") from None
        found = [name for name in names if wanted.lower() in name.lower()]
        if not found:
            there = "; ".join(names) or "none"
            raise DeviceError(f"no MIDI input is called {wanted!r:.60}; there are: {there}")
        self.name: str = found[0]
        self._port = mido.open_input(self.name, callback=hear)

    def close(self) -> None:
        """Free the port."""
        self._port.close()


class Announcement:
    """The OSC port, made known in the network by zeroconf."""

    def __init__(self, host: str, port: int, name: str = "perpetuo") -> None:
        """NetworkError where that does not work."""
        zeroconf = library("zeroconf")
        addresses = [host] if host not in ("0.0.0.0", "::") else own_addresses()
        info = zeroconf.ServiceInfo(
            SERVICE, f"{name}.{SERVICE}", port=port, parsed_addresses=addresses,
            properties={"txtvers": "1"}, server=f"{socket.gethostname()}.local.",
        )  # fmt: skip
        try:
            interfaces = addresses if host.startswith("127.") else zeroconf.InterfaceChoice.All
            self._zeroconf = zeroconf.Zeroconf(interfaces=interfaces)
            self._zeroconf.register_service(info, allow_name_change=True)
        except Exception as error:  # sockets, names: whatever the network does not allow
            raise NetworkError(f"OSC cannot be announced in the network: {error!r:.120}") from None
        self.name: str = info.name

    def close(self) -> None:
        """Take it back."""
        self._zeroconf.unregister_all_services()
        self._zeroconf.close()


def own_addresses() -> list[str]:
    """Addresses of this machine that others may reach."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    return sorted(one for one in found if ":" not in one) or ["127.0.0.1"]
