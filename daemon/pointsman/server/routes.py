"""The table of paths and handlers: nothing else is reachable."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass

from pointsman.eager import continue_in_task
from pointsman.errors import MethodNotAllowed, RequestError
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response

# No character that could change the structure of vLLM's path.
_ID = "(?P<id>[A-Za-z0-9_-]+)"
# For paths answered here: the name of a model may have slashes.
_NAME = "(?P<name>.+?)"


@dataclass(frozen=True, slots=True)
class Route:
    """A path and its handler; `path` may contain `{id}` (letters, digits, `_`, `-`), or end in `{name}`.

    An `eager` handler runs in no task until it awaits `eager.continue_in_task`.
    """

    method: str
    path: str
    handler: Handler
    eager: bool = False


class Routes:
    """A table that dispatches each request to its route, or answers 404 or 405.

    A trailing slash is ignored (vLLM would redirect to its own address). Paths are compared without decoding.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        refuse: Callable[[Request, RequestError], Response] = lambda _, error: error_response(error),
    ) -> None:
        """Take `refuse`, which makes the response to a request without a route."""
        self._refuse = refuse
        self._exact: dict[str, dict[str, Handler]] = {}
        self._patterns: dict[re.Pattern[str], dict[str, Handler]] = {}
        for route in routes:
            handler = route.handler if route.eager else _non_eager(route.handler)
            if "{" in route.path:
                escaped = re.escape(route.path).replace(re.escape("{id}"), _ID).replace(re.escape("{name}"), _NAME)
                pattern = re.compile(escaped + "/?")
                self._patterns.setdefault(pattern, {})[route.method] = handler
            else:
                for path in (route.path, f"{route.path}/"):
                    self._exact.setdefault(path, {})[route.method] = handler

    def __call__(self, request: Request) -> Coroutine[None, None, Response | None]:
        """Handle a request."""
        methods = self._exact.get(request.head.path) or self._matched(request)
        handler = None if methods is None else methods.get(request.head.method)
        return self._refused(request, methods) if handler is None else handler(request)

    async def _refused(self, request: Request, methods: Iterable[str] | None) -> Response:
        if methods is None:
            return self._refuse(request, RequestError(f"{_asked(request)}: Not Found", status=404, code="not_found"))
        allowed = ", ".join(sorted(methods))
        return self._refuse(request, MethodNotAllowed(f"{_asked(request)}: Method Not Allowed", allowed))

    def _matched(self, request: Request) -> dict[str, Handler] | None:
        for pattern, methods in self._patterns.items():
            if match := pattern.fullmatch(request.head.path):
                request.parameters = match.groupdict()
                return methods
        return None


def _non_eager(handler: Handler) -> Handler:
    async def in_a_task(request: Request) -> Response | None:
        await continue_in_task()
        return await handler(request)

    return in_a_task


def _asked(request: Request) -> str:
    path = request.head.path if request.head.path.isascii() and len(request.head.path) <= 200 else "this path"
    return f"{request.head.method} {path}"
