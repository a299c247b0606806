"""Rows of measured contenders to figures, ratios to ours, and the table. No clock in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.peers.child import REFERENCES
from bench.peers.stopwatch import DECODER, MUSIC, Measured
from bench.report import plain
from bench.timing import Tail

Row = Mapping[str, Any]

RATIOS = {
    "real_time_factor": ("real_time_factor", "p50"),
    "first_audio_s": ("first_audio_s", "p50"),
    "steering_s": ("steering_s", "worst"),
    "peak_mb": ("peak_mb",),
}
"""What is compared, and where it lies in a row; less is better in all of them."""

TITLES = {
    "real_time_factor": "real-time factor",
    "first_audio_s": "first audio",
    "steering_s": "steering",
    "peak_mb": "memory",
}
HEADS = {MUSIC: "makes music", DECODER: "only decodes: codes or latents to sound"}
COLUMNS = (
    f"{'':<16}{'kHz':>6}{'Mpar':>7}{'thr':>4}{'piece s':>8}"
    f"{'real-time factor':>22}{'x':>7}{'first audio s':>20}{'x':>7}"
    f"{'steering s':>18}{'x':>7}{'MB':>7}{'x':>6}"
)
LEGEND = (
    "real-time factor: seconds of work a second of audio. Pairs are median / worst, of steering",
    "best … worst. x: how many times ours, the first row of each part. docs/peers.md says how each",
    "figure comes about and what was left out in a peer's favour.",
)


def steering(units: int | None, unit_s: float, costs_s: Sequence[float]) -> dict[str, float] | None:
    """From a change of prompt to the first sample made under it, seconds; None without prompts.

    A piece of `unit_s` sounds while the next one is made, so a piece begins every
    max(unit, its cost): the least that plays without a gap where the work keeps up, and without
    delay where it does not. A change just before a piece begins is heard `units` pieces later,
    one just after that has to wait for one piece more.
    """
    if units is None:
        return None
    tail = Tail.of(costs_s)
    return {
        "best": units * max(unit_s, tail.p50),
        "worst": (units + 1) * max(unit_s, tail.p50),
        "worst_max": (units + 1) * max(unit_s, tail.max),
    }


def figures(row: Measured) -> dict[str, Any]:
    """A row with tails instead of single costs, as plain values."""
    return plain({
        "name": row.name,
        "kind": row.kind,
        "what": row.what,
        "rate_hz": row.rate_hz,
        "million_parameters": row.million_parameters,
        "threads": row.threads,
        "unit_s": row.unit_s,
        "unit_cost_s": Tail.of(row.unit_costs_s),
        "real_time_factor": Tail.of(row.real_time_factors),
        "first_audio_s": Tail.of(row.first_audio_s),
        "steering_s": steering(row.steered_units, row.unit_s, row.unit_costs_s),
        "loaded_mb": row.loaded_mb,
        "peak_mb": row.peak_mb,
    })  # type: ignore[no-any-return]  # fmt: skip


def _at(row: Row, path: Sequence[str]) -> float | None:
    value: Any = row
    for step in path:
        value = None if value is None else value[step]
    return value


def ratios(rows: Sequence[Row]) -> list[dict[str, float | None]]:
    """How many times the figures of ours each row has; None where one of the two has none."""
    ours = {row["kind"]: row for row in rows if row["name"] == REFERENCES[row["kind"]]}
    found = []
    for row in rows:
        reference = ours.get(row["kind"])
        times: dict[str, float | None] = {}
        for name, path in RATIOS.items():
            theirs, own = _at(row, path), None if reference is None else _at(reference, path)
            times[name] = theirs / own if theirs is not None and own else None
        found.append(times)
    return found


def favours(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Of each part and column: who is behind `ours`, and who is ahead (`theirs`), how many times.

    A column that nobody else has a figure in is left out.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind in HEADS:
        others = [r for r in rows if r["kind"] == kind and r["name"] != REFERENCES[kind]]
        for column, title in TITLES.items():
            times = {r["name"]: r["ratio"][column] for r in others}
            known = {name: one for name, one in times.items() if one is not None}
            if known:
                found[f"{kind}, {title}"] = {
                    "ours": {name: one for name, one in known.items() if one >= 1.0},
                    "theirs": {name: one for name, one in known.items() if one < 1.0},
                }
    return found


def render(report: Mapping[str, Any]) -> str:
    """The whole report as a person reads it, from its JSON values."""
    parts = _head(report), _tables(report), _favours(report), _failures(report)
    return "\n".join([*(line for part in parts for line in part), "", *LEGEND])


def _favours(report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each column: in whose favour."""
    columns = favours(report["rows"])
    if columns:
        yield ""
        yield "in whose favour"
    for name, sides in columns.items():
        said = [
            f"{side} against " + ", ".join(f"{who} ({_times(x)})" for who, x in several.items())
            for side, several in sides.items()
            if several
        ]
        yield f"{name:<28}{'; '.join(said)}"


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    host = report["machine"]
    yield f"{host['processor']}, {host['cores']} cores, {host['system']}"
    yield ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield f"revision {report['revision']}, {report['seconds']:g} s of audio a whole call"


def _tables(report: Mapping[str, Any]) -> Iterator[str]:
    for kind, head in HEADS.items():
        rows = [row for row in report["rows"] if row["kind"] == kind]
        if rows:
            yield ""
            yield head
            yield COLUMNS
            yield from map(_line, rows)


def _line(row: Row) -> str:
    factor, first, steering_s, times = (
        row["real_time_factor"], row["first_audio_s"], row["steering_s"], row["ratio"],
    )  # fmt: skip
    steered = "-" if steering_s is None else f"{steering_s['best']:.3g} … {steering_s['worst']:.3g}"
    return (
        f"{row['name']:<16}{row['rate_hz'] / 1e3:>6.3g}{_number(row['million_parameters']):>7}"
        f"{row['threads']:>4}{row['unit_s']:>8.3g}"
        f"{factor['p50']:>12.3g} / {factor['max']:<7.3g}{_times(times['real_time_factor']):>7}"
        f"{first['p50']:>10.3g} / {first['max']:<7.3g}{_times(times['first_audio_s']):>7}"
        f"{steered:>18}{_times(times['steering_s']):>7}"
        f"{_number(row['peak_mb']):>7}{_times(times['peak_mb']):>6}"
    )


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    if report["failures"]:
        yield ""
    for name, why in report["failures"].items():
        yield f"{name:<16}no figures: {why}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.2g}"
