"""Check the addresses of the service, the reachability of its ports, and the limits on clients."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from pointsman.config import address
from pointsman.config.loops import is_local
from pointsman.config.server import DEFAULT_ADMIN
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `server`."""
    yield from _listeners(subject)
    yield from _admin(subject)
    yield from _clients(subject)


def _listeners(subject: ValidatedConfig) -> Iterator[Problem]:
    server = subject.config.pointsman.server
    base: Keys = ("pointsman", "server")
    if not server.listen and subject.source_map.known(*base, "listen"):
        yield subject.problem(*base, "listen", message="no address is given", fix='write ["127.0.0.1:8080"]')
    wanted: list[tuple[Keys, str]] = [((*base, "listen", i), text) for i, text in enumerate(server.listen)]
    if server.admin_listen is not None or server.status_listen is None:
        wanted.append(((*base, "admin_listen"), server.admin_listen or DEFAULT_ADMIN))
    if server.status_listen is not None:
        wanted.append(((*base, "status_listen"), server.status_listen))
    taken: set[address.Tcp | address.Unix] = set()
    for keys, text in wanted:
        if not subject.source_map.known(*keys):
            continue
        try:
            found = address.listen(text)
        except ValueError as error:
            yield subject.problem(*keys, message=f'expected an address, found "{text}"', fix=str(error))
            continue
        if found in taken and not (isinstance(found, address.Tcp) and found.port == 0):
            yield subject.problem(*keys, message=f'the address "{text}" is given twice', fix="use another port")
        taken.add(found)


def _admin(subject: ValidatedConfig) -> Iterator[Problem]:
    """Check who reaches the admin port and the Unix sockets, and by which names."""
    server = subject.config.pointsman.server
    base: Keys = ("pointsman", "server")
    with contextlib.suppress(ValueError):
        if not is_local(server.admin_listen or DEFAULT_ADMIN) and server.admin_token_file is None:
            message = f'everyone who reaches "{server.admin_listen}" could change the service: it requires no token'
            fix = (
                "name a file with a token in admin_token_file, or write unix:/path here and this address in "
                "status_listen, which serves /metrics, /health and /ready alone"
            )
            yield subject.problem(*base, "admin_listen", message=message, fix=fix)
    if not re.fullmatch("0?[0-7]{3}", server.unix_socket_mode) and subject.source_map.known(*base, "unix_socket_mode"):
        message = f'expected permissions in octal, found "{server.unix_socket_mode}"'
        yield subject.problem(*base, "unix_socket_mode", message=message, fix='write "0660", or "0666" for everyone')
    for i, name in enumerate(server.allowed_hosts):
        try:
            address.check_host(name)
        except ValueError as error:
            keys: Keys = (*base, "allowed_hosts", i)
            yield subject.problem(*keys, message=f'expected a host, found "{name}"', fix=f"{error}, without a port")


def _clients(subject: ValidatedConfig) -> Iterator[Problem]:
    """Check the limits on clients."""
    server = subject.config.pointsman.server
    base: Keys = ("pointsman", "server")
    for i, text in enumerate(server.trusted_proxies):
        try:
            if text != address.UNIX_PEERS:
                address.network(text)
        except ValueError as error:
            keys: Keys = (*base, "trusted_proxies", i)
            yield subject.problem(*keys, message=f'expected a network, found "{text}"', fix=str(error))
    if server.buffered_bytes < 4 * server.max_body_bytes:
        message = (
            f"one client may hold a quarter of {server.buffered_bytes} bytes, which is less than one body of "
            f"max_body_bytes ({server.max_body_bytes})"
        )
        fix = f"write at least {4 * server.max_body_bytes}, or lower max_body_bytes"
        yield subject.problem(*base, "max_buffered_bytes", message=message, fix=fix)
