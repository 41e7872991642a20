"""The heads of messages: which headers cross to vLLM and back, and which answers are none."""

from __future__ import annotations

import re

import pytest

from pointsman.http1.forwarded_headers import _VERDICTS, forwarded_headers, request_id
from pointsman.http1.response_head import MalformedHead, read_head

Pairs = list[tuple[str, str]]


def up(*pairs: tuple[str, str], credentials: bool = False, proxied: bool = False) -> Pairs:
    """What vLLM gets."""
    raw = [(name.lower().encode(), f"{name}: {value}".encode()) for name, value in pairs]
    nominating = ",".join(value for name, value in pairs if name.lower() == "connection") or None
    lines = forwarded_headers(raw, nominating and nominating.encode(), credentials=credentials, proxied=proxied)
    assert not lines or lines.endswith(b"\r\n")
    return _pairs(lines)


def down(*pairs: tuple[str, str]) -> Pairs:
    """What the client gets."""
    text = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    lines = read_head(f"HTTP/1.1 200 OK\r\n{text}\r\n".encode()).block
    return _pairs(lines)


def _pairs(block: bytes) -> Pairs:
    lines = block.decode().split("\r\n")[:-1]
    return [(name, value) for name, value in (line.split(": ", 1) for line in lines)]


END_TO_END = (
    ("Content-Type", "application/json"),
    ("accept", "text/event-stream"),
    ("X-Custom", "  two  "),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Custom", "one"),
    ("Accept-Encoding", "gzip"),
    ("User-Agent", "OpenAI/Python 2.0"),
)


def test_end_to_end_headers_cross_as_they_came_in_order_with_every_value() -> None:
    assert up(*END_TO_END) == list(END_TO_END)
    answered = (*END_TO_END, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
    assert down(*answered) == list(answered)


@pytest.mark.parametrize(
    "name", ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]
)
def test_hop_by_hop_headers_stay_in_both_directions(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert up((spelled, "chunked")) == []
        assert down((spelled, "chunked")) == []


def test_what_connection_nominates_stays_too() -> None:
    pairs = [("X-Hop", "1"), ("Connection", "close, X-HOP"), ("x-two", "2"), ("connection", " X-Two ,"), ("X-End", "3")]
    assert up(*pairs) == [("X-End", "3")]
    assert down(*pairs) == [("X-End", "3")]


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Content-Length", "Expect", "Origin", "X-Request-Id", "x-request-id"),
        *("X-data-parallel-rank", "x-data-parallel-host", "X-DATA-PARALLEL-RANK"),
        *("X-Vllm-Priority", "x-vllm-new", "X-Amzn-SageMaker-Adapter-Identifier"),
        *("X-Pointsman-Ask", "x-pointsman-reason", "X-VSR-Selected-Model", "Proxy-Authorization"),
    ],
)
def test_a_client_sets_nothing_of_ours_and_chooses_neither_vllms_engine_nor_its_place_in_the_queue(name: str) -> None:
    assert up((name, "1"), credentials=True, proxied=True) == []


PROXIED = (
    *(("X-Forwarded-For", "203.0.113.9"), ("x-forwarded-proto", "https"), ("X-Forwarded-Host", "evil.example")),
    *(("X-Forwarded-Anything", "1"), ("Forwarded", "for=203.0.113.9"), ("X-Real-IP", "203.0.113.9")),
    *(("CF-Connecting-IP", "203.0.113.9"), ("True-Client-IP", "203.0.113.9"), ("X-Client-IP", "203.0.113.9")),
)


def test_what_proxies_say_about_a_client_crosses_from_trusted_ones_alone() -> None:
    assert up(*PROXIED, credentials=True) == []
    assert up(*PROXIED, proxied=True) == list(PROXIED)


def test_names_that_clients_make_up_fill_no_memory_and_are_judged_all_the_same() -> None:
    for i in range(3_000):
        assert up((f"X-Made-Up-{i}", "1"), (f"x-forwarded-{i}", "1")) == [(f"X-Made-Up-{i}", "1")]
    assert up(("x" * 8_000, "1")) == [("x" * 8_000, "1")]
    learned = _VERDICTS[False, False, False]
    assert len(learned.passing) + len(learned.blocked) <= 600
    assert max(map(len, learned.passing)) < 100


CREDENTIALS = (("Authorization", "Bearer client"), ("x-api-key", "k"), ("api-key", "k"), ("Cookie", "a=1"))


def test_the_clients_credentials_stay_here_unless_told_otherwise() -> None:
    assert up(*CREDENTIALS) == []
    assert up(*CREDENTIALS, credentials=True) == list(CREDENTIALS)


def test_the_answers_own_request_id_gives_way_to_ours() -> None:
    assert down(("x-request-id", "vllm's"), ("Content-Length", "5")) == [("Content-Length", "5")]


@pytest.mark.parametrize("given", ["a", "req-1.2_3:4", "x" * 128, "0af7651916cd43dd"])
def test_a_short_plain_request_id_is_kept(given: str) -> None:
    assert request_id(given.encode()) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\n", "a\r\nX: y", "é", '"', "a/b", "٣"])
def test_any_other_request_id_is_made_anew(given: str | None) -> None:
    raw = None if given is None else given.encode()
    assert re.fullmatch("[0-9a-f]{32}", request_id(raw))
    assert request_id(raw) != request_id(raw)


# --- answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "length", "chunked"),
    [
        (b"Content-Length: 5\r\n", 5, False),
        (b"content-length:0\r\n", 0, False),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", 5, False),
        (b"Transfer-Encoding: chunked\r\n", None, True),
        (b"transfer-encoding: CHUNKED \r\n", None, True),
        (b"", None, False),
    ],
)
def test_the_head_tells_how_the_body_is_framed(headers: bytes, length: int | None, chunked: bool) -> None:
    head = read_head(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n")
    assert (head.length, head.chunked) == (length, chunked)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", id="a sign"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", id="a list"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="both"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", id="another coding"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks in HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n", id="a folded line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", id="a space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX\r\n\r\n", id="no colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", id="a bare line feed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", id="a bare return"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", id="a NUL"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="a short status"),
        pytest.param(b"ICY 200 OK\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.2 200 OK\r\n\r\n", id="a version that is not known"),
        pytest.param(b"HTTP/1.1 099 x\r\n\r\n", id="a status of two digits"),
        pytest.param(b"HTTP/1.1 2000 x\r\n\r\n", id="a status of four digits"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n", id="a length of 19 digits"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", id="a length of none"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1 1\r\n\r\n", id="a length of two numbers"),
        *(
            pytest.param(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n", id=lines.decode())
            for lines in (
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                b"Transfer-Encoding: identity\r\n",
                b"Transfer-Encoding: chunked, chunked\r\n",
                b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            )
        ),
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_none(head: bytes) -> None:
    with pytest.raises(MalformedHead):
        read_head(head)


@pytest.mark.parametrize(
    ("head", "persistent"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: x\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: x , Keep-Alive\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n", False),
    ],
)
def test_the_head_tells_whether_the_connection_stays(head: bytes, persistent: bool) -> None:
    assert read_head(head).persistent is persistent


def test_a_head_needs_no_reason_and_no_headers() -> None:
    head = read_head(b"HTTP/1.1 503\r\n\r\n")
    assert (head.status, head.reason, head.block, head.retry_after) == (503, b"", b"", False)


def test_a_stream_is_known_by_its_type() -> None:
    assert read_head(b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n\r\n").streams
    assert not read_head(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").streams
