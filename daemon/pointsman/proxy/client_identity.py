"""Identify clients by the credentials that they send. Pure."""

from __future__ import annotations

import functools
import hashlib

from pointsman.http1.request_head import RequestHead

_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key")
# A client sends the same credentials with each request, and hashing takes four times as long. No key is long.
_KEPT_IDENTITIES = 512
_MAX_KEPT_BYTES = 1024


def client_identity(head: RequestHead) -> str:
    """Return a hash of a client's credentials; empty for all clients that send none."""
    sent = b"\n".join(filter(None, map(head.values.get, _CREDENTIALS)))
    return (_cached_identity if len(sent) <= _MAX_KEPT_BYTES else _identity)(sent)


def _identity(sent: bytes) -> str:
    return hashlib.blake2b(sent, digest_size=16).hexdigest() if sent else ""


_cached_identity = functools.lru_cache(_KEPT_IDENTITIES)(_identity)
