"""The parts of HTTP/1.1's grammar (RFC 9110, RFC 9112) that requests, responses and bodies share."""

from __future__ import annotations

# Node.js and nginx allow 16 and 32 KiB; a client behind proxies that add headers may need more.
MAX_HEAD_BYTES = 65_536

TOKEN_BYTES = rb"!#$%&'*+.^_`|~0-9A-Za-z-"
"""The characters of a token, for use inside a bracket expression."""

_MAX_LENGTH_DIGITS = 18

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authorization",  # for the next hop, which is this program
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that concern one connection and are never forwarded (RFC 9110, section 7.6.1)."""


def is_length(value: bytes) -> bool:
    """Return whether the value of a Content-Length is a number."""
    return value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS
