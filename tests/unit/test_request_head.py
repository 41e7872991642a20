"""What a client's head says, once it is read; what is refused is in tests/relay/test_smuggling.py, against a daemon."""

from __future__ import annotations

import pytest

from pointsman.errors import RequestError
from pointsman.http1.request_head import RequestHead, may_begin, read_head

SCORE = "POST /v1/score?a=b%20c HTTP/1.1"


def read(*fields: str, line: str = SCORE, host: str | None = "Host: test") -> RequestHead:
    lines = [line, *([] if host is None else [host]), *fields]
    return read_head("".join(f"{each}\r\n" for each in lines).encode("latin-1") + b"\r\n")[0]


def test_path_and_query_stay_as_they_came() -> None:
    head = read()
    assert (head.method, head.path, head.query) == ("POST", "/v1/score", "a=b%20c")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [("http://TEST/a?b=http://c/d", "/a", "b=http://c/d"), ("http://test", "/", ""), ("http://test?b", "/", "b")],
)
def test_a_target_may_name_the_host_again(target: str, path: str, query: str) -> None:
    head = read(line=f"GET {target} HTTP/1.1")
    assert (head.path, head.query) == (path, query)


def test_lines_stay_as_they_came_and_values_of_one_name_are_joined() -> None:
    head = read("X-A:  one ", "x-a: two")
    assert head.forwarded(credentials=False, proxied=False, traced=False) == b"X-A:  one \r\nx-a: two\r\n"
    assert head.values == {b"host": b"test", b"x-a": b"one,two"}


@pytest.mark.parametrize(
    ("fields", "length", "chunked"),
    [
        ([], 0, False),
        (["Content-Length: 007"], 7, False),
        (["content-length: 7"], 7, False),
        (["Content-length:7 "], 7, False),
        (["X-A: b", "Content-Length: 7", "x-c: d"], 7, False),
        (["Transfer-Encoding: Chunked"], 0, True),
    ],
)
def test_where_the_body_ends_is_known(fields: list[str], length: int, chunked: bool) -> None:
    head, found = read_head("\r\n".join(["POST / HTTP/1.1", "Host: test", *fields, "", ""]).encode())
    assert (found, head.chunked) == (length, chunked)


def test_heads_that_differ_in_their_length_alone_are_read_once() -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\nX-A: b\r\n\r\n"
    (one, first), (same, second), (other, _) = (read_head(head % each) for each in ((b"a", 5), (b"a", 12), (b"b", 5)))
    assert (first, second) == (5, 12)
    assert one is same
    assert (one.values[b"authorization"], other.values[b"authorization"]) == (b"Bearer a", b"Bearer b")


@pytest.mark.parametrize("spelled", ["Content-Length: 5", "content-length: 5", "CONTENT-LENGTH: 5", "Content-Length:5"])
@pytest.mark.parametrize("again", ["Content-Length: 5", "content-length: 6", "Content-LENGTH: 5"])
def test_a_second_length_is_refused_however_it_is_spelled(spelled: str, again: str) -> None:
    with pytest.raises(RequestError, match="its content-length is there twice"):
        read(spelled, "X-A: b", again)


@pytest.mark.parametrize("spelled", ["Content-Length: 5", "content-length: 5", "CONTENT-LENGTH: 5"])
def test_a_length_beside_chunks_is_refused_however_it_is_spelled(spelled: str) -> None:
    for fields in ((spelled, "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", spelled)):
        with pytest.raises(RequestError, match="leaves its length open"):
            read(*fields)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\r\nContent-Length: 5\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n", id="before the request"),
        pytest.param(b"POST /\r\nContent-Length: 5\r\n HTTP/1.1\r\nHost: a\r\n\r\n", id="within its line"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n folded\r\n\r\n", id="folded"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nX\r\nContent-Length: 5\r\n: b\r\n\r\n", id="within a field"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\nContent-Length: 5\r\n\r\n", id="behind a bare line feed"),
    ],
)
def test_a_length_is_a_line_of_its_own(head: bytes) -> None:
    with pytest.raises(RequestError, match=r"not well-formed|no Host"):
        read_head(head)


