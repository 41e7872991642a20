"""Which requests to a data port on the loopback interface may come from a page by a name of its own."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.api.known_host import for_known_hosts
from pointsman.app.data_handler import data_handler
from pointsman.config.access import AccessOptions
from pointsman.config.model import Options
from pointsman.errors import RequestError
from pointsman.http1.request_head import read_head
from pointsman.server.client import Client
from pointsman.server.hosts import AllowedHosts
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response
from pointsman.server.routes import Routes

HOSTS = AllowedHosts(["127.0.0.1:8080"], ["llm.example"])


def asked(host: str | None, *, proxied: bool = False, address: str = "127.0.0.1") -> Response:
    async def answer(_: Request) -> Response:
        return Response(200)

    def refuse(_: Request, error: RequestError) -> Response:
        return error_response(error)

    named = f"HTTP/1.0\r\n{f'Host: {host}' if host else 'X: y'}"
    head, _ = read_head(f"POST /v1/chat/completions {named}\r\n\r\n".encode())
    writer = SimpleNamespace(proxied=proxied, client=lambda _: Client(address, ""))
    request: Any = SimpleNamespace(head=head, writer=writer)
    response = asyncio.run(for_known_hosts(answer, HOSTS, refuse)(request))
    assert response is not None
    return response


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "evil.", "a b", "[x"])
def test_a_name_that_a_page_could_have_is_refused(host: str) -> None:
    response = asked(host)

    error = json.loads(response.body)["error"]
    assert (response.status, error["code"]) == (403, "unknown_host")
    assert "allowed_hosts" in error["message"]
    assert "trusted_proxies" in error["message"]


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "10.0.0.5:8080", "backend", "llm.example:443", None]
)
def test_clients_of_this_host_and_proxies_that_name_none_pass(host: str | None) -> None:
    """A reverse proxy sends the name of its upstream group, or an address; health checks of HTTP/1.0 send none."""
    assert asked(host).status == 200


def test_what_a_trusted_proxy_or_a_unix_socket_passes_on_comes_from_no_browser_here() -> None:
    assert asked("chat.example", proxied=True).status == 200
    assert asked("chat.example", address="").status == 200


@pytest.mark.parametrize(
    ("hosts", "keys", "checked"), [(HOSTS, None, True), (HOSTS, "keys.yaml", False), (None, None, False)]
)
def test_it_is_checked_where_only_this_host_asks_and_no_key_is_wanted(
    hosts: AllowedHosts | None, keys: str | None, checked: bool
) -> None:
    """A page has no key, and where others ask they have many names."""
    options = Options(access=AccessOptions(keys_file=keys))
    current = SimpleNamespace(config=SimpleNamespace(pointsman=options))
    generations: Any = SimpleNamespace(current=current, exchange=None)

    handler = data_handler(generations, lambda: None, hosts)

    assert isinstance(handler, Routes) is not checked
