"""Define the listeners, and the limits on clients; check the addresses, and who reaches them."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.config import address, tls
from pointsman.config.loops import is_local
from pointsman.config.option import option
from pointsman.config.secret import secret_warnings
from pointsman.config.source_map import SourceMap
from pointsman.config.tls import TlsOptions
from pointsman.config.words import Keys
from pointsman.errors import Problem

DEFAULT_PORT = 9190
DEFAULT_ADMIN = f"127.0.0.1:{DEFAULT_PORT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    listen: tuple[str, ...] = option(
        "Addresses of the data port: `host:port` or `unix:/path`.", ("127.0.0.1:8080",), restart=True
    )
    tls: TlsOptions | None = option("TLS 1.2 and 1.3 at the TCP addresses of the data port, and at those only.", None)
    admin_tls: TlsOptions | None = option("TLS at the TCP addresses of `admin_listen` and `status_listen`.", None)
    admin_listen: str | None = option(
        "Address of the admin port: `host:port` or `unix:/path`. By default `unix:/run/pointsman/admin.sock` under "
        "systemd, else `status_listen` if that is on the loopback interface, else `127.0.0.1:9190`, or 9191 where that "
        "has 9190.",
        None,
        restart=True,
    )
    status_listen: str | None = option(
        "Address where `/metrics`, `/health` and `/ready` alone are served, for Prometheus and load balancers. By "
        "default `127.0.0.1:9190` where `admin_listen` is the default's Unix socket, else none.",
        None,
        restart=True,
    )
    admin_token_file: str | None = option(
        "File (relative to this one) with the token that the admin port wants where it is TCP, but for `/metrics`, "
        "`/health` and `/ready`; required beyond the loopback interface.",
        None,
        file=True,
    )
    unix_socket_mode: str = option(
        "Permissions of the Unix sockets, in octal and in quotes; every user who may write may connect.",
        "0660",
        restart=True,
    )
    unix_socket_group: str | None = option(
        "Group of the Unix sockets, of which the service's user must be a member; by default its own group.",
        None,
        restart=True,
    )
    allowed_hosts: tuple[str, ...] = option(
        "Names or IP addresses (without a port) that may be in the `Host` of a request to the admin port, "
        "and to a data port that only this host reaches, in addition to `localhost`, this host's name and the names "
        "of the addresses.",
        (),
    )
    max_in_flight: int = option(
        "Maximum requests in flight, each from the last byte of its body until the last byte of its response; more are "
        "refused with 503.",
        1_024,
        minimum=1,
    )
    max_in_flight_per_client: int = option(
        "Maximum requests in flight of one client address (an IPv6 /64), with those whose bodies are still arriving; "
        "more are refused with 429. 0 means no limit. "
        "Clients of a Unix socket have none; a request through `trusted_proxies` counts for the client that they name.",
        0,
        minimum=0,
    )
    max_connections: int = option(
        "Maximum client connections; for another one an idle connection of the client that has most is closed, or it "
        "is refused with 503. Half of them may have a body that is still arriving. Lower where the process may open "
        "fewer files.",
        2_048,
        minimum=1,
    )
    max_connections_per_client: int = option(
        "Maximum connections of one client address (an IPv6 /64); more are refused with 429. 0 means no limit. "
        "Clients of a Unix socket and `trusted_proxies` have none.",
        0,
        minimum=0,
    )
    trusted_proxies: tuple[str, ...] = option(
        "Networks of reverse proxies, such as `127.0.0.1` or `10.0.0.0/8`, or `unix` for the peers of Unix sockets. "
        "Their `X-Forwarded-For` names the client, and what they say about it (`X-Forwarded-*`, `Forwarded`, "
        "`X-Real-IP`) reaches vLLM; anybody else's is dropped. One address there is many clients, so its connections "
        "have no limit.",
        (),
    )
    header_timeout_ms: int = option("Timeout for receiving a request head; answered with 408.", 10_000, minimum=1)
    max_body_bytes: int = option("A larger request body is refused with 413.", 32 * 1024 * 1024, minimum=1024)
    body_timeout_ms: int = option("Timeout for receiving a request body; answered with 408.", 30_000, minimum=1)
    min_body_rate: int = option(
        "Minimum bytes per second of a request body, averaged over each 10 s; a slower one is answered with 408. 0 "
        "means no limit.",
        4_096,
        minimum=0,
    )
    max_buffered_bytes: int | None = option(
        "Maximum bytes of requests in memory, from a body's announcement until it is needed no more; at least four "
        "times `max_body_bytes`, as one client may hold a quarter. A body without room waits unread for up to 10 s, "
        "then 503. By default 256 MiB, or eight times `max_body_bytes` if that is more. Edited copies of "
        "bodies of up to 1 MiB come on top, at worst as much again.",
        None,
        minimum=16 * 1024 * 1024,
    )
    send_timeout_ms: int = option(
        "Timeout for a client that does not read its response: the connection is closed, and vLLM stops generating.",
        60_000,
        minimum=1,
    )
    drain_timeout_ms: int = option("Time for responses in progress to finish at shutdown.", 30_000, minimum=0)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all addresses where this service listens."""
        admin = self.admin_listen or (None if self.status_listen else DEFAULT_ADMIN)
        return (*self.listen, *filter(None, (admin, self.status_listen)))

    @property
    def tls_files(self) -> tuple[str, ...]:
        """Return the files of all certificates and keys."""
        ports = filter(None, (self.tls, self.admin_tls))
        named = [(one.certificate_file, one.key_file, one.client_ca_file) for one in ports]
        return tuple(file for files in named for file in files if file is not None)

    @property
    def buffered_bytes(self) -> int:
        """Return `max_buffered_bytes`, or its default."""
        return self.max_buffered_bytes or max(256 * 1024 * 1024, 8 * self.max_body_bytes)


