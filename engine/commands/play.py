"""`perpetuo play`: music to a sound device, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from time import monotonic

from engine.commands import say
from engine.commands.stage import Stage, stage
from engine.commands.status import EVERY_S, StatusLine, describe
from engine.commands.stream import SWITCH_S, open_stream
from engine.errors import DeviceError, PerpetuoError
from engine.generator import Block
from engine.runner import Runner
from engine.sinks.device import DeviceSink, find_device

LIFE_S = 3.0
"""A device that takes no audio for so long is given up."""

MOST_FAILURES = 3


def play(given: Namespace) -> int:
    """Play until Ctrl-C; DeviceError where there is no device, or it goes away."""
    sys.setswitchinterval(SWITCH_S)
    find_device(given.device)  # before the bundle is loaded
    with stage(given, open_stream(given)) as beside:
        return _play(beside, given)


def _play(beside: Stage, given: Namespace) -> int:
    stream = beside.stream
    audio = stream.bundle.manifest.audio

    def note(block: Block) -> None:
        beside.note(block)
        beside.heard(block.audio)

    runner = Runner(
        stream.generator, stream.controls, ring_s=given.ring, on_block=note, spare=stream.spare,
        prompts=stream.prompts,
    )  # fmt: skip
    runner.start()
    beside.start(runner)
    try:
        _wait_for_music(runner)
        sink = DeviceSink(audio, given.device, ring=runner.ring, controls=stream.controls)
        with sink:
            say(f"perpetuo plays on {sink.device.name} (Ctrl-C ends it)")
            _watch(runner, sink, audio.sample_rate_hz)
    finally:
        runner.stop()
    return 0


def _wait_for_music(runner: Runner) -> None:
    """Until the first block is there; PerpetuoError if there will be none."""
    while not runner.ready.wait(EVERY_S):
        status = runner.status()
        if status.replaced_blocks >= MOST_FAILURES:
            raise PerpetuoError(f"no music can be made: {status.last_error}")


def _watch(runner: Runner, sink: DeviceSink, rate_hz: int) -> None:
    """Show how it goes, for as long as the device lives."""
    line, began_s = StatusLine(), monotonic()
    try:
        while sink.status().silent_s < LIFE_S:
            line.show(describe(runner.status(), rate_hz, monotonic() - began_s))
            time.sleep(EVERY_S)
    finally:
        line.close()
    raise DeviceError(
        f"{sink.device.name} has taken no audio for {LIFE_S:g} s: start the sound server again, "
        "or use `perpetuo serve`"
    )
