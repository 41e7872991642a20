"""What the check with outside corpora takes for a request, and how it reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import smuggling

ONE = b"POST /v1/x HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
TWO = b"GET /version HTTP/1.1\r\nHost: here\r\n\r\n"


def test_whole_requests_are_told_apart() -> None:
    assert smuggling.arrived(b"") == []
    assert smuggling.arrived(ONE + TWO + ONE) == [ONE, TWO, ONE]


@pytest.mark.parametrize(
    "data",
    [
        ONE + b"X",
        ONE[:-1],
        ONE.replace(b"Host", b"Host "),
        ONE.replace(b"2\r\n", b"2, 2\r\n"),
        ONE.replace(b"2\r\n", b"2\r\nContent-Length: 2\r\n"),
        ONE.replace(b"2\r\n", b"2\r\nTransfer-Encoding: chunked\r\n"),
        ONE.replace(b"2\r\n", b"2\nX: y\r\n"),
        ONE.replace(b"here", b"here\r\n folded"),
        ONE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_anything_else_is_none(data: bytes) -> None:
    assert smuggling.arrived(data) is None


def test_a_request_comes_as_it_is_and_to_a_relayed_path() -> None:
    assert smuggling.addressed(TWO) == [TWO, TWO.replace(b"GET /version", b"POST /v1/chat/completions")]
    assert smuggling.addressed(b"\r\n") == [b"\r\n"]


def test_it_is_cut_in_eight_ways_and_nothing_is_lost() -> None:
    whole, *others = smuggling.cut(ONE)
    assert whole == [ONE]
    assert len(others) == 8
    assert {b"".join(pieces) for pieces in others} == {ONE}
    assert all(len(pieces) > 1 for pieces in others)


def test_a_plain_request_is_relayed_each_time_and_a_broken_one_is_not() -> None:
    plain = ONE.replace(b"/v1/x", b"/v1/chat/completions")
    found = smuggling.tried([plain, plain.replace(b"Host", b"Host ")])
    assert found == {"requests": 2, "sent": 18, "relayed": 1, "smuggled": 0}


@pytest.mark.parametrize(
    ("name", "file", "text", "requests"),
    [
        (
            "gunicorn",
            "tests/requests/invalid/1.http",
            rb"GET / HTTP/1.1\r\n@\x41\0\r\n@".replace(b"@", b"\n"),
            [b"A\0"],
        ),
        ("llhttp", "test/request/a.md", b"# A\n```http\nGET / HTTP/1.1\nA: \\tb\n\n\n```\n", [b"A: \tb\r\n\r\n"]),
    ],
)
def test_what_is_escaped_in_a_corpus_is_sent(
    name: str, file: str, text: bytes, requests: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_bytes(text)
    head = b"GET / HTTP/1.1\r\n"
    assert [one.removeprefix(head).rstrip(b"\r\n") for one in smuggling.CORPORA[name](tmp_path)] == [
        one.rstrip(b"\r\n") for one in requests
    ]


def test_a_header_with_a_place_for_a_byte_is_sent_with_each(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/some.py").write_text('x = render_template("A%c\\t: b"%(i))')
    sent = list(smuggling.smuggler(tmp_path))
    assert {one.split(b"\r\nHost")[0].removeprefix(b"POST / HTTP/1.1\r\n") for one in sent} == {
        b"A%c\t: b" % byte for byte in range(256)
    }
