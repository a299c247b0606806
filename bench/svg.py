"""The two pictures of a latency report as SVG, drawn with what the page's style sheet names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import floor, log10
from typing import Any

WIDTH = 900
LEFT, RIGHT = 10, 10
PLOT = WIDTH - LEFT - RIGHT


def histogram(bins: Sequence[Sequence[float | None]], chunk_s: float) -> str:
    """Lateness in chunks: (from, to, blocks) each, in order; 0 is when a block is due."""
    shown = [index for index, (_, _, count) in enumerate(bins) if count]
    if not shown:
        return ""
    due = next(index for index, (_, high, _) in enumerate(bins) if high is None or high > 0.0)
    bins, first = _around(bins, shown, due), max(0, min(shown[0], due) - 1)
    height, top, base = 210, 26, 170
    step = PLOT / len(bins)
    most = max(float(count or 0) for _, _, count in bins)
    parts = [_open(height, "Lateness of blocks against their intended times")]
    for place, (low, high, count) in enumerate(bins):
        tall = (base - top) * float(count or 0) / most
        left = LEFT + place * step
        early = high is not None and high <= 0.0
        parts.append(
            f'<rect class="{"early" if early else "late"}" x="{left + 1:.1f}" '
            f'y="{base - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}" rx="2">'
            f"<title>{_span(low, high, chunk_s)}: {count} blocks</title></rect>"
        )
        if count:
            parts.append(_text(left + step / 2, base - tall - 5, f"{count}", "middle"))
    parts += [_line(LEFT, base, WIDTH - RIGHT, base, "axis"), *_edges(bins, step, base)]
    zero = LEFT + (due - first) * step
    parts += [_line(zero, top - 8, zero, base + 6, "due"), _text(zero, top - 12, "due", "middle")]
    parts.append(_text(WIDTH - RIGHT, height - 4, "chunks late", "end"))
    return "".join([*parts, "</svg>"])


def _around(
    bins: Sequence[Sequence[float | None]], shown: Sequence[int], due: int
) -> Sequence[Sequence[float | None]]:
    """The bins that hold something, the moment when blocks are due, and one on either side."""
    return bins[max(0, min(shown[0], due) - 1) : max(shown[-1], due) + 2]


def _edges(bins: Sequence[Sequence[float | None]], step: float, base: float) -> Iterator[str]:
    for place, (low, _, _) in enumerate(bins):
        if low is not None:
            yield _text(LEFT + place * step, base + 18, f"{low:g}", "middle" if place else "start")


def _span(low: float | None, high: float | None, chunk_s: float) -> str:
    ends = ["…" if edge is None else f"{1e3 * edge * chunk_s:.0f}" for edge in (low, high)]
    return f"{ends[0]} to {ends[1]} ms"


def timeline(tick: Mapping[str, Any]) -> str:
    """One tick: a lane of its stages, and under it every run of a graph."""
    whole = max(tick["tick_ms"], *(span["to_ms"] for span in tick["stages"]), 1e-6)
    scale = PLOT / whole
    height = 150
    parts = [_open(height, "One tick by stage")]
    for index, span in enumerate(tick["stages"]):
        parts.append(_block(span, scale, 24, 44, f"stage{index % 6}"))
        if (span["to_ms"] - span["from_ms"]) * scale > 70:
            middle = LEFT + scale * (span["from_ms"] + span["to_ms"]) / 2
            label = f"{span['name']} {span['to_ms'] - span['from_ms']:.1f}"
            parts.append(_text(middle, 51, label, "middle", "on"))
    parts += [_block(span, scale, 76, 26, "graph") for span in tick["graphs"]]
    parts += [_text(LEFT, 17, "stages, ms", "start"), _text(LEFT, 116, "runs of graphs", "start")]
    parts.append(_line(LEFT, 124, WIDTH - RIGHT, 124, "axis"))
    parts += [
        _text(LEFT + scale * at, 140, f"{at:g}", "start" if not at else "middle")
        for at in ticks_of(whole)
    ]
    return "".join([*parts, "</svg>"])


def ticks_of(whole: float) -> list[float]:
    """Round numbers from 0 to below `whole` (more than 0): steps of 1, 2 or 5, five to twelve."""
    tens = 10.0 ** floor(log10(whole / 5))
    step = tens * max(factor for factor in (1, 2, 5) if tens * factor <= whole / 5)
    return [float(f"{count * step:.6g}") for count in range(int(whole / step) + 1)]


def _block(span: Mapping[str, Any], scale: float, top: float, tall: float, kind: str) -> str:
    wide = max(0.6, scale * (span["to_ms"] - span["from_ms"]) - 1)
    words = f"{span['name']}: {span['to_ms'] - span['from_ms']:.3f} ms"
    return (
        f'<rect class="{kind}" x="{LEFT + scale * span["from_ms"]:.2f}" y="{top}" '
        f'width="{wide:.2f}" height="{tall}" rx="2"><title>{escape(words)}</title></rect>'
    )


def _open(height: float, words: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words)}">'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
