"""The names by which clients reach a listener. Pure.

A page can point a name of its own at our address, and its browser then takes us for the page's server (DNS rebinding).
Such a request has that name in its Host, so an unknown name is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from pointsman.config.address import Tcp, listen

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@ ]+)(?::[0-9]{1,5})?")
_LOCAL = ("localhost", "127.0.0.1", "::1")


class AllowedHosts:
    """The names of a listener: localhost, those of its addresses, and more; a wildcard address has every IP address."""

    def __init__(self, addresses: Iterable[str], more: Iterable[str] = ()) -> None:
        """Take the `addresses` of the listener; `more` are names or IP addresses without a port."""
        bound = [address.host for address in map(listen, addresses) if isinstance(address, Tcp)]
        self._names = frozenset(_normal(name) for name in (*_LOCAL, *bound, *more))
        self._every_ip = any(_is_wildcard(host) for host in bound)

    def known_here(self, host: bytes | None) -> bool:
        """Return whether a client on this host may use this name: any IP address, and any name without a dot."""
        if self.known(host, any_ip=True):
            return True
        match = _HOST.fullmatch(host or b"")
        return match is not None and b"." not in match[1]

    def known(self, host: bytes | None, *, any_ip: bool = False) -> bool:
        """Return whether a request with this `Host` was meant for us; `any_ip`: every IP address is accepted.

        Every browser sends Host, so a request without Host comes from no page; an empty Host is not one of our names.
        """
        if host is None:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = _normal(match[1].decode("latin-1").strip("[]"))
        return name in self._names or ((any_ip or self._every_ip) and _is_ip(name))


def _normal(name: str) -> str:
    """Return the canonical form in which a name or an IP address is compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.rstrip(".").casefold()


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_wildcard(host: str) -> bool:
    return _is_ip(host) and ipaddress.ip_address(host).is_unspecified
