"""Cross-origin resource sharing: the web pages that a browser lets read the answers (Fetch standard, section 3.2)."""

from __future__ import annotations

from collections.abc import Coroutine

from pointsman.config.cors import CorsOptions
from pointsman.errors import RequestError
from pointsman.http1.request_head import RequestHead
from pointsman.server.request import Handler, Request
from pointsman.server.response import Pairs, Response, error_response

METHODS = ("GET", "HEAD", "POST")
# Headers that a page may send without a preflight, with these values or others.
_SIMPLE_HEADERS = frozenset({"accept", "accept-language", "content-language", "content-type"})
_EXPOSED = (
    "Retry-After, Server-Timing, X-Request-Id, x-pointsman-confidence, x-pointsman-language, x-pointsman-reason, "
    "x-pointsman-truncated, x-vsr-injected-system-prompt, x-vsr-selected-category, x-vsr-selected-model, "
    "x-vsr-selected-reasoning"
)
_MAX_AGE_SECONDS = 600
_ANY = "*"


class Cors:
    """The permissions of pages in the config."""

    def __init__(self, options: CorsOptions) -> None:
        self._any = _ANY in options.origins
        self._origins = frozenset(origin.encode() for origin in options.origins)
        self._methods = METHODS if _ANY in options.methods else options.methods
        self._headers = None if _ANY in options.headers else frozenset(name.lower() for name in options.headers)
        self._credentials = options.credentials

    def lines(self, origin: bytes | None) -> bytes:
        """Return the header lines of an answer to a page of `origin`, or to a client that is not a page."""
        vary = b"" if self._any else b"Vary: Origin\r\n"
        if origin is None or not self.allows(origin):
            return vary
        exposed = f"Access-Control-Expose-Headers: {_EXPOSED}\r\n".encode()
        return b"%b%b%b" % (vary, self._allowed(origin), exposed)

    def preflight(self, head: RequestHead) -> Response:
        """Return the answer to a browser's preflight request; raises RequestError."""
        values = head.values
        origin, method = values[b"origin"], values[b"access-control-request-method"].decode("latin-1")
        asked = values.get(b"access-control-request-headers", b"").decode("latin-1")
        if not self.allows(origin):
            raise _refused("this origin", "origins")
        if method not in self._methods:
            raise _refused("this method", "methods")
        if self._headers is not None:
            wanted = {name.strip().lower() for name in asked.split(",")} - {""}
            if not wanted <= self._headers | _SIMPLE_HEADERS:
                raise _refused("one of these headers", "headers")
        headers: Pairs = [
            ("Access-Control-Allow-Methods", ", ".join(self._methods)),
            ("Access-Control-Max-Age", str(_MAX_AGE_SECONDS)),
        ]
        if asked:
            headers.append(("Access-Control-Allow-Headers", asked))
        return Response(headers=headers, lines=self._allowed(origin))

    def allows(self, origin: bytes) -> bool:
        """Return whether pages of `origin` may call."""
        return self._any or origin in self._origins

    def _allowed(self, origin: bytes) -> bytes:
        credentials = b"Access-Control-Allow-Credentials: true\r\n" if self._credentials else b""
        return b"Access-Control-Allow-Origin: %b\r\n%b" % (_ANY.encode() if self._any else origin, credentials)


def check_origin(options: CorsOptions, head: RequestHead) -> None:
    """Raise RequestError (403) for a page that may not call: browsers send no preflight before a websocket."""
    origin = head.values.get(b"origin")
    if origin is not None and not Cors(options).allows(origin):
        raise RequestError("this page's origin is not in pointsman.cors.origins", status=403, code="cross_origin")


def with_cors(handler: Handler, options: CorsOptions) -> Handler:
    """Return `handler` with the headers for pages; unchanged if no page may call."""
    if not options.origins:
        return handler
    cors = Cors(options)

    def answer(request: Request) -> Coroutine[None, None, Response | None]:
        values = request.head.values
        origin = values.get(b"origin")
        if request.head.method == "OPTIONS" and origin is not None and b"access-control-request-method" in values:
            return _preflight(cors, request.head)
        request.lines = cors.lines(origin)
        return handler(request)

    return answer


async def _preflight(cors: Cors, head: RequestHead) -> Response:
    try:
        response = cors.preflight(head)
    except RequestError as error:
        response = error_response(error)
    response.headers.append(("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"))
    return response


def _refused(what: str, key: str) -> RequestError:
    return RequestError(f"{what} is not in pointsman.cors.{key}", status=400, code="cors_refused")
