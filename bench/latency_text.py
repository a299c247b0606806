"""The latency report as a person reads it, made from the values of its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.verdict import verdict_lines

Report = Mapping[str, Any]
TAIL = ("p50", "p90", "p99", "p999", "max")


def render(report: Report) -> str:
    """All of it, as lines."""
    parts = [headline, _ticks, _lateness, _rings, _first_audio, _sink, _live, _memory, _verdict]
    return "\n".join(line for part in parts for line in part(report))


def headline(report: Report) -> Iterator[str]:
    """What was measured, and where."""
    machine, bundle = report["machine"], report["bundle"]
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    yield ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    flushed = "flushed to zero" if report["denormals_flushed"] else "kept"
    yield (
        f"revision {report['revision']}, bundle {bundle['name']} {bundle['hash'][:12]} "
        f"({bundle['megabytes']:.1f} MB), {report['backend']} on {', '.join(report['providers'])}, "
        f"{report['threads']} threads, denormals {flushed}"
    )
    ladder = report["ladder"]
    yield (
        f"{report['chunks']} chunks of {report['chunk_s'] * 1e3:.0f} ms, "
        f"{ladder['steps']} steps, {ladder['depth']} in flight"
    )
    if report.get("load"):
        yield f"beside {report['load']} busy processes ({report['busy_with']})"


def _ticks(report: Report) -> Iterator[str]:
    yield ""
    yield f"real-time factor      {report['real_time_factor']:.4f}"
    yield f"cold first chunk      {report['cold_first_chunk_s'] * 1e3:.1f} ms"
    yield f"{'ms':<20}" + "".join(f"{name:>10}" for name in TAIL)
    yield tail_line("tick", report["tick_ms"])
    for name, tail in report["stages_ms"].items():
        yield tail_line(f"  {name}", tail)
    yield tail_line("this machine's timer", report["timer_jitter_ms"])
    share = report["overhead"]["fraction"]
    yield f"outside the graphs    {_number(share and 100 * share)} % of a tick"


def tail_line(name: str, tail: Report) -> str:
    """A name and the points of its tail."""
    return f"{name:<20}" + "".join(f"{_number(tail[point]):>10}" for point in TAIL)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _lateness(report: Report) -> Iterator[str]:
    yield ""
    yield (
        f"deadline misses       {report['deadline_misses']}, "
        f"longest run {report['longest_miss_run']}"
    )
    yield tail_line("late, ms", report["lateness_ms"])
    yield "lateness in chunks, from the intended time (0 is just in time):"
    for low, high, count in report["lateness_histogram_chunks"]:
        if count:
            span = f"{'' if low is None else low:>6} … {'' if high is None else high:<6}"
            yield f"  {span} {count:7d} " + "#" * max(1, round(40 * count / report["chunks"]))


def _rings(report: Report) -> Iterator[str]:
    yield ""
    yield "these ticks through the engine's scheduler, in virtual time:"
    for ring in report["rings"]:
        lead, control = _number(ring["lead_s"]["p50"]), _number(ring["control_to_sound_s"])
        yield (
            f"a ring of {ring['ring_s']:.2f} s: {ring['underruns']} underruns, "
            f"{ring['holds']} holds, {ring['fewer_steps']} with fewer steps; begun {lead} s early, "
            f"{_number(ring['least_spare_s'])} s to spare at least, control to sound {control} s"
        )


def _first_audio(report: Report) -> Iterator[str]:
    first = report["first_audio"]
    yield ""
    yield f"first audio, warm     {first['warm_s'] * 1e3:.1f} ms"
    yield f"from process start    {first['process_s']:.2f} s"
    delay = report["control_delay_chunks"]
    chunks = f"{_number(delay['p50'])}, at most {_number(delay['max'])}"
    yield f"an idea is heard in   chunk {chunks} after it is set"


def _sink(report: Report) -> Iterator[str]:
    sink = report.get("sink")
    if sink is None:
        return
    yield ""
    yield f"played {sink['seconds']:.0f} s to a sink that takes 10 ms at a time: {_troubles(sink)}"
    yield f"{'':<20}" + "".join(f"{name:>10}" for name in TAIL)
    yield tail_line("sink's gap, ms", sink["gap_ms"])
    yield tail_line("sink late, ms", sink["late_ms"])


def _troubles(run: Report) -> str:
    early = f"{_number(run['lead_s'])} s early, {_number(run['margin_s'])} s of it margin"
    return (
        f"{run['underruns']} underruns, {run['deadline_misses']} deadline misses, "
        f"{run['holds']} holds, ring {run['ring_s']:.2f} s at most; chunks begun {early}, "
        f"{_number(run['least_spare_s'])} s to spare at least"
    )


def _live(report: Report) -> Iterator[str]:
    live = report.get("live")
    if live is None:
        return
    yield ""
    yield f"served {live['seconds']:.0f} s to a listener on loopback: {_troubles(live)}"
    yield (
        f"{live['replaced_blocks']} blocks replaced, {live['skipped_packets']} packets skipped; "
        f"first packet of music {live['first_audio_s']:.2f} s from its start, settled "
        f"{live['settled_s']:.1f} s later"
    )
    yield f"{'':<20}" + "".join(f"{name:>10}" for name in TAIL)
    yield tail_line("packet gap, ms", live["feed_gap_ms"])
    yield tail_line("packet late, ms", live["feed_lateness_ms"])
    yield tail_line("control to sound, s", live["control_to_sound_s"])
    yield (
        f"server's memory       {_number(live['memory_start_mb'])} MB when settled, "
        f"{_number(live['memory_end_mb'])} MB at the end"
    )


def _memory(report: Report) -> Iterator[str]:
    memory = report["memory"]
    yield ""
    yield (
        f"memory of the ticks   {_number(memory['start_mb'])} MB before, "
        f"{_number(memory['end_mb'])} MB after, {_number(memory['peak_mb'])} MB at most"
    )


def _verdict(report: Report) -> Iterator[str]:
    yield ""
    yield from verdict_lines(report["verdict"])
