"""Define a vLLM server, and check its address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pointsman.config import address
from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str = option("Name, used in `preferred_endpoints`, the log and metrics.")
    address: str = option("Address of a vLLM: IP, host name, `http(s)://host[:port][/prefix]`, or `unix:/path`.")
    port: int | None = option(
        "TCP port; required with an IP or host name, not allowed with `unix:` or a port in `address`.",
        None,
        minimum=1,
        maximum=65535,
    )
    weight: float = option(
        "Relative share of the traffic among the endpoints that can serve a request.", 1.0, minimum=0
    )

    @property
    def base_url(self) -> str:
        """Return `http(s)://authority[/prefix]` without a trailing slash; `localhost` stands for a Unix socket."""
        if self.socket_path is not None:
            return "http://localhost"
        scheme, _, rest = self.address.rpartition("://")
        authority, slash, prefix = rest.partition("/")
        if not scheme and authority.count(":") > 1 and not authority.startswith("["):
            authority = f"[{authority}]"
        port = "" if self.port is None else f":{self.port}"
        return f"{scheme or 'http'}://{authority}{port}{slash}{prefix}".rstrip("/")

    @property
    def socket_path(self) -> str | None:
        """Return the path of a Unix socket, or None for TCP."""
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else None


def problems(endpoints: Sequence[Endpoint], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of all endpoints: their number, names, addresses and weights."""
    if not endpoints and source_map.known():
        yield source_map.problem((), "no endpoint is given", "add one with name, address and port")
    yield from source_map.names(((i, "name"), endpoint.name) for i, endpoint in enumerate(endpoints))
    for i, endpoint in enumerate(endpoints):
        if not all(source_map.known(i, key) for key in ("address", "port")):
            continue
        try:
            address.check_endpoint(endpoint.address, endpoint.port)
        except ValueError as error:
            shown = "an address with credentials" if "@" in endpoint.address else f'"{endpoint.address}"'
            port = "" if endpoint.port is None else f" and port {endpoint.port}"
            message = f"expected an IP, a host name, a URL or unix:/path, found {shown}{port}"
            yield source_map.problem((i, "address"), message, str(error))
    if endpoints and not any(endpoint.weight for endpoint in endpoints):
        message = "every endpoint has the weight 0, so none gets traffic"
        yield source_map.problem((0, "weight"), message, "give one a weight above 0")


def warnings(endpoints: Sequence[Endpoint], source_map: SourceMap) -> Iterator[Problem]:
    """Yield a prefix that paths have anyway, and a weight without effect."""
    for i, endpoint in enumerate(endpoints):
        if "://" in endpoint.address and endpoint.address.rstrip("/").endswith("/v1"):
            message = "the prefix ends in /v1, but request paths already begin with it: they would go to /v1/v1/…"
            yield source_map.problem((i, "address"), message, "remove /v1 from the address")
    if len(endpoints) == 1 and endpoints[0].weight != 1:
        yield source_map.problem((0, "weight"), "the weight of the only endpoint has no effect", "remove it")
