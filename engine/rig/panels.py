"""The screen's panels as lines of text: a view goes in, what is drawn comes out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from engine.rig.view import Fader, View

BLOCKS = "▏▎▍▌▋▊▉█"
STEPS = "▁▂▃▄▅▆▇█"
GOOD, CARE, BAD, QUIET, STRONG = "green", "yellow", "red", "grey50", "bold"

SCENE_KEYS = 9


def bar(share: float, width: int) -> str:
    """A bar of eighths of a sign, so full as `share`."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (BLOCKS[part - 1] if part else "")).ljust(width, "·")


def head(view: View, width: int) -> Text:
    """One line: what plays, for how long, where in the bar."""
    minutes, seconds = divmod(int(view.played_s), 60)
    right = f"{minutes}:{seconds:02}  bar {view.bar}.{view.beat}  {view.bpm:.4g} bpm  [{view.unit}]"
    left = view.title[: max(0, width - len(right) - 2)]
    line = Text(left, "bold reverse")
    line.append(" " * max(1, width - len(left) - len(right)) + right, "reverse")
    return line


def meters(view: View, width: int) -> Text:
    """The ring, the tick against its budget, and what went wrong."""
    music = view.music
    load = music.last_tick_s / music.budget_s if music.budget_s else 0.0
    wide = max(8, width - 40)
    text = Text()
    text.append("ring  ")
    low = view.fill_s < min(0.1, view.ring_s / 4)
    text.append(bar(view.fill_s / view.ring_s if view.ring_s else 0.0, wide), BAD if low else GOOD)
    text.append(f"  {1000 * view.fill_s:5.0f} ms ahead\n")
    text.append("tick  ")
    text.append(bar(load, wide), BAD if load > 1 else CARE if load > 0.8 else GOOD)
    text.append(f"  {1000 * music.last_tick_s:5.0f} of {1000 * music.budget_s:.0f} ms")
    text.append(f", factor {music.real_time_factor:.2f}\n")
    text.append(f"begun {1000 * music.lead_s:.0f} ms early, ")
    text.append(f"{1000 * music.spare_s:.0f} to spare, {music.steps} steps")
    text.append(f"  {view.device}\n" if view.device else "\n")
    return text + troubles(view)


def troubles(view: View) -> Text:
    """Counts that should stay 0, red where they do not."""
    music, text = view.music, Text()
    for name, count in (
        ("underruns", view.underruns), ("misses", music.deadline_misses), ("held", music.holds),
        ("replaced", music.replaced_blocks),
    ):  # fmt: skip
        text.append(f"{name} {count}", BAD if count else QUIET)
        text.append("   ")
    return text


def revisions(view: View) -> Text:
    """The newest change, what sounds, and from when the newest ideas are heard."""
    text = Text(f"revision {view.revision}, sounding {view.sounding}, ")
    if view.heard_at_s is None:
        text.append("newest with the next chunk", CARE)
    elif view.heard_at_s > view.played_s:
        text.append(f"newest heard in {view.heard_at_s - view.played_s:.1f} s", CARE)
    else:
        minutes, seconds = divmod(view.heard_at_s, 60)
        text.append(f"heard since {int(minutes)}:{seconds:04.1f}", GOOD)
    return text


def window(view: View, width: int) -> Text:
    """A sign for each chunk: full where it is finished, lower the more noise is in it."""
    text = Text("window ")
    rungs = view.music.rungs[-max(1, width - 8) :]
    for index, angle in rungs:
        place = 1.0 - min(max(angle / (math.pi / 2), 0.0), 1.0)
        sign = STEPS[round(place * (len(STEPS) - 1))]
        sounds = index == view.chunk
        text.append(sign, "reverse" if sounds else GOOD if place > 0.9 else CARE)
    if rungs:
        text.append(f" {rungs[-1][0]}", QUIET)
    return text


def prompts(view: View) -> Text:
    """What is asked for in words."""
    text = Text("prompts ")
    if view.prompts is None:
        return text + Text("a recording, or set elsewhere", QUIET)
    if not view.prompts:
        return text + Text("none", QUIET)
    for number, (words, weight) in enumerate(view.prompts):
        text.append(" + " if number else "", QUIET)
        text.append(words, STRONG)
        text.append(f" ×{weight:g}" if weight != 1 else "", QUIET)
    return text


def scenes(view: View) -> Text:
    """The scenes with their keys, and the states that were saved."""
    text = Text("scenes  ")
    for number, name in enumerate(view.scenes, 1):
        key = f"{number} " if number <= SCENE_KEYS else ""
        text.append(key, QUIET)
        text.append(name, "reverse" if name == view.scene else "")
        text.append("  ")
    if not view.scenes:
        text.append("none: begin with --show FILE", QUIET)
    if view.states:
        text.append("\nstates  ")
        text.append("  ".join(view.states[:8]))
    if view.recording:
        text.append(f"\n● {view.recording}", BAD)
    return text


def faders(view: View, cursor: int, rows: int, width: int) -> Text:
    """The controls around the cursor, so many rows of them."""
    first = max(0, min(cursor - rows // 2, len(view.faders) - rows))
    text = Text()
    for number, one in enumerate(view.faders[first : first + rows], first):
        text.append(_row(one, width) + "\n", _style(one, number == cursor))
    return text


def messages(lines: Sequence[str], rows: int, width: int) -> Text:
    """The last lines, as much of each as there is room for."""
    return Text("\n".join(line[:width] for line in lines[-rows:]), QUIET)


def _row(one: Fader, width: int) -> str:
    wide = max(4, width - 26)
    drawn = " " * wide if one.place is None else bar(one.place, wide)
    return f"{one.name:<11.11} {drawn} {one.shown:<12.12}"


def _style(one: Fader, chosen: bool) -> str:
    loud = one.name in ("mute", "panic", "hold", "fade") and bool(one.place)
    colour = BAD if loud else QUIET if one.place is None else ""
    return f"reverse {colour}".strip() if chosen else colour
