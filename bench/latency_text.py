"""The latency report as a person reads it, made from the values of its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Report = Mapping[str, Any]
TAIL = ("p50", "p90", "p99", "p999", "max")


def render(report: Report) -> str:
    """All of it, as lines."""
    parts = [_where, _ticks, _lateness, _first_audio, _live, _memory, _verdict]
    return "\n".join(line for part in parts for line in part(report))


def _where(report: Report) -> Iterator[str]:
    machine, bundle = report["machine"], report["bundle"]
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    yield ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield (
        f"revision {report['revision']}, bundle {bundle['name']} {bundle['hash'][:12]} "
        f"({bundle['megabytes']:.1f} MB), {report['backend']} on {', '.join(report['providers'])}, "
        f"{report['threads']} threads"
    )
    ladder = report["ladder"]
    yield (
        f"{report['chunks']} chunks of {report['chunk_s'] * 1e3:.0f} ms, "
        f"{ladder['steps']} steps, {ladder['depth']} in flight"
    )


def _ticks(report: Report) -> Iterator[str]:
    yield ""
    yield f"real-time factor      {report['real_time_factor']:.4f}"
    yield f"cold first chunk      {report['cold_first_chunk_s'] * 1e3:.1f} ms"
    yield f"{'ms':<20}" + "".join(f"{name:>10}" for name in TAIL)
    yield _tail("tick", report["tick_ms"])
    for name, tail in report["stages_ms"].items():
        yield _tail(f"  {name}", tail)
    yield _tail("this machine's timer", report["timer_jitter_ms"])
    share = report["overhead"]["fraction"]
    yield f"outside the graphs    {_number(share and 100 * share)} % of a tick"


def _tail(name: str, tail: Report) -> str:
    return f"{name:<20}" + "".join(f"{_number(tail[point]):>10}" for point in TAIL)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _lateness(report: Report) -> Iterator[str]:
    yield ""
    yield (
        f"deadline misses       {report['deadline_misses']}, "
        f"longest run {report['longest_miss_run']}"
    )
    yield _tail("late, ms", report["lateness_ms"])
    yield "lateness in chunks, from the intended time (0 is just in time):"
    for low, high, count in report["lateness_histogram_chunks"]:
        if count:
            span = f"{'' if low is None else low:>6} … {'' if high is None else high:<6}"
            yield f"  {span} {count:7d} " + "#" * max(1, round(40 * count / report["chunks"]))
    for ring in report["rings"]:
        yield (
            f"a ring of {ring['ring_s']:.2f} s: {ring['underruns']} underruns, "
            f"{ring['silent_s']:.2f} s of silence, least fill {ring['least_fill_s']:.2f} s"
        )


def _first_audio(report: Report) -> Iterator[str]:
    first = report["first_audio"]
    yield ""
    yield f"first audio, warm     {first['warm_s'] * 1e3:.1f} ms"
    yield f"from process start    {first['process_s']:.2f} s"
    delay = report["control_delay_chunks"]
    chunks = f"{_number(delay['p50'])}, at most {_number(delay['max'])}"
    yield f"an idea is heard in   chunk {chunks} after it is set"


def _live(report: Report) -> Iterator[str]:
    live = report.get("live")
    if live is None:
        return
    yield ""
    yield (
        f"served {live['seconds']:.0f} s to a listener on loopback, ring {live['ring_s']:.2f} s: "
        f"{live['underruns']} underruns, {live['deadline_misses']} deadline misses, "
        f"{live['holds']} holds, {live['replaced_blocks']} blocks replaced, "
        f"{live['skipped_packets']} packets skipped"
    )
    yield f"start to its first packet of music {live['first_audio_s']:.2f} s"
    yield f"{'':<20}" + "".join(f"{name:>10}" for name in TAIL)
    yield _tail("packet gap, ms", live["feed_gap_ms"])
    yield _tail("packet late, ms", live["feed_lateness_ms"])
    yield _tail("control to sound, s", live["control_to_sound_s"])
    yield (
        f"server's memory       {_number(live['memory_start_mb'])} MB at first audio, "
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
    for check in report["verdict"]["checks"]:
        kept = check["value"] <= check["must"]
        word = "aim met" if check["value"] <= check["aim"] else "kept" if kept else "MISSED"
        budget = f"must {check['must']:g}, aim {check['aim']:g}"
        yield f"{check['name']:<32} {check['value']:10.4f}   {budget:<24} {word}"
    yield "every budget is kept" if report["verdict"]["passed"] else "a budget is missed"
