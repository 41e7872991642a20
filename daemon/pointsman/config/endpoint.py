"""Define a vLLM server."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.config.option import option


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
