"""A request's body as it comes in, and the answers that are the program's own, to the byte."""

from __future__ import annotations

import asyncio
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.errors import ConcurrencyLimited, HttpError, MethodNotAllowed, ShuttingDown, TooBusy
from pointsman.http1.body import MalformedBody
from pointsman.http1.request_head import malformed, read_head
from pointsman.long_body import Received
from pointsman.server.byte_budget import ByteBudget, ClientBudget
from pointsman.server.client import Client
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response
from support.virtual_loop import VirtualLoop


def request(*fields: str, limit: int = 10, version: str = "1.1") -> tuple[Request, list[bytes]]:
    """A request of which the head has come, and what is written to its client."""
    written: list[bytes] = []
    head = "\r\n".join([f"POST / HTTP/{version}", "Host: here", *fields, "", ""])
    writer: Any = SimpleNamespace(write=written.append, client=lambda _: Client("", ""))
    share = ClientBudget(ByteBudget(2**20), limited=True)
    return Request(writer, *read_head(head.encode()), limit, share, 0), written


def reading(clock: VirtualLoop, body: Request, seconds: float = 5.0) -> asyncio.Task[Received]:
    return clock.do(lambda: clock.create_task(body.read(seconds)))


# --- a body -------------------------------------------------------------------------------------------------------


def test_a_body_that_is_there_needs_no_task() -> None:
    body, _ = request("Content-Length: 4")
    assert body.feed(b"body") == b""
    with pytest.raises(StopIteration) as stopped:
        body.read(5.0).send(None)
    assert stopped.value.value == b"body"


def test_what_comes_behind_a_body_is_handed_back() -> None:
    body, _ = request("Content-Length: 4")
    assert body.feed(b"bodyGET / HTTP/1.1") == b"GET / HTTP/1.1"


def test_a_request_without_a_length_has_no_body() -> None:
    body, _ = request()
    assert body.complete
    assert body.feed(b"GET /") == b"GET /"


def test_a_body_that_cannot_be_read_to_its_end_says_why(clock: VirtualLoop) -> None:
    body, _ = request("Transfer-Encoding: chunked")
    read = reading(clock, body)
    with pytest.raises(MalformedBody):
        body.feed(b"zz\r\n")
    why = malformed("its body")
    clock.do(body.broken, why)
    assert read.exception() is why


@pytest.mark.parametrize(
    ("fields", "version", "before", "expected"),
    [
        pytest.param(("Expect: 100-continue",), "1.1", b"", True, id="it waits to be told"),
        pytest.param(("Expect: 100-Continue",), "1.1", b"", True, id="in any case"),
        pytest.param((), "1.1", b"", False, id="it does not"),
        pytest.param(("Expect: 100-continue",), "1.1", b"b", False, id="it has begun"),
        pytest.param(("Expect: 100-continue",), "1.0", b"", False, id="it would not understand"),
    ],
)
def test_a_client_is_told_to_send_its_body_where_it_waits_for_that(
    clock: VirtualLoop, fields: tuple[str, ...], version: str, before: bytes, expected: bool
) -> None:
    body, written = request("Content-Length: 4", *fields, version=version)
    body.feed(before)
    read = reading(clock, body)
    assert written == ([b"HTTP/1.1 100 Continue\r\n\r\n"] if expected else [])
    clock.do(body.feed, b"body"[len(before) :])
    assert read.result() == before + b"body"[len(before) :]


# --- an answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep_alive", "http_1_0", "connection"),
    [(True, False, ""), (False, False, "close"), (True, True, "keep-alive"), (False, True, "")],
)
def test_an_answer_says_of_the_connection_what_its_version_does_not(
    keep_alive: bool, http_1_0: bool, connection: str
) -> None:
    head, _, body = Response(body=b"{}").encode(keep_alive=keep_alive, http_1_0=http_1_0).partition(b"\r\n\r\n")
    found = re.findall(rb"Connection: (\S+)", head)
    assert found == ([connection.encode()] if connection else [])
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nDate: ")
    assert body == b"{}"


def test_an_answer_to_head_has_the_length_of_its_body_and_not_the_body() -> None:
    head, _, body = Response(body=b"{}").encode(keep_alive=True, http_1_0=False, bodiless=True).partition(b"\r\n\r\n")
    assert (b"Content-Length: 2" in head, body) == (True, b"")


def test_headers_and_whole_lines_are_added() -> None:
    response = Response(headers=[("A", "1"), ("B", "2")], lines=b"C: 3\r\n")
    assert response.encode(keep_alive=True, http_1_0=False).endswith(b"\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n")


def test_a_status_that_has_no_name_is_written_all_the_same() -> None:
    assert Response(599).encode(keep_alive=True, http_1_0=False).startswith(b"HTTP/1.1 599 \r\n")


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (TooBusy("x"), 503, ("Retry-After", "1")),
        (ConcurrencyLimited("x"), 429, ("Retry-After", "1")),
        (ShuttingDown("x"), 503, ("Retry-After", "5")),
        (MethodNotAllowed("x", "GET, POST"), 405, ("Allow", "GET, POST")),
        (HttpError("x"), 500, None),
    ],
)
def test_an_error_says_when_to_come_again_and_what_is_allowed(
    error: HttpError, status: int, header: tuple[str, str] | None
) -> None:
    response = error_response(error)
    assert (response.status, response.headers) == (status, [header] if header else [])
    assert response.body == b'{"error":{"message":"x","type":"%b","param":null,"code":"%b"}}' % (
        error.type.encode(),
        error.code.encode(),
    )


def test_an_answer_has_its_time_in_the_form_of_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 946_684_800.7)
    assert b"\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n" in Response().encode(keep_alive=True, http_1_0=False)
