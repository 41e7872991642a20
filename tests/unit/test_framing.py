"""Where an answer's body ends, however it is cut into pieces, and how one that broke is told from a whole one."""

from __future__ import annotations

import pytest

from pointsman.http1.body import ChunkedFraming, CloseFraming, Framing, LengthFraming, MalformedBody, chunk

CHUNKS = b"5\r\nhello\r\n1;ext=1\r\n!\r\nA\r\n0123456789\r\n"
WHOLE = CHUNKS + b"0\r\n\r\n"
WITH_TRAILER = CHUNKS + b"0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"
PAYLOAD = b"hello!0123456789"


def fed(framing: Framing, data: bytes, size: int) -> bytes:
    return b"".join(framing.feed(data[start : start + size]) for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 1000])
@pytest.mark.parametrize("answer", [WHOLE, WITH_TRAILER])
@pytest.mark.parametrize("verbatim", [True, False])
def test_chunks_pass_as_they_came_or_without_their_framing_however_they_are_cut(
    answer: bytes, size: int, *, verbatim: bool
) -> None:
    framing = ChunkedFraming(verbatim=verbatim)
    assert fed(framing, answer, size) == (answer if verbatim else PAYLOAD)
    assert (framing.done, framing.surplus) == (True, b"")


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 2047, 2048, 70_000])
def test_a_chunk_of_any_length_may_come_alone(size: int) -> None:
    one = chunk(b"x" * size)
    for verbatim, passed in ((False, b"x" * size), (True, one)):
        framing = ChunkedFraming(verbatim=verbatim)
        assert [framing.feed(one), framing.feed(one)] == [passed, passed]
        assert not framing.done
        framing.feed(b"0\r\n\r\n")
        assert framing.done


@pytest.mark.parametrize("cut", range(len(WITH_TRAILER)))
def test_chunks_that_end_early_are_not_whole_and_their_last_line_is_held_back(cut: int) -> None:
    framing = ChunkedFraming(verbatim=True)
    passed = framing.feed(WITH_TRAILER[:cut])
    assert not framing.done
    assert WITH_TRAILER.startswith(passed)
    assert not passed[len(CHUNKS) :]


@pytest.mark.parametrize("cut", range(len(WHOLE)))
@pytest.mark.parametrize("text", [b"x", b"a longer text than any chunk has room for"])
def test_a_last_word_fits_wherever_chunks_break_off(cut: int, text: bytes) -> None:
    """A client that reads chunks gets all that was passed on and then the text, or its beginning, and no end."""
    framing, reader = ChunkedFraming(verbatim=True), ChunkedFraming(verbatim=False)
    passed = framing.feed(WHOLE[:cut])
    read = reader.feed(passed + framing.interrupted(text))
    assert read.endswith(text)
    assert PAYLOAD.startswith(read.removesuffix(text))
    assert not reader.done


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\nhello",
        b"x\r\n",
        b"+5\r\nhello\r\n",
        b"5 5\r\nhello",
        b"5\nhello",
        b"5\r\nhello!!",
        b"-1\r\n",
        b"0x5\r\nhello",
        b"\n",
        b"\r\n",
        b"5\r\nhello\r\n\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n",
        b"5\r\nhello\rx",
        b"5\r\nhello5\r\nthere\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_chunk_without_a_sound_size_is_no_chunk(answer: bytes, size: int) -> None:
    with pytest.raises(MalformedBody):
        fed(ChunkedFraming(verbatim=True), answer, size)


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((b"a\r\n", b"5\r\nhello\r\n", b"\r\n0\r\n\r\n"), b"5\r\nhello\r\n"),
        ((b"1", b"5\r\nhello\r\n", b"x" * 14 + b"\r\n", b"0\r\n\r\n"), b"hello\r\n" + b"x" * 14),
        ((b"5\r\nhello", b"\r\n", b"5\r\nthere\r\n", b"0\r\n\r\n"), b"hellothere"),
    ],
)
def test_what_looks_like_a_chunk_is_one_only_where_one_begins(pieces: tuple[bytes, ...], body: bytes) -> None:
    for verbatim, passed in ((False, body), (True, b"".join(pieces))):
        framing = ChunkedFraming(verbatim=verbatim)
        assert b"".join(map(framing.feed, pieces)) == passed
        assert framing.done


@pytest.mark.parametrize(
    ("framing", "answer"), [(LengthFraming(5), b"hello"), (ChunkedFraming(verbatim=True), b"0\r\n\r\n")]
)
def test_what_comes_behind_the_end_is_cut_off(framing: Framing, answer: bytes) -> None:
    assert framing.feed(answer + b"HTTP/1.1 200 OK\r\n") == answer
    assert (framing.done, framing.surplus) == (True, b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_length_is_counted_down(size: int) -> None:
    framing = LengthFraming(5)
    assert fed(framing, b"hello", size) == b"hello"
    assert (framing.done, framing.surplus) == (True, b"")


def test_nothing_is_whole_at_once() -> None:
    assert LengthFraming(0).done
    assert not LengthFraming(1).done


def test_a_body_until_the_end_of_the_connection_is_framed_for_those_who_read_frames() -> None:
    framing = CloseFraming(chunked=True)
    assert framing.feed(b"hello") + framing.feed(b"") + framing.end() == b"5\r\nhello\r\n0\r\n\r\n"
    plain = CloseFraming(chunked=False)
    assert plain.feed(b"hello") + plain.end() == b"hello"
