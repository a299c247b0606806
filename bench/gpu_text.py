"""The tables of `make gpu`, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.gpu_kernels import Reached
from bench.gpu_live import ManyStreams, OneStream
from bench.gpu_paper import PUBLISHED_V100, Speed


def head(about: Mapping[str, Any], revision: str, bundle: str) -> str:
    """Where, with what, and of which revision."""
    parts = [f"{about['device']}", f"torch {about['torch']}"]
    if "cuda" in about:
        parts += [f"CUDA {about['cuda']}", f"sm_{about['capability'].replace('.', '')}",
                  f"{about['memory_gb']:.0f} GB"]  # fmt: skip
    return ", ".join([*parts, f"revision {revision}", f"bundle {bundle}"])


def kernels(rows: Sequence[Reached]) -> list[str]:
    """A line for every kernel."""
    lines = ["", f"{'kernel':<30}{'MB':>8}{'GB/s':>9}{'copy GB/s':>11}{'fraction':>10}"]
    for row in rows:
        lines.append(
            f"{row.name:<30}{row.bytes / 1e6:>8.0f}{row.bytes_per_s / 1e9:>9.0f}"
            f"{row.copy_bytes_per_s / 1e9:>11.0f}{row.fraction:>10.2f}"
        )
    return lines


def paper(rows: Sequence[Speed]) -> list[str]:
    """A line for every form and number of steps, beside the published one."""
    lines = ["", f"{'paper preset, window of':<24}{'T':>4}{'pass ms':>10}{'decode ms':>11}"
             f"{'window ms':>11}{'× real time':>13}{'V100, published':>17}"]  # fmt: skip
    for row in rows:
        lines.append(
            f"{f'{row.window_s:.4g} s, {row.form}':<24}{row.steps:>4}{1e3 * row.pass_s:>10.2f}"
            f"{1e3 * row.decode_s:>11.2f}{1e3 * row.cost_s:>11.1f}{row.times_real_time:>13.1f}"
            f"{PUBLISHED_V100[row.steps]:>17.1f}"
        )
    return lines


def one_stream(rows: Sequence[OneStream]) -> list[str]:
    """A line for every backend; why it did not play, where it did not."""
    lines = ["", f"{'live bundle, one stream':<26}{'tick p50 ms':>12}{'p99':>8}{'p99.9':>8}"
             f"{'RTF':>8}{'first ms':>10}  on"]  # fmt: skip
    for row in rows:
        if row.tick_s is None:
            lines.append(f"{row.backend:<26}not run: {row.why}")
            continue
        tail = row.tick_s
        lines.append(
            f"{row.backend:<26}{1e3 * tail.p50:>12.2f}{1e3 * tail.p99:>8.2f}{1e3 * tail.p999:>8.2f}"
            f"{row.real_time_factor:>8.4f}{1e3 * row.first_audio_s:>10.1f}  {row.on}"
        )
    return lines


def many_streams(rows: Sequence[ManyStreams]) -> list[str]:
    """A line for every count of streams, and the most that keep time."""
    lines = ["", f"{'streams in one graph':<22}{'tick p50 ms':>12}{'p99.9':>9}{'of a chunk':>12}"
             f"{'host µs p50':>13}{'p99':>7}{'kB a stream':>13}"]  # fmt: skip
    for row in sorted(rows, key=lambda row: row.streams):
        late = "" if row.in_time else "  late"
        lines.append(
            f"{row.streams:<22}{1e3 * row.tick_s.p50:>12.2f}{1e3 * row.tick_s.p999:>9.2f}"
            f"{row.tick_s.p999 / row.chunk_s:>11.1%}{1e6 * row.host_s.p50:>14.0f}"
            f"{1e6 * row.host_s.p99:>7.0f}{row.state_bytes / 1e3:>13.0f}{late}"
        )
    fine = max((row.streams for row in rows if row.in_time), default=0)
    operators = rows[0].operators if rows else 0
    lines.append(f"most in time: {fine} streams; a tick is one launch in place of {operators}")
    return lines
