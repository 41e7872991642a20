"""The header in which a client states the ask."""

from __future__ import annotations

import pytest

from pointsman.api.caller import stated_ask
from pointsman.http1.request_head import RequestHead, read_head


def head(*fields: bytes) -> RequestHead:
    return read_head(b"\r\n".join([b"POST /v1/chat/completions HTTP/1.1", b"Host: here", *fields, b"", b""]))[0]


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        (b"What%20is%20a%20tort%3F", "What is a tort?"),
        (b"%C3%A9", "\u00e9"),
        ("\u00e9%C3%A9".encode(), "\u00e9\u00e9"),
        (b"plain text", "plain text"),
        (b"%FF%zz", "\ufffd%zz"),
        (b"", ""),
    ],
)
def test_the_header_is_percent_encoded_utf8(value: bytes, ask: str) -> None:
    assert stated_ask(head(b"X-Pointsman-Ask: " + value)) == ask


def test_without_the_header_nothing_is_stated() -> None:
    assert stated_ask(head()) == ""
