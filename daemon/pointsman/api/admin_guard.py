"""Refuse admin requests that a web page in an operator's browser could send, and those without a required token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Coroutine

from pointsman.errors import RequestError
from pointsman.http1.request_head import RequestHead
from pointsman.server.hosts import AllowedHosts
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response

# These change nothing and contain no secret, so they need no token, and any IP address is a valid Host.
OPEN_PATHS = ("/metrics", "/health", "/ready")
# The files of the page, which are the same everywhere: the page itself asks for the token.
PAGE, PAGE_FILES = "/", "/page/"
_OWN_SITE = frozenset({b"same-origin", b"none"})
# A trusted proxy may end the encryption, or add it.
_SCHEMES = (b"http", b"https")


class AdminRequestError(RequestError):
    """The admin port does not take this request."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message, status=status, code=code)


def guarded(
    handler: Handler,
    hosts: Callable[[], AllowedHosts],
    token: Callable[[], bytes | None],
    encrypted: Callable[[], bool],
) -> Handler:
    """Return a handler that refuses forbidden requests to `handler`.

    `hosts` are the names of the listener; `token` returns the required token, or None; `encrypted` returns whether the
    listener has TLS.
    """

    def guard(request: Request) -> Coroutine[None, None, Response | None]:
        head = request.head
        scheme = b"https" if encrypted() else b"http"
        schemes = _SCHEMES if request.writer.proxied else (scheme,)
        error = fault(head, hosts(), schemes, has_body=request.has_body)
        if error is None and not is_open(head.path) and not _is_page(head.path):
            error = _without_token(head, token())
        return handler(request) if error is None else _refuse(error)

    return guard


def is_open(path: str) -> bool:
    """Return whether a path is public."""
    return path.removesuffix("/") in OPEN_PATHS


def _is_page(path: str) -> bool:
    return path == PAGE or path.startswith(PAGE_FILES)


def fault(
    head: RequestHead, hosts: AllowedHosts, schemes: Collection[bytes], *, has_body: bool
) -> AdminRequestError | None:
    """Return why a page could have made a request, or None; `schemes` are those of our own page. Pure."""
    host = head.values.get(b"host")
    if not hosts.known(host, any_ip=is_open(head.path)):
        return AdminRequestError(
            "the Host of this request is not known here, so it may come from a page that points its own name at this "
            "address; if the name is yours, add it to pointsman.server.allowed_hosts",
            403,
            "unknown_host",
        )
    if not _same_origin(head, host, schemes):
        return AdminRequestError(
            "the admin port takes no requests from pages of other origins; open its address itself", 403, "cross_origin"
        )
    if has_body and _media_type(head) != b"application/json":
        return AdminRequestError(
            "a body must be JSON; send Content-Type: application/json", 415, "unsupported_media_type"
        )
    return None


def _same_origin(head: RequestHead, host: bytes | None, schemes: Collection[bytes]) -> bool:
    """Return whether the request comes from our own page, or from no page."""
    values = head.values
    if values.get(b"sec-fetch-site", b"none").lower() not in _OWN_SITE:
        return False
    origin = values.get(b"origin")
    if origin is None:
        return True
    scheme, _, authority = origin.lower().partition(b"://")
    return host is not None and scheme in schemes and authority == host.lower()


def _media_type(head: RequestHead) -> bytes:
    return head.values.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _without_token(head: RequestHead, token: bytes | None) -> AdminRequestError | None:
    """Return the error for a client that does not know the token."""
    if token is None:
        return None
    scheme, _, sent = head.values.get(b"authorization", b"").partition(b" ")
    # The digests have the same length and reveal nothing about how much of the token is right.
    right = hmac.compare_digest(hashlib.sha256(sent.strip()).digest(), hashlib.sha256(token).digest())
    if right and scheme.lower() == b"bearer":
        return None
    return AdminRequestError(
        "the admin port wants its token: send `Authorization: Bearer` and what the file of "
        "pointsman.server.admin_token_file holds",
        401,
        "invalid_admin_token",
    )


async def _refuse(error: AdminRequestError) -> Response:
    response = error_response(error)
    if error.status == 401:
        response.headers.append(("WWW-Authenticate", "Bearer"))
    return response
