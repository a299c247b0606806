from __future__ import annotations

import re
from http import HTTPStatus

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from engine.sinks.http import Site, health_answer, host_of, origin_allowed, read_page


def request(path: str = "/", method: str = "GET", **headers: str) -> Request:
    return Request(path, Headers(headers), method)


def test_the_page_is_served_whole_and_stays_small() -> None:
    pages = read_page()
    assert {"/", "/index.html", "/player.js", "/worklet.js", "/style.css"} <= set(pages)
    assert sum(len(body) for path, (_, body) in pages.items() if path != "/") < 300_000


def test_the_page_asks_no_other_host() -> None:
    for _, body in read_page().values():
        hosts = set(re.findall(r"(?:https?|wss?)://([\w.]+)", body.decode()))
        assert hosts <= {"www.w3.org"}  # the name of SVG, never fetched


@pytest.mark.parametrize("path", ["/nothing", "/../pyproject.toml", "//etc/passwd", "/web/", "*"])
def test_other_paths_are_not_found(path: str) -> None:
    assert Site({}).answer(request(path)).status_code == HTTPStatus.NOT_FOUND


def test_methods() -> None:
    site = Site({"/livez": lambda _: health_answer(None)})
    assert site.answer(request("/livez?x=1")).body == b"ok\n"
    head = site.answer(request("/", "HEAD"))
    assert head.body == b""
    assert int(head.headers["Content-Length"]) > 1000
    assert site.answer(request("/", "DELETE")).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_ill_health_says_why() -> None:
    status, _, body = health_answer("the feed has ended")
    assert (status, body) == (HTTPStatus.SERVICE_UNAVAILABLE, b"the feed has ended\n")


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "anything", True),
        ("http://127.0.0.1:8765", "127.0.0.1:8765", True),
        ("http://192.168.1.9:8765", "192.168.1.9:8765", True),
        ("http://[::1]:8765", "[::1]:8765", True),
        ("http://localhost:8765", "localhost:8765", True),
        ("http://localhost:9999", "localhost:8765", False),
        ("http://rebound.example:8765", "rebound.example:8765", False),
        ("https://studio.example", "127.0.0.1:8765", True),
        ("null", "127.0.0.1:8765", False),
        ("http://[", "[", False),
    ],
)
def test_whose_page_may_open_the_feed(origin: str | None, host: str, allowed: bool) -> None:
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    assert origin_allowed(request(**headers), ["https://studio.example"]) is allowed
    assert origin_allowed(request(**headers), ["*"])


def test_the_host_of_the_request_is_used_only_if_it_looks_like_one() -> None:
    assert host_of(request(Host="studio:1"), "fallback") == "studio:1"
    assert host_of(request(Host='"><script>'), "fallback") == "fallback"
    assert host_of(request(), "fallback") == "fallback"
