"""The bounds of the HTTP/1.1 grammar: the most that is taken, and one more, which is refused."""

from __future__ import annotations

import pytest

from pointsman.errors import RequestError
from pointsman.http1.body import ChunkedFraming, CloseFraming, LengthFraming, MalformedBody
from pointsman.http1.request_head import may_begin, read_head
from pointsman.http1.response_head import read_head as read_response

CHUNK = b"5\r\nhello\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n"


def head_of(size: int) -> bytes:
    """A request's head of so many bytes, in lines that are short enough."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    line = b"X: " + b"a" * 995 + b"\r\n"
    whole, rest = divmod(size - len(start) - 2, len(line))
    return start + line * (whole - 1) + b"X: " + b"a" * (995 + rest) + b"\r\n\r\n"


def refused(head: bytes) -> str:
    with pytest.raises(RequestError) as error:
        read_head(head)
    assert (error.value.status, error.value.code) == (400, "malformed_request")
    return str(error.value)


# --- the head of a request -----------------------------------------------------------------------------------------


def test_a_head_has_at_most_65536_bytes() -> None:
    assert len(head_of(65_536)) == 65_536
    assert read_head(head_of(65_536))[0].path == "/"
    assert "too long" in refused(head_of(65_537))


@pytest.mark.parametrize(
    ("start", "waits"),
    [
        pytest.param(head_of(65_540)[:65_536], True, id="65,536 bytes of a head"),
        pytest.param(head_of(65_540)[:65_537], False, id="one more"),
        pytest.param(b"X" * 20, True, id="20 letters of a method"),
        pytest.param(b"X" * 21, False, id="one more letter"),
        pytest.param(b"\r", True, id="a return before a request"),
        pytest.param(b"\rG", False, id="a return alone"),
        pytest.param(b"\n", False, id="a line feed before a request"),
    ],
)
def test_what_can_become_a_head_is_waited_for(start: bytes, waits: bool) -> None:
    assert may_begin(start) is waits


def test_the_most_of_a_request_line_is_taken() -> None:
    """A method of 20 letters, 18 digits of a length, a target of two slashes, an asterisk."""
    assert read_head(b"X" * 20 + b" / HTTP/1.1\r\nHost: a\r\n\r\n")[0].method == "X" * 20
    assert read_head(POST % (b"Content-Length: " + b"9" * 18))[1] == 10**18 - 1
    for target in ("//", "*"):
        assert read_head(f"OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())[0].path == target


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (POST % b"HOST: a", "its host is there twice"),
        (POST % b"Content-Length: 1\r\nCONTENT-LENGTH: 1", "its content-length is there twice"),
        (POST % b"Transfer-Encoding: chunked\r\nTRANSFER-ENCODING: chunked", "its transfer-encoding is there twice"),
        (POST % b"Transfer-Encoding: gzip, chunked", "its Transfer-Encoding leaves its length open"),
        (POST % b"Transfer-Encoding: chunked\r\nContent-Length: 1", "its Transfer-Encoding leaves its length open"),
        (
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "its Transfer-Encoding leaves its length open",
        ),
        *(
            (POST % (b"Content-Length: " + wrong), "its Content-Length is no number")
            for wrong in (b"9" * 19, b"", b"+1", b"1, 1", b"0x1", b"1 1")
        ),
        *(
            (b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", "its target")
            for target in (b"http://b/", b"a", b"https://", b"ftp://a/", b"a:80")
        ),
        (b"GET http://a/ HTTP/1.0\r\n\r\n", "its target"),
        (b"X" * 21 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    ],
)
def test_what_leaves_open_where_a_request_ends_or_goes_is_refused(head: bytes, why: str) -> None:
    assert why in refused(head)


def test_space_around_a_value_is_no_part_of_it() -> None:
    head, length = read_head(
        b"POST / HTTP/1.1\r\nHost:\t a \t\r\nContent-Length: \t7\t \r\nConnection: x\t,\tclose \r\n\r\n"
    )
    assert (head.values[b"host"], length, head.keep_alive) == (b"a", 7, False)


def test_a_body_is_announced_by_neither_where_there_is_none() -> None:
    head, length = read_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (length, head.chunked, head.http_1_0, head.values) == (0, False, False, {b"host": b"a"})


# --- the head of an answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [204, 304])
def test_these_statuses_allow_no_body(status: int) -> None:
    assert read_response(b"HTTP/1.1 %d x\r\n\r\n" % status).bodiless
    assert not read_response(b"HTTP/1.1 %d x\r\n\r\n" % (status + 1)).bodiless


def test_a_reason_is_kept() -> None:
    head = read_response(b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\n\r\n")
    assert (head.status, head.reason, head.retry_after, head.block) == (429, b"Too Many", True, b"Retry-After: 1\r\n")


def test_an_answers_length_has_at_most_18_digits_and_crosses_once() -> None:
    assert read_response(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"9" * 18)).length == 10**18 - 1
    head = read_response(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length:\t5 \r\n\r\n")
    assert (head.length, head.block) == (5, b"Content-Length: 5\r\n")


@pytest.mark.parametrize("name", [b"Content-Type", b"Content-Length"])
@pytest.mark.parametrize("nominating", [b"%b", b"x, %b", b",%b,", b"keep-alive, %b, close"])
def test_the_meaning_of_a_body_cannot_be_nominated_away(name: bytes, nominating: bytes) -> None:
    line = name + b": 5\r\n"
    head = read_response(b"HTTP/1.1 200 OK\r\nConnection: " + nominating % name + b"\r\n" + line + b"\r\n")
    assert head.block == line


def test_each_line_of_a_block_has_its_end_whatever_connection_nominates() -> None:
    head = read_response(b"HTTP/1.1 200 OK\r\nX: 1\r\nConnection: , \r\nY: 2\r\n\r\n")
    assert head.block == b"X: 1\r\nY: 2\r\n"


def test_a_type_is_read_without_its_parameters() -> None:
    head = read_response(b"HTTP/1.1 200 OK\r\nContent-Type:  Application/JSON ; charset=utf-8\r\n\r\n")
    assert (head.content_type, head.streams) == (b"application/json", False)


# --- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", CHUNK])
def test_a_size_line_is_held_back_up_to_4096_bytes(before: bytes) -> None:
    line = b"5;" + b"x" * 4094
    framing = ChunkedFraming(verbatim=True)
    assert framing.feed(before + line) == before
    assert framing.feed(b"\r\nhello\r\n") == line + b"\r\nhello\r\n"
    with pytest.raises(MalformedBody, match="no size"):
        ChunkedFraming(verbatim=True).feed(before + line + b"x")


@pytest.mark.parametrize("before", [b"", CHUNK])
def test_a_trailer_is_held_back_up_to_16384_bytes(before: bytes) -> None:
    trailer = b"0\r\nX: " + b"x" * (16_384 - 6)
    framing = ChunkedFraming(verbatim=True)
    assert framing.feed(before + trailer) == before
    assert framing.feed(b"\r\n\r\n") == trailer + b"\r\n\r\n"
    assert framing.done
    with pytest.raises(MalformedBody, match="trailer"):
        ChunkedFraming(verbatim=True).feed(before + trailer + b"x")


def test_a_size_has_at_most_15_digits() -> None:
    framing = ChunkedFraming(verbatim=False)
    assert framing.feed(b"0" * 14 + b"5\r\nhello\r\n") == b"hello"
    with pytest.raises(MalformedBody):
        ChunkedFraming(verbatim=False).feed(b"0" * 15 + b"5\r\nhello\r\n")


def test_the_end_of_a_chunk_may_come_in_two_pieces() -> None:
    framing = ChunkedFraming(verbatim=True)
    assert framing.feed(b"5\r\nhello\r") == b"5\r\nhello"
    assert framing.feed(b"\n") == b"\r\n"


def test_chunks_without_framing_leave_what_is_behind_them() -> None:
    framing = ChunkedFraming(verbatim=False)
    assert framing.feed(CHUNK + b"0\r\n\r\nHTTP/1.1") == b"hello"
    assert framing.surplus == b"HTTP/1.1"


def test_a_body_of_no_bytes_has_all_behind_it() -> None:
    framing = LengthFraming(0)
    assert framing.feed(b"") == b""
    assert framing.feed(b"abc") == b""
    assert framing.surplus == b"abc"


@pytest.mark.parametrize(("left", "said"), [(3, b"01"), (2, b"0"), (1, b""), (0, b"")])
def test_a_last_word_leaves_one_byte_of_a_length_open(left: int, said: bytes) -> None:
    framing = LengthFraming(10)
    framing.feed(b"x" * (10 - left))
    assert framing.interrupted(b"0123") == said


def test_a_last_word_within_a_chunk_is_cut_to_what_the_chunk_has_room_for() -> None:
    framing = ChunkedFraming(verbatim=True)
    framing.feed(b"5\r\nhe")
    assert framing.interrupted(b"ab") == b"ab"
    assert framing.interrupted(b"abc") == b"abc\r\n"
    assert framing.interrupted(b"abcd") == b"abc\r\n1\r\nd\r\n"
    framing.feed(b"llo")
    assert framing.interrupted(b"ab") == b"\r\n2\r\nab\r\n"
    framing.feed(b"\r\n")
    assert framing.interrupted(b"ab") == b"2\r\nab\r\n"


def test_a_last_word_is_as_it_is_where_the_client_reads_no_frames() -> None:
    assert ChunkedFraming(verbatim=False).interrupted(b"ab") == b"ab"
    assert CloseFraming(chunked=False).interrupted(b"ab") == b"ab"
    assert CloseFraming(chunked=True).interrupted(b"ab") == b"2\r\nab\r\n"


def test_only_a_body_without_a_length_ends_with_the_connection() -> None:
    assert CloseFraming(chunked=True).ends_with_connection
    assert not LengthFraming(1).ends_with_connection
    assert not ChunkedFraming(verbatim=True).ends_with_connection


def test_a_body_until_the_end_of_the_connection_is_never_whole_by_itself() -> None:
    framing = CloseFraming(chunked=False)
    framing.feed(b"hello")
    assert (framing.done, framing.surplus) == (False, b"")
