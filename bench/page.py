"""The latency report as one page of HTML: whole in itself, it asks no other host for anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from bench.latency_text import TAIL, headline
from bench.svg import histogram, timeline

Report = Mapping[str, Any]
Cell = str | float | int | None

STYLE = """
:root { color-scheme: light dark; --ink: #1d2228; --soft: #5d6772; --line: #d5dae0; --paper: #fff;
  --good: #1b7f4b; --bad: #b3261e; --bar: #3f6fb5; --late: #b3261e; --graph: #7d8894;
  --s0: #3f6fb5; --s1: #1b7f6b; --s2: #9a5b13; --s3: #8a3f9c; --s4: #5d6772; --s5: #6b6b1d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #333b44;
  --paper: #14181c; --good: #4cc38a; --bad: #ff8a80; --bar: #7aa7e8; --late: #ff8a80;
  --graph: #7d8894; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 920px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p { margin: .3rem 0; color: var(--soft); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
svg { width: 100%; height: auto; display: block; } text { font-size: 12px; fill: var(--soft); }
text.on { fill: #fff; } .axis { stroke: var(--line); } .due { stroke: var(--late); }
.early { fill: var(--bar); } .late { fill: var(--late); } .graph { fill: var(--graph); }
.stage0 { fill: var(--s0); } .stage1 { fill: var(--s1); } .stage2 { fill: var(--s2); }
.stage3 { fill: var(--s3); } .stage4 { fill: var(--s4); } .stage5 { fill: var(--s5); }
"""


def page(report: Report) -> str:
    """The whole document, of a report in plain JSON values."""
    parts = [_head, _verdict, _ticks, _lateness, _tick, _rings, _real_time, _rest]
    body = "\n".join(line for part in parts for line in part(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>perpetuo bench {escape(str(report['revision']))}</title>"
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Numbers with what matters of them; a cell that is a verdict says so by its colour, too."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{lines}</table></div>'


def _cell(value: Cell) -> str:
    kinds = {"MISSED": "bad", "kept": "good", "aim met": "good"}
    kind = kinds.get(value, "") if isinstance(value, str) else ""
    return f'<td class="{kind}">{escape(number(value))}</td>'


def number(value: Cell) -> str:
    """As people read it."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == round(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _head(report: Report) -> Iterator[str]:
    yield "<h1>perpetuo bench</h1>"
    yield from (f"<p>{escape(line)}</p>" for line in headline(report))


def _verdict(report: Report) -> Iterator[str]:
    verdict = report["verdict"]
    words = "every budget is kept" if verdict["passed"] else "a budget is missed"
    yield f'<h2>Verdict: <span class="{"good" if verdict["passed"] else "bad"}">{words}</span></h2>'
    rows: list[Sequence[Cell]] = [
        (one["name"], one["value"], one["must"], one["aim"], word_of(one))
        for one in verdict["checks"]
    ]
    yield table(("figure", "measured", "must", "aim", ""), rows)


def word_of(check: Report) -> str:
    """Whether a budget was kept, in a word."""
    if check["value"] <= check["aim"]:
        return "aim met"
    return "kept" if check["value"] <= check["must"] else "MISSED"


def _tail(name: str, tail: Report) -> Sequence[Cell]:
    return (name, *(tail[point] for point in TAIL))


def _ticks(report: Report) -> Iterator[str]:
    yield "<h2>What a tick takes, ms</h2>"
    rows = [_tail("tick", report["tick_ms"])]
    rows += [_tail(f"· {name}", tail) for name, tail in report["stages_ms"].items()]
    rows.append(_tail("this machine’s timer alone", report["timer_jitter_ms"]))
    yield table(("", "p50", "p90", "p99", "p99.9", "max"), rows)
    share = report["overhead"]["fraction"]
    yield (
        f"<p>{report['chunks']} chunks of {1e3 * report['chunk_s']:.0f} ms; real-time factor "
        f"{number(report['real_time_factor'])}; the cold first chunk, apart, "
        f"{number(1e3 * report['cold_first_chunk_s'])} ms; outside the graphs "
        f"{number(None if share is None else 100 * share)} % of a tick.</p>"
    )


def _lateness(report: Report) -> Iterator[str]:
    yield "<h2>How late blocks were, in chunks from the intended time</h2>"
    yield histogram(report["lateness_histogram_chunks"], report["chunk_s"])
    yield (
        f"<p>{report['deadline_misses']} deadline misses, the longest run of them "
        f"{report['longest_miss_run']}. Block k is due at t0 + k · chunk, whatever came before.</p>"
    )


def _tick(report: Report) -> Iterator[str]:
    tick = report["timeline"]
    yield f"<h2>One tick: the median one, {number(tick['tick_ms'])} ms</h2>"
    yield timeline(tick)
    rows: list[Sequence[Cell]] = [
        (one["name"], one["from_ms"], one["to_ms"], one["to_ms"] - one["from_ms"])
        for one in tick["stages"]
    ]
    yield table(("stage", "from, ms", "to, ms", "takes"), rows)


def _rings(report: Report) -> Iterator[str]:
    yield "<h2>Underruns against ring size</h2>"
    yield "<p>These ticks, played through the engine’s scheduler in virtual time.</p>"
    rows: list[Sequence[Cell]] = [
        (f"{one['ring_s']:.2f} s", one["underruns"], one["holds"], one["fewer_steps"],
         *(_ms(one[name]["p50"]) for name in ("lead_s", "spare_s")),
         _ms(one["least_spare_s"]),
         _ms(one["control_to_sound_s"]))
        for one in report["rings"]
    ]  # fmt: skip
    head = ("ring", "underruns", "held", "fewer steps", "begun early, ms", "to spare, ms",
            "at least", "control to sound, ms")  # fmt: skip
    yield table(head, rows)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e3 * seconds, 1)


def _real_time(report: Report) -> Iterator[str]:
    sink, live = report.get("sink"), report.get("live")
    if not (sink and live):
        return
    yield "<h2>In real time</h2>"
    rows = [
        _tail("sink: gap, of 10 ms", sink["gap_ms"]),
        _tail("sink: late", sink["late_ms"]),
        _tail("WebSocket client: packet gap", live["feed_gap_ms"]),
        _tail("WebSocket client: packet late", live["feed_lateness_ms"]),
        _tail("idea: control to sound", in_ms(live["control_to_sound_s"])),
    ]
    yield table(("ms", "p50", "p90", "p99", "p99.9", "max"), rows)
    names = ("seconds", "underruns", "deadline_misses", "holds", "ring_s", "lead_s", "margin_s",
             "least_spare_s")  # fmt: skip
    head = ("", "s played", "underruns", "misses", "holds", "ring, s", "begun early", "margin",
            "to spare")  # fmt: skip
    yield table(
        head,
        [("sink", *(sink[name] for name in names)), ("served", *(live[name] for name in names))],
    )


def in_ms(tail: Report) -> Report:
    """A tail in seconds, in ms."""
    return {name: None if value is None else 1e3 * value for name, value in tail.items()}


def _rest(report: Report) -> Iterator[str]:
    first, memory, live = report["first_audio"], report["memory"], report.get("live")
    delay = report["control_delay_chunks"]
    yield "<h2>First audio, memory</h2>"
    rows: list[Sequence[Cell]] = [
        ("first audio, warm, ms", 1e3 * first["warm_s"]),
        ("first audio from process start, s", first["process_s"]),
        ("an idea is heard so many chunks after it is set, at most", delay["max"]),
        ("memory of the ticks before and after, MB", f"{_mb(memory, '')}"),
    ]
    if live:
        rows.append(("memory of the server at the start and the end, MB", _mb(live, "memory_")))
    yield table(("", ""), rows)


def _mb(report: Report, prefix: str) -> str:
    return " and ".join(number(report[f"{prefix}{end}_mb"]) for end in ("start", "end"))
