"""Which handler answers a path, and that nothing else is reachable."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.http1.request_head import read_head
from pointsman.server.byte_budget import ByteBudget, ClientBudget
from pointsman.server.client import Client
from pointsman.server.request import Request
from pointsman.server.response import Response
from pointsman.server.routes import Route, Routes


def request(method: str, path: str) -> Request:
    writer: Any = SimpleNamespace(client=lambda _: Client("", ""))
    share = ClientBudget(ByteBudget(0), limited=False)
    return Request(writer, *read_head(f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()), 0, share, 0)


async def respond(request: Request) -> Response:
    return Response(body=json.dumps([request.head.path, request.parameters]).encode())


async def task_of(_: Request) -> Response:
    task = asyncio.current_task()
    return Response(body=task.get_name().encode() if task is not None else b"")


ROUTES = Routes(
    [
        Route("GET", "/v1/models", respond),
        Route("POST", "/v1/models", respond),
        Route("GET", "/v1/responses/{id}", respond),
        Route("POST", "/v1/responses/{id}/cancel", respond),
        Route("GET", "/a.b", respond),
    ]
)


async def answer(method: str, path: str) -> Response:
    response = await ROUTES(request(method, path))
    assert response is not None
    return response


@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("GET", "/v1/models", {}),
        ("GET", "/v1/models/", {}),
        ("POST", "/v1/models", {}),
        ("GET", "/v1/responses/resp_A-9", {"id": "resp_A-9"}),
        ("GET", "/v1/responses/resp_1/", {"id": "resp_1"}),
        ("POST", "/v1/responses/resp_1/cancel", {"id": "resp_1"}),
        ("GET", "/a.b", {}),
    ],
)
async def test_a_listed_path_is_answered_with_its_parameters(
    method: str, path: str, parameters: dict[str, str]
) -> None:
    response = await answer(method, path)
    assert (response.status, json.loads(response.body)) == (200, [path, parameters])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "*",
        "/v1/models/x",
        "/v1/models//",
        "//v1/models",
        "/V1/models",
        "/v1/model%73",
        "/v1/responses/",
        "/v1/responses/a/b",
        "/v1/responses/..",
        "/v1/responses/a%2fb",
        "/v1/responses/a.b",
        "/v1/responses/a/cancel/x",
        "/x/v1/responses/a",
        "/axb",
    ],
)
async def test_anything_else_is_a_404(path: str) -> None:
    response = await answer("GET", path)
    assert (response.status, json.loads(response.body)["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/models", "GET, POST"), ("HEAD", "/v1/models/", "GET, POST"), ("POST", "/v1/responses/a", "GET")],
)
async def test_another_method_is_a_405_that_names_those_there_are(method: str, path: str, allowed: str) -> None:
    response = await answer(method, path)
    assert (response.status, ("Allow", allowed) in response.headers) == (405, True)


@pytest.mark.parametrize(("length", "repeated"), [(200, True), (201, False)])
async def test_a_path_is_repeated_to_a_client_only_where_it_is_short(length: int, repeated: bool) -> None:
    path = "/".ljust(length, "x")
    assert (path.encode() in (await answer("GET", path)).body) is repeated


async def test_whoever_refuses_may_record_it() -> None:
    seen: list[str] = []

    def refuse(request: Request, error: Any) -> Response:
        seen.append(f"{request.head.path} {error.status}")
        return Response(error.status)

    routes = Routes([Route("GET", "/a", respond)], refuse)
    for method, path in (("GET", "/b"), ("POST", "/a")):
        await routes(request(method, path))
    assert seen == ["/b 404", "/a 405"]


@pytest.mark.parametrize(("eager", "at_once"), [({"eager": True}, True), ({"eager": False}, False), ({}, False)])
def test_only_an_eager_handler_runs_before_it_has_a_task(eager: dict[str, bool], at_once: bool) -> None:
    """One that awaits a timeout without a task would fail."""
    work = Routes([Route("GET", "/a", respond, **eager)])(request("GET", "/a"))
    try:
        work.send(None)
    except StopIteration:
        done = True
    else:
        done = False
        work.close()
    assert done is at_once
