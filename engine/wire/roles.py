"""Who may do what: listeners hear, performers move the hands, conductors ask for ideas as well.

Without tokens of roles everybody conducts, all of them together. With them the stage is one
conductor's: the first who came, until he goes.

    role        hands   ideas, prompts, states
    listener    no      no
    performer   yes     no
    conductor   yes     yes, if nobody else holds the stage
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.spec import ControlSpec
from engine.wire.actions import Change, SetControl

Role = Literal["listener", "performer", "conductor"]
ROLES: tuple[Role, ...] = ("conductor", "performer", "listener")
MAX_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a hello has to name; `anybody` is that of all roles at once."""

    anybody: str | None = None
    listener: str | None = None
    performer: str | None = None
    conductor: str | None = None

    @property
    def shared(self) -> bool:
        """There are no roles: everybody conducts."""
        return not (self.listener or self.performer or self.conductor)

    @property
    def required(self) -> bool:
        """Nobody hears anything without one."""
        return bool(self.anybody or self.listener)

    @property
    def conducts(self) -> str | None:
        """The one that lets somebody conduct; None where none is needed."""
        return self.anybody or self.conductor

    def role(self, given: object) -> Role | None:
        """The role of who names this; None for who may not even listen."""
        if isinstance(given, str):
            if self.anybody is not None and _same(given, self.anybody):
                return "conductor"
            for role in ROLES:
                if (known := getattr(self, role)) is not None and _same(given, known):
                    return role
        if self.required:
            return None
        return "conductor" if self.shared else "listener"


def forbidden(role: Role, change: Change, controls: Mapping[str, ControlSpec]) -> str | None:
    """Why somebody in this role may not ask for that; None if he may."""
    if role == "conductor":
        return None
    if role == "listener":
        return "listeners hear and change nothing; a performer's or conductor's token is needed"
    hand = isinstance(change, SetControl) and controls[change.name].kind == "hand"
    return None if hand else "performers move the hands; for ideas a conductor's token is needed"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode())
