"""Who holds the stage: of the conductors who are there, the one who came first."""

from __future__ import annotations

from collections.abc import Mapping

from engine.sinks.audience import Listener
from engine.spec import ControlSpec
from engine.wire.actions import Change, SetControl
from engine.wire.roles import Tokens, forbidden


class Podium:
    """Of one stream. Where nobody has a role, nobody holds it and all conduct together."""

    def __init__(self, tokens: Tokens, controls: Mapping[str, ControlSpec]) -> None:
        self._shared = tokens.shared
        self._controls = controls
        self._conductors: list[Listener] = []

    def enter(self, listener: Listener) -> None:
        """Somebody has said hello."""
        if listener.role == "conductor" and not self._shared:
            self._conductors.append(listener)

    def leave(self, listener: Listener) -> None:
        """Somebody has gone."""
        if listener in self._conductors:
            self._conductors.remove(listener)

    def holder(self, listener: Listener) -> str | None:
        """The name of who holds the stage before this one; None if nobody does.

        In a session its key decides who conducts, on however many devices.
        """
        first = self._conductors[0] if self._conductors else listener
        return None if first is listener or listener.place is not None else first.name

    def refusal(self, listener: Listener, change: Change) -> tuple[str, str] | None:
        """Why this one may not ask for that now, and the code of it; None if it may."""
        reason = forbidden(listener.role, change, self._controls)
        if reason is not None:
            return reason, "not_allowed"
        hand = isinstance(change, SetControl) and self._controls[change.name].kind == "hand"
        if hand or (name := self.holder(listener)) is None:
            return None
        return f"{name} holds the stage; it is yours when that connection ends", "stage_held"
