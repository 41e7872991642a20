"""The bounds of the HTTP/1.1 grammar: the most that is taken, and one more, which is refused."""

from __future__ import annotations

import pytest

from pointsman.errors import RequestError
from pointsman.http1.body import ChunkedFraming, CloseFraming, LengthFraming, MalformedBody
from pointsman.http1.request_head import may_begin, read_head
from pointsman.http1.response_head import MalformedHead
from pointsman.http1.response_head import read_head as read_response

CHUNK = b"5\r\nhello\r\n"


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


def test_a_head_that_is_not_whole_has_no_more_bytes_either() -> None:
    assert may_begin(head_of(65_540)[:65_536])
    assert not may_begin(head_of(65_540)[:65_537])


def test_a_method_has_at_most_20_letters() -> None:
    assert read_head(b"X" * 20 + b" / HTTP/1.1\r\nHost: a\r\n\r\n")[0].method == "X" * 20
    assert may_begin(b"X" * 20)
    refused(b"X" * 21 + b" / HTTP/1.1\r\nHost: a\r\n\r\n")


def test_only_a_return_may_come_before_a_request() -> None:
    assert may_begin(b"\r")
    assert not may_begin(b"\rG")
    assert not may_begin(b"\n")


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding"])
def test_what_decides_where_a_request_ends_and_goes_is_there_once(name: str) -> None:
    value = {"Host": "a", "Content-Length": "1", "Transfer-Encoding": "chunked"}[name]
    host = "" if name == "Host" else "Host: a\r\n"
    twice = f"{name}: {value}\r\n{name.upper()}: {value}\r\n"
    assert f"its {name.lower()} is there twice" in refused(f"POST / HTTP/1.1\r\n{host}{twice}\r\n".encode())


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_chunks_are_the_only_coding_and_exclude_a_length(head: bytes) -> None:
    assert "its Transfer-Encoding leaves its length open" in refused(head)


def test_a_length_has_at_most_18_digits() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n"
    assert read_head(head % (b"9" * 18))[1] == 10**18 - 1
    for wrong in (b"9" * 19, b"", b"+1", b"1, 1", b"0x1", b"1 1"):
        assert "its Content-Length is no number" in refused(head % wrong)


def test_space_around_a_value_is_no_part_of_it() -> None:
    head, length = read_head(
        b"POST / HTTP/1.1\r\nHost:\t a \t\r\nContent-Length: \t7\t \r\nConnection: x\t,\tclose \r\n\r\n"
    )
    assert (head.values[b"host"], length, head.keep_alive) == (b"a", 7, False)


@pytest.mark.parametrize("target", ["http://b/", "a", "//", "https://", "ftp://a/", "a:80"])
def test_a_target_is_a_path_or_on_the_host_of_its_header(target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    if target == "//":
        assert read_head(head)[0].path == "//"
    else:
        assert "its target" in refused(head)


def test_an_asterisk_is_a_target() -> None:
    assert read_head(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")[0].path == "*"


def test_the_host_of_a_target_counts_though_http_1_0_needs_no_header() -> None:
    assert "its target" in refused(b"GET http://a/ HTTP/1.0\r\n\r\n")


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


def test_an_answers_length_has_at_most_18_digits() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n"
    assert read_response(head % (b"9" * 18)).length == 10**18 - 1
    for wrong in (b"9" * 19, b"", b"1 1"):
        with pytest.raises(MalformedHead, match="no number"):
            read_response(head % wrong)


def test_an_answers_length_crosses_once() -> None:
    head = read_response(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length:\t5 \r\n\r\n")
    assert (head.length, head.block) == (5, b"Content-Length: 5\r\n")


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ],
)
def test_an_answer_whose_length_stays_open_is_none(lines: bytes) -> None:
    with pytest.raises(MalformedHead, match="Transfer-Encoding"):
        read_response(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")


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


@pytest.mark.parametrize(
    ("minor", "connection", "persistent"),
    [
        (1, b"keep-alive\r\nConnection: close", False),
        (1, b"x", True),
        (0, b"x", False),
        (0, b"x , Keep-Alive", True),
        (0, b"keep-alive, close", False),
    ],
)
def test_all_connection_lines_together_tell_whether_it_stays(minor: int, connection: bytes, persistent: bool) -> None:
    head = read_response(b"HTTP/1.%d 200 OK\r\nConnection: %b\r\n\r\n" % (minor, connection))
    assert head.persistent is persistent


@pytest.mark.parametrize("head", [b"HTTP/1.1 099 x\r\n\r\n", b"HTTP/1.1 2000 x\r\n\r\n", b"HTTP/1.2 200 OK\r\n\r\n"])
def test_a_status_has_three_digits_and_a_version_is_known(head: bytes) -> None:
    with pytest.raises(MalformedHead, match="malformed"):
        read_response(head)


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


def test_an_empty_line_is_no_size() -> None:
    for wrong in (b"\n", b"\r\n", CHUNK + b"\n"):
        with pytest.raises(MalformedBody, match="no size"):
            ChunkedFraming(verbatim=True).feed(wrong)


def test_a_chunk_is_as_long_as_its_size() -> None:
    for wrong in (b"5\r\nhello!\r\n", b"5\r\nhello\n", b"5\r\nhello\rx"):
        with pytest.raises(MalformedBody, match="longer than its size"):
            ChunkedFraming(verbatim=True).feed(wrong)


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
