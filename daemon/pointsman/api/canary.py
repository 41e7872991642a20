"""Handle the admin port's paths for canaries: list, promote, roll back, try again."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from pointsman.api.admin_handler import body_of
from pointsman.config.overlay import CanaryOutcome, Overlay, with_canary
from pointsman.errors import HttpError, RequestError
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

FORM = '{"category": "CATEGORY"}'
VERBS = ("promote", "rollback", "restart")


class _CanaryRequest(msgspec.Struct):
    category: str


class CanaryStore(Protocol):
    """The overlay's changes to canaries, and a description of these."""

    @property
    def trouble(self) -> str | None: ...
    async def change(self, edit: Callable[[Overlay], Overlay], by: str) -> None: ...
    def forget_trial(self, category: str) -> None: ...
    def canaries(self) -> list[dict[str, Any]]: ...


def canary_routes(store: CanaryStore) -> list[Route]:
    """Return the routes `GET /canaries`, and `POST /canaries/promote`, `/rollback` and `/restart`."""

    def canaries_response() -> Response:
        return json_response({"canaries": store.canaries(), "trouble": store.trouble})

    async def listing(_: Request) -> Response:
        return canaries_response()

    def change(verb: str) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                category = (await body_of(request, _CanaryRequest, FORM)).category
                adapter = _adapter(store.canaries(), category)
            except HttpError as error:
                return error_response(error)
            decided = _decided(verb, adapter)
            if verb == "restart":
                store.forget_trial(category)
            await store.change(lambda now: with_canary(now, category, decided), by=f"canary {verb}")
            return canaries_response()

        return handler

    return [Route("GET", "/canaries", listing), *(Route("POST", f"/canaries/{verb}", change(verb)) for verb in VERBS)]


def _decided(verb: str, adapter: str) -> CanaryOutcome | None:
    if verb == "restart":
        return None
    state = "promoted" if verb == "promote" else "rolled_back"
    return CanaryOutcome(adapter=adapter, state=state, by="command", at=int(time.time()))  # type: ignore[arg-type]


def _adapter(canaries: list[dict[str, Any]], category: str) -> str:
    for one in canaries:
        if one["category"] == category:
            return str(one["adapter"])
    names = ", ".join(one["category"] for one in canaries) or "none"
    message = f"the config has no canary for {category}; those with one: {names}"
    raise RequestError(message, status=HTTPStatus.NOT_FOUND, code="no_canary")
