"""Tell clients apart by the credentials that they send. Pure."""

from __future__ import annotations

import hashlib

from pointsman.http1.request_head import RequestHead

_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key")


def client_identity(head: RequestHead) -> str:
    """Return a hash of a client's credentials; empty for all clients that send none."""
    sent = [head.values[name] for name in _CREDENTIALS if name in head.values]
    return hashlib.blake2b(b"\n".join(sent), digest_size=16).hexdigest() if sent else ""
