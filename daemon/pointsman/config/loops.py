"""Judge the addresses of our listeners: which endpoint is a listener, so that requests would loop, and who can connect.

Pure functions.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterable
from urllib.parse import urlsplit

from pointsman.config.address import Tcp, Unix, listen
from pointsman.config.endpoint import Endpoint

_LOOPBACK = ("127.0.0.1", "::1")
_ANY_IPV4, _ANY = "0.0.0.0", "::"  # noqa: S104 - recognized here, not bound
_HTTP, _HTTPS = 80, 443


def own_listener(endpoint: Endpoint, addresses: Iterable[str]) -> str | None:
    """Return the first of our listeners' `addresses` that `endpoint` leads to, or None. All must be valid."""
    target = _target(endpoint)
    return next((text for text in addresses if _leads_to(target, listen(text))), None)


def is_local(text: str) -> bool:
    """Return whether a listener's address, which must be valid, is reachable only from this host."""
    found = listen(text)
    return isinstance(found, Unix) or all(map(_is_loopback, _hosts(found.host)))


def _target(endpoint: Endpoint) -> Tcp | Unix:
    if endpoint.socket_path is not None:
        return Unix(endpoint.socket_path)
    parts = urlsplit(endpoint.base_url)
    return Tcp(parts.hostname or "", parts.port or (_HTTPS if parts.scheme == "https" else _HTTP))


def _leads_to(target: Tcp | Unix, listener: Tcp | Unix) -> bool:
    if isinstance(target, Tcp) and isinstance(listener, Tcp):
        pairs = ((one, bound) for one in _reached(target.host) for bound in _hosts(listener.host))
        return target.port == listener.port and any(_accepts(bound, one) for one, bound in pairs)
    if isinstance(target, Unix) and isinstance(listener, Unix):
        return posixpath.normpath(target.path) == posixpath.normpath(listener.path)
    return False


def _accepts(bound: str, host: str) -> bool:
    """Return whether a listener bound to one host accepts connections to the other; a wildcard, those to loopback."""
    wildcard = bound == _ANY or (bound == _ANY_IPV4 and ":" not in host)
    return bound == host or (wildcard and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reached(host: str) -> list[str]:
    """Return the hosts that a connection to `host` may reach: a wildcard address leads to loopback."""
    return [{_ANY_IPV4: _LOOPBACK[0], _ANY: _LOOPBACK[1]}.get(one, one) for one in _hosts(host)]


def _hosts(host: str) -> tuple[str, ...]:
    """Return the normalized forms of `host` that are known without a lookup."""
    name = host.casefold().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return _LOOPBACK
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return (name,)
    return (str(getattr(address, "ipv4_mapped", None) or address),)
