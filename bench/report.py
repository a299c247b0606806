"""Reports as data: from dataclasses to JSON and back, and numbers found by a dotted path."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UsageError


def plain(value: Any) -> Any:
    """What strict JSON can hold: dataclasses as objects, numpy as numbers, NaN and Inf as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json(report: Any, indent: int | None = None) -> str:
    """One line without `indent`."""
    return json.dumps(plain(report), indent=indent, allow_nan=False)


def write_json(path: Path, report: Any) -> None:
    """The report as a file; UsageError where it cannot be written."""
    write_text(path, to_json(report, indent=1) + "\n")


def publish(folder: Path, name: str, report: Any, page: str) -> None:
    """`name`.json and the page, `name`.md, into a folder that is made; the page is printed, too.

    UsageError where a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", report)
    write_text(folder / f"{name}.md", page)
    print(page)


def write_text(path: Path, text: str) -> None:
    """A whole file; UsageError where it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        cure = "name a file that can be written"
        raise UsageError(f"{path}: {error.strerror or error}; {cure}") from None


def lookup(report: Mapping[str, Any], path: str) -> float | None:
    """The finite number at a dotted path; None where there is none."""
    value: Any = report
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def read_report(path: Path) -> dict[str, Any]:
    """The JSON object in `path`: the whole file, or its last line (a saved `--json` output).

    UsageError where there is none.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}; give the output of perpetuo bench --json") from error
    for candidate in (text, text.rsplit("\n", 1)[-1]):
        try:
            report = json.loads(candidate)
        except json.JSONDecodeError:
            continue
        if isinstance(report, dict):
            return report
    raise UsageError(f"{path} holds no JSON object; give the output of perpetuo bench --json")
