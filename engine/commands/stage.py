"""What stands beside the music while it plays: a performer's rig, or nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from engine.commands.stream import Stream
from engine.rig.options import wanted
from engine.session import Floats

if TYPE_CHECKING:
    from engine.generator import Block
    from engine.rig.glance import Glance
    from engine.rig.orders import Order
    from engine.runner import Runner
    from engine.sinks.keeping import Keeper
    from engine.sinks.prompting import Prompting


class Stage(Protocol):
    """Entered before the music plays, left after it; `stream` is the one to play then."""

    stream: Stream

    @property
    def keeper(self) -> Keeper | None:
        """Keeps musical states; None where none are kept."""
        ...

    @property
    def glance(self) -> Glance | None:
        """What a performer's screen shows; None where there is none."""
        ...

    def ask(self, order: Order) -> None:
        """Have an order of the performer's carried out, from any thread."""
        ...

    def tell(self, line: str) -> None:
        """A line for the performer's screen."""
        ...

    def show(self, device: Callable[[], str], over: Callable[[], bool]) -> None:
        """Show the performer's screen until it is left, or all is `over`.

        `device` says how the sound device does.
        """
        ...

    def share(self, prompting: Prompting) -> None:
        """Prompts that listeners set are known here, and those that are set here to listeners."""
        ...

    def __enter__(self) -> Self:
        """Itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything that is open."""
        ...

    def start(self, runner: Runner) -> None:
        """The runner has begun."""
        ...

    def note(self, block: Block) -> None:
        """A block was put into the ring."""
        ...

    def heard(self, audio: Floats) -> None:
        """Audio float32[samples, channels] was sent."""
        ...


class Bare:
    """A stage with nothing on it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.keeper = None
        self.glance = None

    def ask(self, _order: Order) -> None:
        """There is no performer."""

    def tell(self, _line: str) -> None:
        """There is no screen."""

    def show(self, _device: Callable[[], str], _over: Callable[[], bool]) -> None:
        """There is no screen."""

    def share(self, _prompting: Prompting) -> None:
        """Nobody else sets prompts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def start(self, _runner: Runner) -> None:
        """Nothing begins."""

    def note(self, _block: Block) -> None:
        """Nobody takes note."""

    def heard(self, _audio: Floats) -> None:
        """Nobody listens."""


def stage(given: Namespace, stream: Stream) -> Stage:
    """The rig that the options ask for; PerpetuoError where it cannot be opened."""
    if not wanted(given):
        return Bare(stream)
    from engine.commands.rig import Rigging

    return Rigging(given, stream)
