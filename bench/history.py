"""A line for every run: what was measured, of which revision, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.compare import FIGURES
from bench.report import lookup
from engine.errors import UsageError


def entry(report: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The date, whose run it was, and every figure that `compare` looks at."""
    bundle = report.get("bundle", {})
    figures = {figure.path: lookup(report, figure.path) for figure in FIGURES}
    return {
        "date": now.astimezone(UTC).isoformat(timespec="seconds"),
        "benchmark": report.get("benchmark"),
        "revision": report.get("revision"),
        "bundle": f"{bundle.get('name')} {str(bundle.get('hash'))[:12]}",
        "backend": report.get("backend"),
        "load": report.get("load", 0),
        "processor": report.get("machine", {}).get("processor"),
        "cores": report.get("machine", {}).get("cores"),
        "passed": report.get("verdict", {}).get("passed"),
        "figures": {path: value for path, value in figures.items() if value is not None},
    }


def append(path: Path, report: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own, behind those there are; UsageError if it cannot."""
    line = json.dumps(entry(report, datetime.now(UTC)), allow_nan=False)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        cure = "name a file that can be written"
        raise UsageError(f"--history {path}: {error.strerror}; {cure}") from None
