import math
from dataclasses import replace

import pytest

from engine.rig import panels
from engine.rig.view import Fader, View
from engine.status import RunnerStatus

VIEW = View(
    title=" perpetuo · live 0.1", played_s=75.4, bar=9, beat=2, bpm=92.5, unit="bar",
    music=RunnerStatus(last_tick_s=0.1, budget_s=0.32, rungs=((4, 0.05), (5, math.pi / 2))),
    fill_s=0.5, ring_s=1.0, underruns=0, revision=7, sounding=6, heard_at_s=76.0, chunk=4,
    prompts=(("slow pads", 1.0), ("strings", 0.5)),
    faders=tuple(Fader(f"c{n}", "idea", str(n), n / 40) for n in range(30)),
    scenes=("calm", "wild"), scene="calm", states=("verse",), recording="a.flac", device="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0, "····"), (1, "████"), (0.5, "██··"), (0.53, "██▏·"), (-1, "····"), (9, "████")],
)
def test_bars(share: float, drawn: str) -> None:
    assert panels.bar(share, 4) == drawn


def test_the_head_fits_its_line() -> None:
    assert "1:15  bar 9.2  92.5 bpm  [bar]" in panels.head(VIEW, 80).plain
    assert len(panels.head(VIEW, 80).plain) == 80


def test_trouble_is_red_and_its_absence_is_quiet() -> None:
    calm = panels.troubles(VIEW)
    assert calm.plain.split() == ["underruns", "0", "misses", "0", "held", "0", "replaced", "0"]
    assert {str(span.style) for span in calm.spans} == {panels.QUIET}
    bad = panels.troubles(replace(VIEW, music=replace(VIEW.music, deadline_misses=2)))
    assert panels.BAD in {str(span.style) for span in bad.spans}
    late = panels.meters(replace(VIEW, music=replace(VIEW.music, last_tick_s=0.5)), 60)
    assert panels.BAD in {str(span.style) for span in late.spans}
    assert "500 of 320 ms" in late.plain


def test_the_newest_ideas() -> None:
    assert "newest heard in 0.6 s" in panels.revisions(VIEW).plain
    assert "with the next chunk" in panels.revisions(replace(VIEW, heard_at_s=None)).plain
    assert "heard since 1:10.5" in panels.revisions(replace(VIEW, heard_at_s=70.5)).plain


def test_the_window_shows_noise_and_music() -> None:
    assert panels.window(VIEW, 40).plain == "window █▁ 5"
    assert panels.window(replace(VIEW, music=RunnerStatus()), 40).plain == "window "


def test_prompts_and_scenes() -> None:
    assert panels.prompts(VIEW).plain == "prompts slow pads + strings ×0.5"
    assert panels.prompts(replace(VIEW, prompts=())).plain == "prompts none"
    assert "elsewhere" in panels.prompts(replace(VIEW, prompts=None)).plain
    shown = panels.scenes(VIEW).plain
    assert "1 calm  2 wild" in shown
    assert shown.endswith("states  verse\n● a.flac")
    assert "--show" in panels.scenes(replace(VIEW, scenes=())).plain


@pytest.mark.parametrize("cursor", [0, 7, 29])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_the_chosen_fader_is_always_seen(cursor: int, rows: int) -> None:
    shown = panels.faders(VIEW, cursor, rows, 40)
    lines = shown.plain.splitlines()
    assert len(lines) == min(rows, 30)
    assert any(line.startswith(f"c{cursor} ") for line in lines)
    assert any("reverse" in str(span.style) for span in shown.spans)


def test_a_free_control_has_no_bar() -> None:
    row = panels.faders(replace(VIEW, faders=(Fader("bpm", "idea", "free", None),)), 0, 1, 40)
    assert row.plain.split() == ["bpm", "free"]


def test_the_newest_lines_are_kept() -> None:
    lines = [f"line {n}" for n in range(20)]
    assert panels.messages(lines, 2, 6).plain == "line 1\nline 1"
    assert panels.messages(lines, 2, 60).plain == "line 18\nline 19"
