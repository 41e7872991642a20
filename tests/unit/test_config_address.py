"""The addresses that Pointsman listens at."""

from __future__ import annotations

import pytest

from pointsman.config.address import Tcp, Unix, listen


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Tcp("127.0.0.1", 8080)),
        ("0.0.0.0:0", Tcp("0.0.0.0", 0)),  # noqa: S104 - parsed, not bound
        ("localhost:65535", Tcp("localhost", 65535)),
        ("[::1]:8080", Tcp("::1", 8080)),
        ("unix:/run/pointsman.sock", Unix("/run/pointsman.sock")),
    ],
)
def test_the_documented_forms_are_read(text: str, address: Tcp | Unix) -> None:
    """An IPv6 address loses its brackets, a socket its `unix:`."""
    assert listen(text) == address


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "write host:port"),
        ("8080", "write host:port"),
        (":8080", "0.0.0.0:port for every interface"),
        ("localhost:", "write host:port"),
        ("::1:8080", "in brackets"),
        ("[::1:8080", "in brackets"),
        ("[::g]:80", "an IP address or a host name"),
        ("localhost:65536", "a port from 0 to 65535"),
        ("localhost:99999999999999999999", "a port from 0 to 65535"),
        ("localhost:-1", "a port from 0 to 65535"),
        ("localhost:８０", "a port from 0 to 65535"),
        ("http://localhost:80", "in brackets"),
        ("a b:80", "an IP address or a host name"),
        ("unix:", "an absolute path"),
        ("unix:pointsman.sock", "an absolute path"),
        ("unix:/a\0b", "an absolute path"),
        ("unix:/" + "é" * 54, "at most 107 bytes"),
    ],
)
def test_another_form_is_told_what_to_write(text: str, fix: str) -> None:
    """The error is the fix of a problem."""
    with pytest.raises(ValueError, match=fix):
        listen(text)
