"""Faults of the machine around it."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
import soundfile
from sound_server import SoundServer

from tests.faults.ears import ear
from tests.serving import metrics
from tests.serving import until as reached
from tests.watching import served, until

Told = Callable[[str], None]

FLOOD = int(os.environ.get("FAULTS_FLOOD", "50000"))
DEVICE_KILLS = 3
PRESSED_S = 20

JUMP = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
/* The wall clock, moved by the seconds that stand in a file; all other clocks as they are. */
static long ahead(void) {
    static volatile long *seconds;
    if (!seconds)
        seconds = mmap(0, 8, PROT_READ, MAP_SHARED, open(getenv("JUMP"), O_RDONLY), 0);
    return *seconds;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += ahead();
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec, now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (out) *out = exact.tv_sec;
    return exact.tv_sec;
}
"""


async def test_device_lost(told: Told) -> None:
    back_s: list[float] = []
    with SoundServer(rate_hz=48000) as server:
        environment = {"env": server.environment}
        with served("--device", "system", **environment) as running:
            assert running.process.stderr is not None
            async with ear(running.feed) as one:
                for _ in range(DEVICE_KILLS):
                    await reached(running.port, "device_playing", 1)
                    await one.more(20)
                    server.kill()
                    await _told(running.process, "is lost")
                    await one.more(20)
                    server.start()
                    began_s = monotonic()
                    await _told(running.process, "plays again")
                    back_s.append(monotonic() - began_s)
            assert one.unbroken and one.musical
    times = ", ".join(f"{seconds:.1f}" for seconds in back_s)
    told(f"back {times} s after the server's start; the feed: {one.gaps()}")


async def _told(process: subprocess.Popen[str], words: str) -> None:
    """Wait for a line that holds these words."""
    async with asyncio.timeout(90):
        while words not in await _line(process):
            pass


async def _line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return await asyncio.wait_for(asyncio.to_thread(process.stderr.readline), 90)


@pytest.mark.skipif(shutil.which("stress-ng") is None, reason="needs: apt install stress-ng")
async def test_cpu_contention(told: Told) -> None:
    cores = len(os.sched_getaffinity(0))
    with served() as running:
        async with ear(running.feed) as one:
            before = await metrics(running.port)
            stress = subprocess.Popen(
                ["stress-ng", "--cpu", str(cores), "--timeout", f"{PRESSED_S}s", "--quiet"]
            )
            await one.until(lambda: stress.poll() is not None)
            after = await metrics(running.port)
    filler_s = after["filler_seconds_total"] - before["filler_seconds_total"]
    assert one.unbroken and filler_s == 0
    told(f"{filler_s:g} s of filler in {PRESSED_S} s beside {cores} busy processes; {one.gaps()}")


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[tuple[dict[str, str], Callable[[int], None]]]:
    """An environment whose wall clock can be moved, and what moves it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs: apt install gcc libc6-dev")
    source, library, place = (tmp_path / name for name in ("jump.c", "jump.so", "jump"))
    source.write_text(JUMP)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    place.write_bytes(bytes(8))
    with open(place, "r+b") as file, mmap.mmap(file.fileno(), 8) as seconds:
        environment = {**os.environ, "LD_PRELOAD": str(library), "JUMP": str(place)}
        yield environment, lambda ahead: struct.pack_into("q", seconds, 0, ahead)


async def test_clock_jump(told: Told, clock: tuple[dict[str, str], Callable[[int], None]]) -> None:
    environment, jump = clock
    jump(3600)
    tell = [sys.executable, "-c", "import time; print(time.time())"]
    moved = subprocess.run(tell, env=environment, capture_output=True, text=True, check=True)
    plain = subprocess.run(tell, capture_output=True, text=True, check=True)
    assert float(moved.stdout) - float(plain.stdout) > 3000  # the clock does jump
    jump(0)
    with served(env=environment) as running:
        async with ear(running.feed) as one:
            for ahead in (3600, 0, -3600, 0, 3600, -3600):
                jump(ahead)
                await one.more(10)
            now = await metrics(running.port)
        assert one.unbroken and one.musical and now["filler_seconds_total"] == 0
        assert now.get("restarts_total{engine}", 0) == now.get("restarts_total{feed}", 0) == 0
        told(f"6 jumps of 1 and 2 h: no filler, no restart; {one.gaps()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, nearly full."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (place / "ballast").write_bytes(bytes(4_000_000))
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


async def test_disk_full_while_recording(told: Told, small_disk: Path) -> None:
    file = small_disk / "take.flac"
    with served("--record", file) as running:
        async with ear(running.feed) as one:
            alarm = await _line(running.process)
            await one.more(30)
        code, words = running.end()
    assert code == 130 and "Traceback" not in words
    assert one.unbroken and one.musical
    audio, _ = soundfile.read(file)
    told(f"{file.stat().st_size} bytes, {len(audio)} samples can be read; {alarm.strip():.100}")


async def test_a_flood_by_osc(told: Told) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served("--osc", port) as running:
        async with ear(running.feed) as one:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                began_s = monotonic()
                for number in range(FLOOD):
                    link.sendto(_osc(0.4 + number % 50 / 100), ("127.0.0.1", port))
                    if number % 500 == 0:
                        await asyncio.sleep(0)
                sent_s = monotonic() - began_s
                for _ in range(20):  # datagrams may be lost
                    link.sendto(_osc(0.5), ("127.0.0.1", port))
                    await asyncio.sleep(0.05)
            await one.until(lambda: one.state.get("controls", {}).get("gain_db") == -27)
            await one.more(10)
        assert one.unbroken and one.musical
        told(f"{FLOOD} messages at {FLOOD / sent_s:.0f}/s; {one.gaps()}")


def _osc(value: float) -> bytes:
    """The fader of the gain, from 0 to 1."""
    name = b"/perpetuo/control/gain_db\0"
    return name + b"\0" * (-len(name) % 4) + b",f\0\0" + struct.pack(">f", value)


def test_a_player_outlives_ten_deaths_of_its_device_process(told: Told) -> None:
    with SoundServer() as server:
        playing = server.command(sys.executable, "-m", "engine", "play", "--backend", "standin")
        assert playing.stderr is not None
        assert "plays on" in playing.stderr.readline()
        back_s = []
        for _ in range(10):
            child = until(lambda: _device_process(playing.pid))
            os.kill(child, signal.SIGKILL)
            began_s = monotonic()
            assert "is lost" in playing.stderr.readline()
            assert "plays again" in playing.stderr.readline()
            back_s.append(monotonic() - began_s)
        playing.send_signal(signal.SIGINT)
        _, words = playing.communicate(timeout=60)
    assert (playing.returncode, words) == (130, "")
    told(f"back after {min(back_s):.1f} to {max(back_s):.1f} s")


def _device_process(parent: int) -> int | None:
    from tests.watching import children, command_of

    found = [pid for pid in children(parent) if any("spawn_main" in a for a in command_of(pid))]
    return max(found, default=None)
