"""The HTTP side of the server's port: the page, /info, /livez, /readyz and /metrics.

Static files are read once, into memory, and served by name from a table: no path of a request
ever reaches the file system.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
POLICY = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'none'"
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

Answer = tuple[HTTPStatus, str, bytes]


class Site:
    """Answers plain requests; a WebSocket handshake is none of its business."""

    def __init__(self, dynamic: Mapping[str, Callable[[Request], Answer]]) -> None:
        """Serve the page, and these paths by these functions."""
        self._dynamic = dynamic
        self._static = read_page()

    def answer(self, request: Request) -> Response:
        """The response to a request, 404 or 405 where there is none."""
        if request.method not in {"GET", "HEAD"}:
            refusal = (HTTPStatus.METHOD_NOT_ALLOWED, TEXT_TYPE, b"only GET and HEAD\n")
            return respond(refusal, {"Allow": "GET, HEAD"})
        return respond(self._find(request), head_only=request.method == "HEAD")

    def _find(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if path in self._dynamic:
            return self._dynamic[path](request)
        if path in self._static:
            kind, body = self._static[path]
            return HTTPStatus.OK, kind, body
        return HTTPStatus.NOT_FOUND, TEXT_TYPE, b"nothing here; the page is at /\n"


def read_page() -> dict[str, tuple[str, bytes]]:
    """The files of engine/web by their path on the server: content type and bytes."""
    pages: dict[str, tuple[str, bytes]] = {}
    for entry in files("engine").joinpath("web").iterdir():
        kind = TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            pages[f"/{entry.name}"] = (kind, entry.read_bytes())
    return pages | {"/": pages["/index.html"]}


def respond(
    answer: Answer, extra: Mapping[str, str] | None = None, head_only: bool = False
) -> Response:
    """An HTTP response that says how long it is and is not kept by caches."""
    status, kind, body = answer
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
            "Connection": "close",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": POLICY,
            **(extra or {}),
        }
    )
    return Response(status.value, status.phrase, headers, b"" if head_only else body)


def json_answer(value: Mapping[str, object]) -> Answer:
    """A JSON object, indented for people who open it in a browser."""
    return HTTPStatus.OK, JSON_TYPE, json.dumps(value, indent=1).encode() + b"\n"


def health_answer(trouble: str | None) -> Answer:
    """200 `ok`, or 503 with what is wrong in a line."""
    if trouble is None:
        return HTTPStatus.OK, TEXT_TYPE, b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, TEXT_TYPE, f"{trouble}\n".encode()


def host_of(request: Request, fallback: str) -> str:
    """The host and port a client used to come here, if it looks like one."""
    host = request.headers.get_all("Host")
    return host[0] if len(host) == 1 and _HOST.fullmatch(host[0]) else fallback


def came_by_tls(request: Request) -> bool:
    """True where a proxy in front of this server says so; it only changes what its client reads."""
    return request.headers.get_all("X-Forwarded-Proto") == ["https"]


def origin_allowed(request: Request, allowed: Collection[str]) -> bool:
    """True if the page that opens this WebSocket may do so.

    Programs send no Origin. A page served from here names the same host as its request, and that
    host must be an address or this machine's own name: any other name could have been pointed
    here by whoever owns it (DNS rebinding). Other pages must be in `allowed`; `*` allows all.
    """
    origins = request.headers.get_all("Origin")
    if not origins or "*" in allowed or (len(origins) == 1 and origins[0] in allowed):
        return True
    hosts = request.headers.get_all("Host")
    return len(origins) == len(hosts) == 1 and _same_machine(origins[0], hosts[0])


def _same_machine(origin: str, host: str) -> bool:
    """True for an origin with this host, which is an address or a name of this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if urlsplit(origin).netloc != host:
            return False
        own = socket.gethostname().lower()
        return name in {"localhost", own, f"{own}.local"} or ip_address(name) is not None
    except ValueError:
        return False
