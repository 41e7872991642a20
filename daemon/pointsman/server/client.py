"""The client of a request by its address: the peer's own, or the one that a trusted reverse proxy names. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# A host on the internet usually has a whole /64, so an address alone would not identify it.
_IPV6_PREFIX = 64
# More proxies in a row than any deployment has: a client made up a longer list.
_MAX_HOPS = 16


class Client(NamedTuple):
    """A client; `address` is empty for a Unix socket, `limited_as` if no limit of one client applies."""

    address: str
    limited_as: str


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Reverse proxies that are trusted about their clients' addresses; `unix`: so are all peers of a Unix socket."""

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def trusts(self, address: str) -> bool:
        """Return whether a peer is a trusted proxy; its address is empty on a Unix socket."""
        return self._include(_parsed(address)) if address else self.unix

    def client(self, peer: Client, forwarded_for: bytes | None) -> Client:
        """Return the client of a request that the trusted proxy `peer` has passed on.

        It is the last address in `forwarded_for` that is not a trusted proxy's, as each proxy adds its peer's address.
        If that is unreadable, it is the address after it, or `peer`.
        """
        found = peer.address
        for entry in reversed((forwarded_for or b"").split(b",")[-_MAX_HOPS:]):
            ip = _entry(entry.strip(b" \t"))
            if ip is None:
                break
            found = str(ip)
            if not self._include(ip):
                return Client(found, _limited_as(ip))
        return Client(found, "")

    def directly(self, address: str) -> Client:
        """Return the client for a direct peer of this address; proxies and Unix sockets have no limit."""
        if not address:
            return Client("", "")
        ip = _parsed(address)
        return Client(str(ip), "" if self._include(ip) else _limited_as(ip))

    def _include(self, ip: Address) -> bool:
        return any(ip in network for network in self.networks)


def _parsed(address: str) -> Address:
    """Return an address without its zone; an IPv4 client of an IPv6 socket is the same client."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _limited_as(ip: Address) -> str:
    """Return the identity by which a client is limited."""
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False))
    return str(ip)


def _entry(entry: bytes) -> Address | None:
    """Return the address in an entry of `X-Forwarded-For`, which may have a port, or None."""
    text = entry.decode("latin-1")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _parsed(text)
    except ValueError:
        return None
