"""Where the server listens, with which certificate, and what a listener may cost."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from engine.errors import NetworkError
from engine.wire.native import Limits
from engine.wire.roles import Tokens


@dataclass(frozen=True)
class ServeConfig:
    """Where to listen and what a listener may cost."""

    host: str = "127.0.0.1"
    port: int = 8765  # 0: any free one
    tls_cert: str | None = None
    tls_key: str | None = None
    token: str | None = None  # of all roles
    listener_token: str | None = None
    performer_token: str | None = None
    conductor_token: str | None = None
    origins: tuple[str, ...] = ()  # pages of other hosts that may open the feed; "*" for all
    max_connections: int = 200
    packet_s: float = 0.1
    state_s: float = 0.2
    replay_s: float = 1.0
    prefill_s: float = 0.5
    skip_s: float = 1.2
    cut_s: float = 2.0
    ping_s: float = 5.0
    pong_s: float = 8.0
    close_s: float = 1.0
    limits: Limits = field(default_factory=Limits)

    @property
    def tokens(self) -> Tokens:
        """What a hello has to name."""
        return Tokens(
            self.token, self.listener_token, self.performer_token, self.conductor_token
        )  # fmt: skip


def tls_context(config: ServeConfig) -> ssl.SSLContext | None:
    """The server's side of TLS, None without a certificate; NetworkError if it is no good."""
    if config.tls_cert is None:
        if config.tls_key is not None:
            raise NetworkError("a TLS key without a certificate: name it with --tls-cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password="")  # never ask
    except OSError as error:
        files = " and ".join(filter(None, (config.tls_cert, config.tls_key)))
        raise NetworkError(
            f"cannot use {files} for TLS: {error.strerror or error}; "
            "both must be PEM files and belong together"
        ) from None
    return context


def reachable(host: str) -> str:
    """The host to put into an address of this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
