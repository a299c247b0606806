"""`perpetuo play`: music to a sound device, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from time import monotonic
from typing import NoReturn

from engine.commands import say
from engine.commands.stage import Stage, stage
from engine.commands.status import EVERY_S, StatusLine, describe
from engine.commands.stream import SWITCH_S, open_stream
from engine.errors import PerpetuoError
from engine.generator import Block
from engine.precedence import take_precedence
from engine.runner import Runner
from engine.sinks.device import DeviceSink
from engine.sinks.device_list import Device, check_channels, find_device

MOST_FAILURES = 3


def play(given: Namespace) -> int:
    """Play until Ctrl-C; DeviceError where there is no device to begin with."""
    sys.setswitchinterval(SWITCH_S)
    take_precedence()
    device = find_device(given.device)  # before the bundle is loaded
    check_channels(device, given.channels)
    with stage(given, open_stream(given)) as beside:
        return _play(beside, device, given)


def _play(beside: Stage, device: Device, given: Namespace) -> int:
    stream = beside.stream
    audio = stream.bundle.manifest.audio

    def note(block: Block) -> None:
        beside.note(block)
        beside.heard(block.audio)

    runner = Runner(
        stream.generator, stream.controls, ring_s=given.ring, on_block=note, spare=stream.spare,
        prompts=stream.prompts, margin_s=given.margin,
    )  # fmt: skip
    runner.start()
    beside.start(runner)
    try:
        sink = DeviceSink(
            audio, device, ring=runner.ring, controls=stream.controls, channels=given.channels
        )
        with sink:  # opened while the first music is made
            _wait_for_music(runner)
            if given.screen:
                beside.show(lambda: sink.status().describe(), lambda: False)
                return 0
            say(f"perpetuo plays on {sink.device.name} (Ctrl-C ends it)")
            _watch(runner, sink, audio.sample_rate_hz)
    finally:
        runner.stop()


def _wait_for_music(runner: Runner) -> None:
    """Until the first block is there; PerpetuoError if there will be none."""
    while not runner.ready.wait(EVERY_S):
        status = runner.status()
        if status.replaced_blocks >= MOST_FAILURES:
            raise PerpetuoError(f"no music can be made: {status.last_error}")


def _watch(runner: Runner, sink: DeviceSink, rate_hz: int) -> NoReturn:
    """Show how it goes, until a signal comes; a device that is lost comes back."""
    line, began_s = StatusLine(), monotonic()
    try:
        while True:
            music = describe(runner.status(), rate_hz, monotonic() - began_s)
            line.show(f"{music}, {sink.status().describe()}")
            time.sleep(EVERY_S)
    finally:
        line.close()
