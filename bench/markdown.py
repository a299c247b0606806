"""The quality report as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.verdict import Check

Row = Sequence[str | float | None]


def table(head: Sequence[str], rows: Sequence[Row]) -> str:
    """A Markdown table; numbers with three digits that matter."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def heading(title: str, report: Mapping[str, Any]) -> str:
    """The first line of a report on a bundle: which one, at which revision, on which backend."""
    bundle = report["bundle"]
    return (
        f"# {title} of bundle {bundle['name']} ({bundle['hash'][:12]}), "
        f"revision {report['revision']}, backend {report['backend']}"
    )


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3g}"


def verdict_table(found: Sequence[Check]) -> str:
    """Each figure against its must and its aim."""
    rows: list[Row] = []
    for check in found:
        word = "aim met" if check.aim_met else "met" if check.must_met else "MISSED"
        rows.append((check.name, check.value, check.must, check.aim, word))
    return table(("figure", "measured", "must", "aim", ""), rows)


def render(report: Mapping[str, Any], found: Sequence[Check], pictures: Sequence[str]) -> str:
    """The whole page, of a report in plain JSON values."""
    parts = [
        heading("Quality", report),
        verdict_table(found),
        *_autoencoder(report["autoencoder"]),
        *_wide(report.get("wide", {})),
        *_frechet(report),
        *_continuations(report),
        *_variety(report.get("variety", {})),
        *_drift(report["drift"]),
        "## Pictures",
        *(f"![{name}]({name})" for name in pictures),
    ]
    return "\n\n".join(parts) + "\n"


def _autoencoder(report: Mapping[str, Any]) -> list[str]:
    rows: list[Row] = []
    for source, summary in report.items():
        name = source.replace("_", "-")
        figures = ("mel_error_db", "worst_mel_error_db", "si_sdr_db")
        rows.append((f"**{name}**", *(summary[figure] for figure in figures)))
        if source == "takes":
            for each in summary["each"]:
                rows.append((each["name"], each["mel_error_db"], None, each["si_sdr_db"]))
        else:
            rows += [(style, error, None, None) for style, error in summary["by_style"].items()]
    head = ("songs", "mel error, dB", "worst", "SI-SDR, dB")
    return ["## Autoencoder", table(head, rows)]


def _wide(report: Mapping[str, Any]) -> list[str]:
    """In the bundle's own rate and channels."""
    if not report:
        return []
    rows: list[Row] = [
        (name.replace("_", "-"), found["mel_error_db"], found.get("width_db"), found["pieces"])
        for name, found in report.items()
    ]
    head = ("as it plays", "mel error of left and right, dB", "wider by, dB", "pieces")
    return [table(head, rows)]


def _frechet(report: Mapping[str, Any]) -> list[str]:
    frechet = report["frechet"]
    quotable = "" if frechet["enough_songs"] else " **Too few songs to quote.**"
    sentence = (
        f"{frechet['clips']} clips of 2 s from {frechet['songs']} songs on every side. "
        f"(continuation - held-out) / (shuffled - held-out) = "
        f"{frechet['ratio']:.3f} ± {frechet['ratio_error']:.3f}.{quotable}"
    )
    rows: list[Row] = list(frechet["distances"].items())
    quarters = [(f"oddness of {side}", *values) for side, values in report["oddness"].items()]
    return [
        "## Distance to held-out music",
        sentence,
        table(("against held-out songs", "Fréchet distance"), rows),
        table(("by quarter of 16 s", "1st", "2nd", "3rd", "4th"), quarters),
    ]


def _continuations(report: Mapping[str, Any]) -> list[str]:
    columns = ("key_same", "key_score", "chroma_correlation", "tempo_same")
    kept: list[Row] = [
        (name, *(row[column] for column in columns)) for name, row in report["kept"].items()
    ]
    names = ("energy", "flux", "click")
    seams: list[Row] = [
        (
            place,
            *(row[name] for name in names),
            *(row.get(f"{name}_standing_out") for name in names),
        )
        for place, row in report["seam"].items()
    ]
    levels = report["levels"]
    quarters = ", ".join(f"{level:+.1f}" for level in levels["quarters_db"])
    return [
        "## Kept after the seam",
        table(("", "key", "Krumhansl score", "chroma correlation", "tempo"), kept),
        "## The seam among all other places (percentile; share beyond the 95th)",
        table(("", *names, *(f"{name} > 95" for name in names)), seams),
        f"Level by quarter, dB re the prompt: {quarters}; worst {levels['worst_quarter_db']:+.1f}; "
        f"{100 * levels['decayed_share']:.0f} % of the streams end more than 12 dB down.",
    ]


def _variety(kinds: Mapping[str, float]) -> list[str]:
    if not kinds:
        return []
    rows: list[Row] = list(kinds.items())
    return ["## Variety", table(("music", "kinds of semantic tokens in 8 s, median"), rows)]


def _drift(drift: Mapping[str, Any]) -> list[str]:
    minutes = len(drift["loudness_db"]) * 10 / 60
    rows: list[Row] = [
        ("bad samples", drift["bad_samples"]),
        ("longest silence, s", drift["longest_silence_s"]),
        ("furthest stretch from the first, dB", drift["worst_stretch_off_db"]),
        ("last stretch, dB re the first", drift["last_stretch_db"]),
        ("centroid of the first and last 10 s, Hz", f"{_ends(drift['centroid_hz'])}"),
        ("oddness of the first and last stretch", f"{_ends(drift['oddness'])}"),
        ("variety of the last stretch re the first", drift["variety"][-1]),
        ("closest repeat (1 is a loop)", drift["repeat"]),
    ]
    head = (f"{minutes:.1f} minutes, stretches of {drift['stretch_s']:g} s", "")
    return ["## Drift without a prompt", table(head, rows)]


def _ends(values: Sequence[float]) -> str:
    return f"{values[0]:.3g} and {values[-1]:.3g}"
