"""What clients may do: the bounds that the config sets on their connections."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.server.client import TrustedProxies


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients may do; timeouts are in seconds, and 0 connections of one client are no limit.

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
        """Return how many bodies may arrive at a time: half of the connections, so that others get the rest."""
        return max(1, self.max_connections // 2)
