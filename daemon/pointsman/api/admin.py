"""Handle the admin port's paths: list, load, unload adapters; dry run. The admin port has no authentication."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from pointsman.adapters.inventory import inventory
from pointsman.adapters.loader import Loader
from pointsman.adapters.poller import Poller
from pointsman.api.admin_handler import BODY_SECONDS, answering, body_of
from pointsman.api.dry_run import dry_run
from pointsman.config.model import Config
from pointsman.errors import HttpError, RequestError
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.explain import describe
from pointsman.routing.opinion import Opinion
from pointsman.routing.router import RoutedRequest, Router
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

FORM = '{"name": "ADAPTER"}'
# Maximum body of a request to explain; most other bodies name an adapter.
MAX_ADMIN_BODY_BYTES = 8 * 2**20


class _AdapterRequest(msgspec.Struct):
    name: str
    force: bool = False


class Adapters(Protocol):
    """The adapters of the current config."""

    @property
    def config(self) -> Config: ...
    @property
    def poller(self) -> Poller: ...
    @property
    def loader(self) -> Loader: ...


def adapter_routes(current: Callable[[], Adapters], keep: Callable[[], Awaitable[None]]) -> list[Route]:
    """Return the routes `GET /adapters`, and `POST /adapters/load` and `/adapters/unload` with `{"name": ...}`.

    `keep` is called once the loader knows of another adapter that was unloaded.
    """

    async def listing(_: Request) -> Response:
        adapters = current()
        await adapters.poller.refresh()
        now = asyncio.get_running_loop().time()
        return json_response(inventory(adapters.config, adapters.poller, now))

    def change(verb: str) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                named = await body_of(request, _AdapterRequest, FORM)
                loader = current().loader
                if verb == "load":
                    outcome = await loader.load(named.name)
                else:
                    outcome = await loader.unload(named.name, force=named.force)
                    await keep()
            except HttpError as error:
                return error_response(error)
            failed = any(message is not None for message in outcome.values())
            return json_response({"name": named.name, "endpoints": outcome}, 502 if failed else 200)

        return handler

    changes = [Route("POST", f"/adapters/{verb}", change(verb)) for verb in ("load", "unload")]
    return [Route("GET", "/adapters", listing), *changes]


Opinions = Callable[[Router, RoutedRequest], Awaitable[Opinion | None]]


async def no_opinion(_: Router, __: RoutedRequest) -> None:
    """Return None: there is no second classifier."""


def dry_run_route(
    begin: Callable[[], tuple[Router, Callable[[], object]]],
    responses: StoredResponses,
    shadow: Opinions = no_opinion,
) -> Route:
    """Return the route `POST /route`; `begin` returns the current router, and a function that releases it.

    `responses` are those that may be continued. `shadow` returns what the classifier in shadow decides about the text.
    """

    async def handler(request: Request) -> Response:
        router, release = begin()
        try:
            parsed, routed = await dry_run(router, await request.read(BODY_SECONDS), responses=responses)
            return json_response(describe(router, parsed, routed) | {"shadow": await shadow(router, routed)})
        except HttpError as error:
            return error_response(error)
        finally:
            release()

    return Route("POST", "/route", handler)


Judge = Callable[[str, Router, RoutedRequest], Awaitable[dict[str, Any]]]


def candidate_route(
    begin: Callable[[], tuple[Router, Callable[[], object]]], responses: StoredResponses, judge: Judge
) -> Route:
    """Return the route `POST /route/candidate?artifact=NAME`: another artifact's decision about a request's text alone.

    `begin` and `responses` as in `dry_run_route`; `judge` returns the decision of the named artifact.
    """

    async def answer(request: Request) -> Response:
        names = parse_qs(request.head.query).get("artifact", [])
        if len(names) != 1:
            message = "name one artifact, as GET /classifiers does: /route/candidate?artifact=NAME"
            raise RequestError(message, status=400, code="invalid_query")
        router, release = begin()
        try:
            _, routed = await dry_run(router, await request.read(BODY_SECONDS), responses=responses)
            return json_response(await judge(names[0], router, routed))
        finally:
            release()

    return Route("POST", "/route/candidate", answering(answer))
