"""The performer's screen in a terminal: meters, controls and keys, by textual.

It looks at the music four times a second, in another thread than makes it or in another process;
what is pressed goes to the rig's thread. Nothing of it is ever waited for where music is made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, Static

from engine.rig import panels
from engine.rig.faders import from_fader, to_fader
from engine.rig.orders import (
    UNITS,
    Hush,
    Order,
    Panic,
    Quantise,
    Recall,
    Restore,
    Save,
    SetControls,
    SetPrompts,
    Words,
)
from engine.rig.view import Sight, View
from engine.spec import ControlSpec

EVERY_S = 0.25
FADE_S = 4.0
TURN = 1 / 40
"""What an arrow moves a fader by."""

GAIN_DB = 1.0
LEFT = 0.58
"""Of the width, for the left half."""

NOT_YET = " perpetuo makes its first music …"
AGAIN = " perpetuo begins anew …"
MORE_KEYS = "1-9 scene  ↑↓←→ control  x free  + - gain"
log = logging.getLogger(__name__)

ASK = {"save": "save as", "restore": "restore", "prompt": "prompt, weight:words + …"}


class Panels(App[None]):
    """The screen. `ask` takes orders without waiting."""

    CSS = """
    Screen { layout: vertical; }
    #head { height: 1; }
    #middle { height: 1fr; }
    #left { width: 58%; padding: 0 1; }
    #faders { width: 42%; }
    #left Static { height: auto; margin-bottom: 1; }
    #left #messages { height: 1fr; }
    #more { color: $text-muted; }
    #ask { display: none; height: 3; }
    """
    AUTO_FOCUS = ""
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "switch('hold')", "hold"),
        Binding("m", "switch('mute')", "mute"),
        Binding("f", "fade", "fade"),
        Binding("h", "hush", "hush"),
        Binding("p", "panic", "PANIC"),
        Binding("plus,equals_sign", "gain(1)", "louder", show=False),
        Binding("minus", "gain(-1)", "softer", show=False),
        *(Binding(str(n), f"scene({n})", "", show=False) for n in range(1, 10)),
        Binding("q", "quantise", "when"),
        Binding("s", "ask('save')", "save"),
        Binding("r", "ask('restore')", "restore"),
        Binding("t", "ask('prompt')", "words"),
        Binding("up", "choose(-1)", "", show=False),
        Binding("down", "choose(1)", "", show=False),
        Binding("left", "turn(-1)", "", show=False),
        Binding("right", "turn(1)", "", show=False),
        Binding("x", "free", "", show=False),
        Binding("escape", "leave_question", "", show=False),
        Binding("ctrl+c,ctrl+q", "quit", "end", priority=True),
    ]

    def __init__(
        self, sight: Sight, ask: Callable[[Order], None], over: Callable[[], bool] = lambda: False
    ) -> None:
        """It is left by itself when all is `over`, which is asked whenever it looks."""
        super().__init__()
        self._sight = sight
        self._ask = ask
        self._over = over
        self._cursor = 0
        self._question = ""
        self._drawn: dict[str, Text] = {}

    def compose(self) -> ComposeResult:
        """A line on top, two halves, a question where there is one, the keys."""
        yield Static(id="head")
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                for name in ("meters", "revisions", "window", "prompts", "scenes", "messages"):
                    yield Static(id=name)
                yield Static(MORE_KEYS, id="more")
            yield Static(id="faders")
        yield Input(id="ask")
        yield Footer()

    def on_mount(self) -> None:
        """Look from now on."""
        self._look()
        self.set_interval(EVERY_S, self._look)

    def on_resize(self) -> None:
        """Draw for the new size."""
        if self._drawn:
            self._look()

    # ---- drawing ------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._over():
            self.exit()
        try:
            self._draw_all()
        except Exception:  # what cannot be drawn must not end the music
            log.exception("the screen stumbled")

    def _draw_all(self) -> None:
        room = next(iter(self.query("#messages")), None)
        if room is None:  # the app ends
            return
        width = self.size.width
        left = round(LEFT * width) - 2
        lines, rows = self._sight.lines, max(1, room.size.height)
        self._draw("messages", panels.messages(lines, rows, left))
        if not self._sight.ready:
            again = "meters" in self._drawn
            self._draw("head", Text(AGAIN if again else NOT_YET, "bold reverse"))
            return
        view = self._sight.view()
        self._draw("head", panels.head(view, width))
        self._draw("meters", panels.meters(view, left))
        self._draw("revisions", panels.revisions(view))
        self._draw("window", panels.window(view, left))
        self._draw("prompts", panels.prompts(view))
        self._draw("scenes", panels.scenes(view))
        rows = max(1, self.size.height - 2 - 3 * bool(self._question))
        self._draw("faders", panels.faders(view, self._cursor, rows, width - left - 3))

    def _draw(self, name: str, text: Text) -> None:
        """Only what has changed costs anything."""
        if self._drawn.get(name) != text:
            self._drawn[name] = text
            for panel in self.query(f"#{name}").results(Static):  # none while the app ends
                panel.update(text)

    # ---- hands, scenes, faders ----------------------------------------------------------------

    def _give(self, order: Order) -> None:
        """An order; it is lost while nothing plays, and not carried out later."""
        if self._sight.ready:
            self._ask(order)

    def _value(self, name: str) -> float | None:
        return self._sight.values().get(name)

    def _chosen(self) -> ControlSpec | None:
        """The control that the cursor is at; None while nobody knows which there are."""
        specs = list(self._sight.specs.values())
        return specs[min(self._cursor, len(specs) - 1)] if specs else None

    def action_switch(self, name: str) -> None:
        """On or off."""
        self._give(SetControls({name: float(not self._value(name))}))

    def action_fade(self) -> None:
        """Out in a few seconds, or back."""
        self._give(SetControls({"fade": 0.0 if self._value("fade") else FADE_S}))

    def action_hush(self) -> None:
        """Out at the bar."""
        self._give(Hush())

    def action_panic(self) -> None:
        """Silence now, or sound again."""
        self._give(Panic(not self._value("panic")))

    def action_gain(self, steps: int) -> None:
        """Louder or softer."""
        if (spec := self._sight.specs.get("gain_db")) is not None:
            value = (self._value("gain_db") or 0.0) + steps * GAIN_DB
            self._give(SetControls({"gain_db": min(max(value, spec.minimum), spec.maximum)}))

    def action_scene(self, number: int) -> None:
        """The scene of this key."""
        if self._sight.ready and number <= len(names := self._sight.view().scenes):
            self._give(Recall(names[number - 1]))

    def action_quantise(self) -> None:
        """Now, beat, bar, and again."""
        if self._sight.ready:
            unit = self._sight.view().unit
            self._give(Quantise(UNITS[(UNITS.index(unit) + 1) % len(UNITS)]))

    def action_choose(self, step: int) -> None:
        """The control above or below."""
        self._cursor = (self._cursor + step) % max(1, len(self._sight.specs))
        self._look()

    def action_turn(self, step: int) -> None:
        """The chosen control a little further; a whole one by 1 at least."""
        if (spec := self._chosen()) is None:
            return
        value = self._value(spec.name)
        moved = from_fader(spec, to_fader(spec, value) + step * TURN)
        if spec.whole and value is not None and moved == value:
            moved = min(max(value + step, spec.minimum), spec.maximum)
        self._give(SetControls({spec.name: moved}))

    def action_free(self) -> None:
        """Leave the chosen control to the music, where it can be."""
        spec = self._chosen()
        if spec is not None and spec.optional:
            self._give(SetControls({spec.name: None}))

    # ---- questions ----------------------------------------------------------------------------

    def action_ask(self, question: str) -> None:
        """Have something typed."""
        self._question = question
        line = self.query_one("#ask", Input)
        line.border_title, line.border_subtitle = ASK[question], "Enter, or Escape"
        line.value = self._suggested(question, self._sight.view()) if self._sight.ready else ""
        line.display = True
        line.focus()

    def action_leave_question(self) -> None:
        """Never mind."""
        self._question = ""
        self.query_one("#ask", Input).display = False
        self.set_focus(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """What was typed."""
        text = event.value.strip()
        match self._question:
            case "save" if text:
                self._give(Save(text))
            case "restore" if text:
                self._give(Restore(text))
            case "prompt":
                self._give(SetPrompts(words_of(text)))
        self.action_leave_question()

    @staticmethod
    def _suggested(question: str, view: View) -> str:
        if question == "restore" and view.states:
            return view.states[0]
        if question == "prompt":
            return " + ".join(typed(words, weight) for words, weight in view.prompts or ())
        return ""


def typed(words: str, weight: float) -> str:
    """A prompt as it is typed."""
    return words if weight == 1 else f"{weight:g}:{words}"


def words_of(text: str) -> tuple[Words, ...]:
    """Prompts as they are typed: `slow pads + 0.5:strings`; nothing is no prompt."""
    found: list[Words] = []
    for part in filter(None, (part.strip() for part in text.split("+"))):
        weight, colon, words = part.partition(":")
        try:
            found.append(Words(words.strip(), float(weight)) if colon else Words(part))
        except ValueError:  # the colon is one of the words
            found.append(Words(part))
    return tuple(found)
