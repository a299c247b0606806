import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythonosc.osc_message import OscMessage

from engine.errors import DeviceError, NetworkError, PerpetuoError, UsageError
from engine.rig.osc import encode
from engine.rig.ports import (
    MOST_SUBSCRIBERS,
    Announcement,
    MidiPort,
    OscPort,
    library,
    own_addresses,
)

ROOT = Path(__file__).parent.parent


def test_what_is_sent_is_drained_with_its_sender() -> None:
    port = OscPort("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for n in range(3):
            sender.sendto(encode("/hush", n), ("127.0.0.1", port.port))
        found: list[tuple[bytes, str]] = []
        while len(found) < 3:
            found += port.drain()
    assert found == [(encode("/hush", n), "127.0.0.1") for n in range(3)]
    assert port.drain() == []
    port.close()


def test_subscribers_are_told_and_those_that_are_gone_cost_nothing() -> None:
    port = OscPort("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        deaf = gone.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        assert port.subscribe("127.0.0.1", deaf)
        assert port.subscribe("127.0.0.1", listener.getsockname()[1])
        for n in range(5):
            port.tell(encode("/pong", n))
            assert port.drain() == []
        heard = [OscMessage(listener.recv(1000)).params for _ in range(5)]
    assert heard == [[n] for n in range(5)]
    assert port.subscribe("127.0.0.1", 0)
    assert port.subscribers == 0
    port.close()


def test_subscribers_are_bounded() -> None:
    port = OscPort("127.0.0.1", 0)
    assert all(port.subscribe("127.0.0.1", 9000 + n) for n in range(MOST_SUBSCRIBERS))
    assert port.subscribe("127.0.0.1", 9000)
    assert not port.subscribe("127.0.0.1", 8999)
    port.close()


def test_a_port_that_is_taken_is_one_line() -> None:
    port = OscPort("127.0.0.1", 0)
    with pytest.raises(NetworkError, match=f"127.0.0.1:{port.port}: Address already in use"):
        OscPort("127.0.0.1", port.port)
    port.close()
    with pytest.raises(NetworkError, match="choose another --osc"):
        OscPort("256.1.1.1", 0)


def test_without_the_extra_the_cure_is_named() -> None:
    with pytest.raises(
        UsageError, match=r"nothing is not installed: pip install 'perpetuo\[rig\]'"
    ):
        library("nothing.at_all")


def test_importing_the_rig_loads_none_of_its_libraries() -> None:
    code = (
        "import engine.rig.ports, engine.rig.shell, engine.rig.desk, engine.rig.midi, sys\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"pythonosc", "mido", "rtmidi", "zeroconf"} & set(done.stdout.split())


def test_no_such_midi_input_is_one_line_with_what_there_is() -> None:
    with pytest.raises(PerpetuoError, match="MIDI") as refused:
        MidiPort("no such input of this machine", print)
    assert isinstance(refused.value, DeviceError)
    assert "\n" not in str(refused.value)


def test_the_announcement_is_found_by_zeroconf() -> None:
    zeroconf = pytest.importorskip("zeroconf")
    try:
        announced = Announcement("127.0.0.1", 8766, "perpetuo test")
    except NetworkError as error:
        pytest.skip(f"no multicast here: {error}")
    finder = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    try:
        info = finder.get_service_info("_osc._udp.local.", announced.name, 5000)
    finally:
        finder.close()
        announced.close()
    assert info is not None
    assert (info.port, info.parsed_addresses()) == (8766, ["127.0.0.1"])


def test_own_addresses_are_addresses() -> None:
    for address in own_addresses():
        socket.inet_aton(address)


HEARING = """
import sys, time, mido
from engine.rig.ports import MidiPort
out = mido.open_output("rig test out", virtual=True)
heard = []
port = MidiPort("rig test", heard.append)
deadline_s = time.monotonic() + 15
while len(heard) < 20 and time.monotonic() < deadline_s:
    out.send(mido.Message("control_change", control=20, value=64))
    time.sleep(0.01)
port.close()
out.close()
print(heard[0])
"""


@pytest.fixture
def jack() -> Iterator[dict[str, str]]:
    """The environment of JACK's dummy server, which has MIDI ports without any hardware."""
    rtmidi = pytest.importorskip("rtmidi")
    if shutil.which("jackd") is None or rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        pytest.skip("no jackd, or a python-rtmidi without JACK")
    own = {"JACK_DEFAULT_SERVER": f"rig{os.getpid()}", "JACK_NO_AUDIO_RESERVATION": "1"}
    command = ["jackd", "-r", "-n", own["JACK_DEFAULT_SERVER"], "-d", "dummy", "-p", "1024"]
    with subprocess.Popen(
        command, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        time.sleep(1.0)
        if server.poll() is not None:
            pytest.skip("jackd does not run here")
        yield os.environ | own | {"MIDO_BACKEND": "mido.backends.rtmidi/UNIX_JACK"}
        server.terminate()


def test_a_real_midi_port_is_heard(jack: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEARING], cwd=ROOT, env=jack, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "control_change channel=0 control=20 value=64 time=0", done.stderr
