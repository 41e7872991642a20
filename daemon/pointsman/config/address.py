"""Parse and check addresses: those where Pointsman listens, and those of vLLM."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_MAX_SOCKET_PATH_BYTES = 107
"""Maximum length of Linux's sun_path without its final NUL."""
UNIX_PEERS = "unix"
"""Stands for all peers of Unix sockets among the trusted proxies."""
_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)


@dataclass(frozen=True, slots=True)
class Tcp:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Unix:
    path: str


def listen(text: str) -> Tcp | Unix:
    """Parse `host:port`, `[IPv6]:port` or `unix:/path`; port 0 means any free port.

    Raises ValueError with the advice.
    """
    if text.startswith("unix:"):
        return Unix(_socket_path(text))
    host, _, port = text.rpartition(":")
    if not host or not port:
        raise ValueError("write host:port, 0.0.0.0:port for every interface, or unix:/path")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("write an IPv6 address in brackets: [::1]:8080")
    if not port.isascii() or not port.isdigit() or int(port[:6]) > 65535:
        raise ValueError("write a port from 0 to 65535")
    check_host(host)
    return Tcp(host, int(port))


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Parse an IP address or a network such as `10.0.0.0/8`; raises ValueError with the advice."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"write an IP address, a network such as 10.0.0.0/8 whose host bits are 0, or {UNIX_PEERS}"
        ) from None


def check_endpoint(address: str, port: int | None) -> None:
    """Check a vLLM's address together with its port; raises ValueError with the advice."""
    if address.startswith("unix:"):
        _socket_path(address)
        if port is not None:
            raise ValueError("remove port: a Unix socket has none")
    elif "://" in address:
        check_url(address, port)
    else:
        _check_bare(address, port)


def check_url(address: str, port: int | None = None) -> None:
    """Check a URL; raises ValueError with the advice."""
    if not address.startswith(("http://", "https://")):
        raise ValueError("write http:// or https://, in lower case")
    try:
        parts = urlsplit(address)
        own_port = parts.port
    except ValueError:
        raise ValueError("write http://host:port/prefix, with an IPv6 address in brackets") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("remove the credentials, and name a file with the key in pointsman.relay.api_key_file")
    if parts.query or parts.fragment or re.search(r"[\s\\]", address):
        raise ValueError("write http://host:port/prefix without spaces, `?` and `#`")
    if parts.netloc.endswith(":"):
        raise ValueError("write the port after the colon, or remove the colon")
    if own_port is not None and port is not None:
        raise ValueError("the port is given twice: remove the key port, or the port in the address")
    check_host(parts.hostname or "")


def _check_bare(address: str, port: int | None) -> None:
    host, colon, own_port = address.rpartition(":")
    if colon and ":" not in host and own_port.isdigit():
        raise ValueError(f"write the port in a key of its own: address: {host} and port: {own_port}")
    check_host(address.removeprefix("[").removesuffix("]"))
    if port is None:
        raise ValueError("add port; vLLM's default is 8000")


def check_host(host: str) -> None:
    """Check a host name or IP address; raises ValueError."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        if not _NAME.fullmatch(host) or last.isdigit():
            raise ValueError("write an IP address or a host name") from None


def _socket_path(text: str) -> str:
    path = text.removeprefix("unix:")
    if not path.startswith("/") or len(path.encode()) > _MAX_SOCKET_PATH_BYTES or "\0" in path:
        raise ValueError(
            f"write unix: and an absolute path of at most {_MAX_SOCKET_PATH_BYTES} bytes: unix:/run/vllm.sock"
        )
    return path
