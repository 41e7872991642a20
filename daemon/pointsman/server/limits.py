"""The bounds that the config sets on clients' connections."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.server.client import TrustedProxies


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds for clients; timeouts are in seconds, and 0 connections of one client mean no limit.

    Trusted `proxies` are not limited as one client.
    """

    header_timeout: float
    send_timeout: float
    max_body_bytes: int
    max_connections: int
    max_connections_per_client: int
    proxies: TrustedProxies

    @property
    def max_arriving(self) -> int:
        """Return the number of bodies that may arrive concurrently: half of the connections, to leave others room."""
        return max(1, self.max_connections // 2)
