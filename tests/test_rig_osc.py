import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from engine.controls import default_controls, prompting_controls
from engine.rig.orders import (
    Fire,
    Hush,
    Learn,
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
from engine.rig.osc import MOST_AT_ONCE, Intake, OscReader, encode
from engine.spec import LadderSpec

SPECS = {spec.name: spec for spec in (*default_controls(LadderSpec(10)), *prompting_controls(512))}
NOW_S, WALL_S = 100.0, 1_790_000_000.0


def reader() -> OscReader:
    return OscReader(SPECS, lambda: {"/drop": "drop"})


def message(address: str, *arguments: Any) -> bytes:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build().dgram


def bundle(wall_s: float, *contents: Any) -> Any:
    builder = OscBundleBuilder(wall_s)  # 0: immediately
    for content in contents:
        builder.add_content(content)
    return builder.build()


def said(address: str, *arguments: Any) -> Any:
    ((due_s, order),) = reader().read(message(address, *arguments), NOW_S, WALL_S)
    assert due_s == NOW_S
    return order


@pytest.mark.parametrize(
    ("address", "arguments", "order"),
    [
        ("/perpetuo/control/density", (0.25,), SetControls({"density": 0.25})),
        ("/perpetuo/control/gain_db", (1.0,), SetControls({"gain_db": 6.0})),
        ("/perpetuo/control/density", (7.0,), SetControls({"density": 1.0})),
        ("/perpetuo/control/hold", (True,), SetControls({"hold": 1.0})),
        ("/perpetuo/value/bpm", (96,), SetControls({"bpm": 96.0})),
        ("/perpetuo/value/tonic", ("F#",), SetControls({"tonic": "F#"})),
        ("/perpetuo/value/tonic", ("free",), SetControls({"tonic": None})),
        ("/perpetuo/free/bpm", (), SetControls({"bpm": None})),
        ("/perpetuo/prompt", (), SetPrompts(())),
        (
            "/perpetuo/prompt",
            ("slow pads", 2.0, "rain"),
            SetPrompts((Words("slow pads", 2.0), Words("rain"))),
        ),
        ("/perpetuo/scene/calm", (), Recall("calm")),
        ("/perpetuo/scene/calm", (1.0,), Recall("calm")),
        ("/perpetuo/scene/calm", (0.0,), SetControls({})),
        ("/perpetuo/cue/opening", (), Fire("opening")),
        ("/drop", (1,), Fire("drop")),
        ("/drop", (0,), SetControls({})),
        ("/perpetuo/store/mine", (), Store("mine")),
        ("/perpetuo/save/verse", (), Save("verse")),
        ("/perpetuo/restore/verse", (1.0,), Restore("verse")),
        ("/perpetuo/restore/verse", (0.0,), SetControls({})),
        ("/perpetuo/panic", (), Panic(True)),
        ("/perpetuo/panic", (0,), Panic(False)),
        ("/perpetuo/hush", (), Hush()),
        ("/perpetuo/quantise", ("bar",), Quantise("bar")),
        ("/perpetuo/learn", ("bpm",), Learn("bpm")),
        ("/perpetuo/learn", (), Learn(None)),
        ("/perpetuo/record", (1,), Record(True)),
        ("/perpetuo/subscribe", (9000,), Subscribe(9000)),
        ("/perpetuo/ping", (), Ping()),
    ],
)
def test_every_address_is_understood(address: str, arguments: tuple[Any, ...], order: Any) -> None:
    assert said(address, *arguments) == order


@pytest.mark.parametrize(
    ("address", "arguments", "line"),
    [
        ("/other", (), "is no address of /perpetuo"),
        ("/perpetuo/nothing", (), "is not known; docs/osc.md"),
        ("/perpetuo/control", (1.0,), "is not known"),
        ("/perpetuo/control/volume", (1.0,), "no control 'volume'; there are gain_db, mute"),
        ("/perpetuo/control/bpm", (), "it takes one number"),
        ("/perpetuo/control/bpm", ("fast",), "it takes one number"),
        ("/perpetuo/control/bpm", (float("nan"),), "it takes one number"),
        ("/perpetuo/value/bpm", (1, 2), "2 arguments, it takes one value"),
        ("/perpetuo/free/gain_db", (), "cannot be left free"),
        ("/perpetuo/prompt", (1.0,), "it takes texts"),
        ("/perpetuo/quantise", ("soon",), "it takes one of now, beat, bar"),
        ("/perpetuo/learn", ("volume",), "no control 'volume'"),
        ("/perpetuo/subscribe", (70000,), "it takes a UDP port"),
    ],
)
def test_what_is_not_understood_is_told(address: str, arguments: Any, line: str) -> None:
    order = said(address, *arguments)
    assert isinstance(order, Tell)
    assert line in order.line


def test_a_bundle_of_the_future_waits_for_its_time() -> None:
    inner = bundle(WALL_S + 3.0, OscMessage(message("/perpetuo/hush")))
    outer = bundle(WALL_S + 1.5, OscMessage(message("/perpetuo/ping")), inner)
    found = reader().read(outer.dgram, NOW_S, WALL_S)
    assert [order for _, order in found] == [Ping(), Hush()]
    assert [due_s for due_s, _ in found] == pytest.approx([101.5, 103.0], abs=1e-3)


@pytest.mark.parametrize("stamp", [0.0, WALL_S - 5])
def test_a_bundle_of_the_past_or_of_now_is_done_now(stamp: float) -> None:
    packet = bundle(stamp, OscMessage(message("/perpetuo/ping")))
    assert reader().read(packet.dgram, NOW_S, WALL_S) == [(NOW_S, Ping())]


def test_a_bundle_dated_an_hour_ahead_is_refused_in_one_line() -> None:
    packet = bundle(WALL_S + 3600, *[OscMessage(message("/perpetuo/panic"))] * 3)
    ((due_s, order),) = reader().read(packet.dgram, NOW_S, WALL_S)
    assert due_s == NOW_S
    assert isinstance(order, Tell)
    assert order.line.startswith("an OSC bundle is dated 3,600 s ahead, at most 60 s: refused")


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"#bundle\0",
        b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", -4),  # python-osc never ends on this
        b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", 0),
        b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", 400) + b"/a\0\0",
        (b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", 20)) * 50,
        b"/perpetuo/ping",
        b"/a\0\0,z\0\0",
        b"/a\0\0,i\0\0",
        b"\xff" * 600,
    ],
)
def test_malformed_packets_are_one_line(datagram: bytes) -> None:
    ((_, order),) = reader().read(datagram, NOW_S, WALL_S)
    assert order == Tell(f"an OSC packet of {len(datagram)} bytes is malformed: ignored")


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda tail: b"#bundle\0" + tail))
def test_whatever_comes_is_survived(datagram: bytes) -> None:
    for due_s, _ in reader().read(datagram, NOW_S, WALL_S):
        assert NOW_S <= due_s <= NOW_S + 60


