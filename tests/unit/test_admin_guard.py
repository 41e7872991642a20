"""What the admin port refuses: what a page in an operator's browser can send, and who does not know the token."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pointsman.api.admin_guard import fault, guarded
from pointsman.http1.request_head import read_head
from pointsman.server.hosts import AllowedHosts
from pointsman.server.request import Request
from pointsman.server.response import Response

HOSTS = AllowedHosts(["127.0.0.1:9190"])
TOKEN = b"5f3a-secret"
PROTECTED = (
    "/config",
    "/status",
    "/adapters",
    "/adapters/load",
    "/reload",
    "/route",
    "/nowhere",
    "/metrics/x",
    "//metrics",
)
OPEN = ("/metrics", "/health", "/ready", "/metrics/")
PAGE = ("/", "/page/main.js", "/page/x")


def head(path: str = "/config", method: str = "GET", host: str = "127.0.0.1:9190", **fields: str) -> Any:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return read_head(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())


def refused(found: Any, hosts: AllowedHosts = HOSTS, scheme: bytes = b"http") -> tuple[int, str] | None:
    head, length = found
    error = fault(head, hosts, (scheme,), has_body=bool(length) or head.chunked)
    return None if error is None else (error.status, error.code)


@pytest.mark.parametrize("path", [*PROTECTED, *OPEN, *PAGE])
def test_a_foreign_host_is_refused_on_every_path(path: str) -> None:
    assert refused(head(path, host="evil.example:9190")) == (403, "unknown_host")


def test_an_ip_address_that_is_not_ours_may_only_read() -> None:
    """Prometheus finds its targets by address; behind one, there is no name of a page."""
    assert [refused(head(path, host="10.0.0.5:9190")) for path in OPEN] == [None] * len(OPEN)
    assert {refused(head(path, host="10.0.0.5:9190")) for path in (*PROTECTED, *PAGE)} == {(403, "unknown_host")}


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9191"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:9190, http://evil.example"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none, cross-site"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://evil.example"},
    ],
)
@pytest.mark.parametrize(("path", "method"), [("/config", "GET"), ("/metrics", "GET"), ("/reload", "POST")])
def test_a_page_of_another_origin_is_refused(path: str, method: str, fields: dict[str, str]) -> None:
    assert refused(head(path, method, **fields)) == (403, "cross_origin")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "Same-Origin", "Origin": "http://127.0.0.1:9190"},
        {"Origin": "HTTP://127.0.0.1:9190"},
    ],
)
def test_our_own_page_and_whoever_is_no_browser_pass(fields: dict[str, str]) -> None:
    assert refused(head("/reload", "POST", **fields)) is None


def test_a_page_of_another_scheme_is_another_origin() -> None:
    """Whoever is on the way can write the page of an address without encryption."""
    for scheme, other in ((b"http", "https"), (b"https", "http")):
        own = f"{scheme.decode()}://127.0.0.1:9190"
        assert refused(head("/reload", "POST", Origin=own), scheme=scheme) is None
        assert refused(head("/reload", "POST", Origin=f"{other}://127.0.0.1:9190"), scheme=scheme) is not None
    for strange in ("file", "", "ftp"):
        assert refused(head("/reload", "POST", Origin=f"{strange}://127.0.0.1:9190")) == (403, "cross_origin")


def test_an_empty_host_is_nobodys() -> None:
    assert refused(head("/reload", "POST", host="")) == (403, "unknown_host")
    assert refused(head("/reload", "POST", host="", Origin="null")) == (403, "unknown_host")


@pytest.mark.parametrize(("encrypted", "proxied"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_scheme_is_the_listeners_unless_a_trusted_proxy_is_between(encrypted: bool, proxied: bool) -> None:
    asked = Asked(None, encrypted=encrypted, proxied=proxied)
    passed = {scheme for scheme in ("http", "https") if asked(head(Origin=f"{scheme}://127.0.0.1:9190")).status == 200}
    assert passed == ({"http", "https"} if proxied else {"https" if encrypted else "http"})


def test_a_tunnel_has_another_port_and_is_no_other_origin() -> None:
    assert refused(head(host="localhost:7000", Origin="http://localhost:7000")) is None


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/json-seq",
        "text/plain, application/json",
        "",
    ],
)
@pytest.mark.parametrize("length", [{"Content_Length": "2"}, {"Transfer_Encoding": "chunked"}])
def test_a_body_that_is_not_json_is_refused(kind: str, length: dict[str, str]) -> None:
    """Browsers send these from any page without asking first."""
    assert refused(head("/adapters/load", "POST", Content_Type=kind, **length)) == (415, "unsupported_media_type")
    assert refused(head("/adapters/load", "POST", **length)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON ; charset=utf-8"])
def test_json_and_no_body_at_all_pass(kind: str) -> None:
    assert refused(head("/adapters/load", "POST", Content_Type=kind, Content_Length="2")) is None
    assert refused(head("/reload", "POST", Content_Length="0")) is None


# --- the token ----------------------------------------------------------------------------------------------------


class Asked:
    """A guarded handler, and what it answers."""

    def __init__(self, token: bytes | None, *, encrypted: bool = False, proxied: bool = False) -> None:
        async def answer(_: Request) -> Response:
            return Response(200)

        self._handler = guarded(answer, lambda: HOSTS, lambda: token, lambda: encrypted)
        self._writer = type("Writer", (), {"proxied": proxied})

    def __call__(self, found: Any) -> Response:
        request: Any = type("Sent", (), {"head": found[0], "has_body": False, "writer": self._writer})
        response = asyncio.run(self._handler(request))
        assert response is not None
        return response


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer 5f3a-secre"},
        {"Authorization": "Bearer 5f3a-secret5f3a-secret"},
        {"Authorization": "Basic 5f3a-secret"},
        {"Authorization": "5f3a-secret"},
        {"Authorization": "Bearer"},
        {"X_Api_Key": "5f3a-secret"},
    ],
)
def test_without_the_token_nothing_is_shown_or_changed(path: str, sent: dict[str, str]) -> None:
    response = Asked(TOKEN)(head(path, **sent))

    error = json.loads(response.body)["error"]
    assert (response.status, error["code"]) == (401, "invalid_admin_token")
    assert ("WWW-Authenticate", "Bearer") in response.headers
    assert "admin_token_file" in error["message"]
    assert TOKEN.decode() not in error["message"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Bearer "])
@pytest.mark.parametrize("path", [*PROTECTED, *OPEN])
def test_with_the_token_all_is_there(path: str, scheme: str) -> None:
    assert Asked(TOKEN)(head(path, Authorization=f"{scheme} {TOKEN.decode()}")).status == 200


@pytest.mark.parametrize("path", OPEN)
def test_what_only_reads_wants_no_token(path: str) -> None:
    assert Asked(TOKEN)(head(path)).status == 200


@pytest.mark.parametrize("path", PAGE)
def test_the_files_of_the_page_want_no_token_as_the_page_asks_for_it(path: str) -> None:
    assert Asked(TOKEN)(head(path)).status == 200
    assert Asked(TOKEN)(head(path, Origin="http://evil.example")).status == 403


def test_where_no_token_is_configured_none_is_wanted() -> None:
    assert Asked(None)(head("/config")).status == 200


@pytest.mark.parametrize("fields", [{"Host_": "x"}, {"Origin": "http://evil.example"}, {}])
def test_no_answer_permits_another_origin_to_read_it(fields: dict[str, str]) -> None:
    response = Asked(TOKEN)(head(**fields))
    assert not [name for name, _ in response.headers if name.lower().startswith("access-control")]
    assert b"access-control" not in response.lines.lower()