def test_a_head_is_kept_only_if_it_is_short() -> None:
    """512 heads of 64 KiB would be 32 MiB, and what is read of them as much again."""
    head = b"POST / HTTP/1.1\r\nHost: test\r\nX-A: %b\r\n\r\n"
    for size, cached in ((3_000, True), (6_000, False)):
        one, same = (read_head(head % (b"a" * size))[0] for _ in range(2))
        assert (one is same) is cached


def test_at_most_512_heads_are_kept() -> None:
    head = b"POST /%d HTTP/1.1\r\nHost: test\r\n\r\n"
    first = read_head(head % 0)[0]
    for number in range(1, 512):
        read_head(head % number)
    assert read_head(head % 0)[0] is first
    for number in range(1, 513):
        read_head(head % number)
    assert read_head(head % 0)[0] is not first


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive, Close", False),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_the_connection_is_kept_where_the_client_wants_it(
    version: str, connection: str | None, keep_alive: bool
) -> None:
    fields = [] if connection is None else [f"Connection: {connection}"]
    assert read(*fields, line=f"GET / HTTP/{version}").keep_alive is keep_alive


def test_only_http_1_0_needs_no_host() -> None:
    assert read(line="GET / HTTP/1.0", host=None).http_1_0
    with pytest.raises(RequestError, match="no Host"):
        read(host=None)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        pytest.param(("X-A: a",) * 127, SCORE, id="128 fields, the Host among them"),
        pytest.param((*("X-A: a",) * 127, "Content-Length: 0"), SCORE, id="the length beside them"),
        pytest.param(("X:" + "a" * 8190,), SCORE, id="bytes of a value"),
        pytest.param(("X" * 8190 + ": a",), SCORE, id="bytes of a name"),
        pytest.param((), "GET /" + "a" * 8189 + " HTTP/1.1", id="bytes of a target"),
    ],
)
def test_as_much_of_a_head_is_taken(fields: tuple[str, ...], line: str) -> None:
    assert read(*fields, line=line).path == line.split()[1].partition("?")[0]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        pytest.param(("X-A: a",) * 128, SCORE, id="129 fields, the Host among them"),
        pytest.param((*("X-A: a",) * 128, "Content-Length: 0"), SCORE, id="129 beside the length"),
        pytest.param(("X:" + "a" * 8191,), SCORE, id="bytes of a value"),
        pytest.param(("X" * 8191 + ": a",), SCORE, id="bytes of a name"),
        pytest.param((), "GET /" + "a" * 8190 + " HTTP/1.1", id="bytes of a target"),
        *(((), line) for line in ("POST  /v1/score HTTP/1.1", "POST /v1/score  HTTP/1.1", "POST /v1/score HTTP/1.1 ")),
    ],
)
def test_no_more_of_a_head_is_taken_and_a_line_has_two_spaces(fields: tuple[str, ...], line: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(*fields, line=line)
    assert (refused.value.status, refused.value.code) == (400, "malformed_request")


def test_another_version_is_a_505() -> None:
    with pytest.raises(RequestError) as refused:
        read(line="GET / HTTP/2.0")
    assert (refused.value.status, refused.value.code) == (505, "http_version_not_supported")


@pytest.mark.parametrize("start", [b"P", b"POST", b"POST ", b"POST /v1\r\nHost: "])
@pytest.mark.parametrize(("before", "waits"), [(b"", True), (b"\x16\x03\x01", False), (b" ", False), (b"P\0", False)])
def test_what_can_become_a_head_is_waited_for_and_nothing_else(start: bytes, before: bytes, waits: bool) -> None:
    assert may_begin(before + start) is waits


def test_of_a_value_the_blanks_around_it_are_taken_away_and_nothing_else() -> None:
    head, _ = read_head(b"GET / HTTP/1.1\r\nHost: here\r\nX-Request-Id: \t XaX \t\r\n\r\n")
    assert head.values[b"x-request-id"] == b"XaX"