def test_of_a_flood_the_newest_of_each_fader_is_kept() -> None:
    places = [encode("/control/density", n / 100) for n in range(100)]
    intake = Intake()
    for n in range(50_000):
        intake.add(places[n % 100], "a")
        intake.add(encode("/value/bpm", n) if n > 49_997 else places[0], "a")
    intake.add(places[42], "a")
    intake.add(encode("/hush"), "b")
    found = intake.take()
    assert [sender for _, sender in found] == ["a", "a", "b"]
    newest = {OscMessage(one).address: OscMessage(one).params for one, _ in found[:2]}
    assert newest["/perpetuo/control/density"] == [pytest.approx(0.42)]
    assert newest["/perpetuo/value/bpm"] == [49_999]
    assert intake.dropped == 0
    assert intake.take() == []


def test_what_came_first_is_done_first() -> None:
    intake = Intake()
    sent = [encode("/value/bpm", 99), encode("/store/a"), encode("/free/bpm"), encode("/hush")]
    for datagram in sent:
        intake.add(datagram, "a")
    assert [datagram for datagram, _ in intake.take()] == sent


def test_a_flood_of_made_up_faders_is_bounded_and_counted() -> None:
    intake = Intake()
    for n in range(1000):
        intake.add(encode(f"/control/c{n}", 0.5), "a")
    assert len(intake.take()) == MOST_AT_ONCE
    assert intake.dropped == 1000 - MOST_AT_ONCE


def test_a_flood_of_buttons_is_bounded_and_counted() -> None:
    intake = Intake()
    for n in range(1000):
        intake.add(encode(f"/scene/s{n}"), "a")
    assert len(intake.take()) == MOST_AT_ONCE
    assert intake.dropped == 1000 - MOST_AT_ONCE


def test_what_the_rig_says_is_osc() -> None:
    told = OscMessage(encode("/learned", "bpm", 20, 0.5))
    assert (told.address, told.params) == ("/perpetuo/learned", ["bpm", 20, 0.5])