def problems(options: ServerOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of the addresses, of the reachability of the ports, and of the limits on clients."""
    yield from _listeners(options, source_map)
    yield from _admin(options, source_map)
    yield from _clients(options, source_map)


def _listeners(options: ServerOptions, source_map: SourceMap) -> Iterator[Problem]:
    if not options.listen and source_map.known("listen"):
        yield source_map.problem(("listen",), "no address is given", 'write ["127.0.0.1:8080"]')
    wanted: list[tuple[Keys, str]] = [(("listen", i), text) for i, text in enumerate(options.listen)]
    if options.admin_listen is not None or options.status_listen is None:
        wanted.append((("admin_listen",), options.admin_listen or DEFAULT_ADMIN))
    if options.status_listen is not None:
        wanted.append((("status_listen",), options.status_listen))
    taken: set[address.Tcp | address.Unix] = set()
    for keys, text in wanted:
        if not source_map.known(*keys):
            continue
        try:
            found = address.listen(text)
        except ValueError as error:
            yield source_map.problem(keys, f'expected an address, found "{text}"', str(error))
            continue
        if found in taken and not (isinstance(found, address.Tcp) and found.port == 0):
            yield source_map.problem(keys, f'the address "{text}" is given twice', "use another port")
        taken.add(found)


def _admin(options: ServerOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Check who reaches the admin port and the Unix sockets, and by which names."""
    with contextlib.suppress(ValueError):
        if not is_local(options.admin_listen or DEFAULT_ADMIN) and options.admin_token_file is None:
            message = f'everyone who reaches "{options.admin_listen}" could change the service: it requires no token'
            fix = (
                "name a file with a token in admin_token_file, or write unix:/path here and this address in "
                "status_listen, which serves /metrics, /health and /ready alone"
            )
            yield source_map.problem(("admin_listen",), message, fix)
    if not re.fullmatch("0?[0-7]{3}", options.unix_socket_mode) and source_map.known("unix_socket_mode"):
        message = f'expected permissions in octal, found "{options.unix_socket_mode}"'
        yield source_map.problem(("unix_socket_mode",), message, 'write "0660", or "0666" for everyone')
    for i, name in enumerate(options.allowed_hosts):
        try:
            address.check_host(name)
        except ValueError as error:
            message = f'expected a host, found "{name}"'
            yield source_map.problem(("allowed_hosts", i), message, f"{error}, without a port")


def _clients(options: ServerOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Check the limits on clients."""
    for i, text in enumerate(options.trusted_proxies):
        try:
            if text != address.UNIX_PEERS:
                address.network(text)
        except ValueError as error:
            yield source_map.problem(("trusted_proxies", i), f'expected a network, found "{text}"', str(error))
    if options.buffered_bytes < 4 * options.max_body_bytes:
        message = (
            f"one client may hold a quarter of {options.buffered_bytes} bytes, which is less than one body of "
            f"max_body_bytes ({options.max_body_bytes})"
        )
        fix = f"write at least {4 * options.max_body_bytes}, or lower max_body_bytes"
        yield source_map.problem(("max_buffered_bytes",), message, fix)


def findings(options: ServerOptions, source_map: SourceMap) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and warnings about the token, the certificates, and who can read and change what."""
    errors: list[Problem] = []
    advice = "the token in it: openssl rand -hex 32"
    warnings = list(secret_warnings(options.admin_token_file, source_map.below("admin_token_file"), advice))
    if (
        options.admin_listen is not None
        and options.admin_token_file is None
        and isinstance(address.listen(options.admin_listen), address.Tcp)
    ):
        message = (
            f"every user of this host can change the service at {options.admin_listen}: the port requires no token"
        )
        fix = (
            "name a file with a token in admin_token_file, or write unix:/path here, and this address in status_listen "
            "for Prometheus"
        )
        warnings.append(source_map.problem(("admin_listen",), message, fix))
    for key, port in (("tls", options.tls), ("admin_tls", options.admin_tls)):
        if port is not None:
            found = tls.findings(port, source_map.below(key))
            errors += found[0]
            warnings += found[1]
    if not is_local(options.admin_listen or DEFAULT_ADMIN) and options.admin_tls is None:
        message = f"the token is sent to {options.admin_listen} without encryption, so anyone on the way can read it"
        fix = "set admin_tls, or listen at a loopback address or a Unix socket"
        warnings.append(source_map.problem(("admin_listen",), message, fix))
    return errors, warnings
