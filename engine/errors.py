"""The errors of the engine. Each is one line with the numbers and the cure, and an exit code.

PerpetuoError
├── UsageError         exit 2: what was asked for cannot be done
│   ├── TakeError      a recording that cannot be continued
│   ├── ControlError   a control that does not exist, or a value out of its range
│   └── RoomError      no room for one more stream; it says when to ask again
├── BundleError        exit 3: a bundle that is broken, incomplete or not understood
├── DeviceError        exit 4: no sound device, or it went away
└── NetworkError       exit 5: a port, an address or a certificate that cannot be used
"""

from __future__ import annotations


class PerpetuoError(Exception):
    """Anything a user can mend. `str(error)` is one line."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class UsageError(PerpetuoError):
    """What was asked for cannot be done."""

    exit_code = 2


class TakeError(UsageError):
    """A recording that cannot be continued."""


class ControlError(UsageError):
    """A control that does not exist, or a value out of its range."""


class RoomError(UsageError):
    """No room for one more stream; asking again is worth while in `retry_s`."""

    def __init__(self, message: str, retry_s: float) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class BundleError(PerpetuoError):
    """A bundle that is broken, incomplete or not understood."""

    exit_code = 3


class DeviceError(PerpetuoError):
    """No sound device, or it went away."""

    exit_code = 4


class NetworkError(PerpetuoError):
    """A port, an address or a certificate that cannot be used."""

    exit_code = 5
