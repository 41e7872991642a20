"""The listeners: the data port, the admin port, and the status port, which only shows the state of the service."""

from __future__ import annotations

import dataclasses
import functools
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST

from pointsman.api.admin import MAX_ADMIN_BODY_BYTES, adapter_routes, dry_run_route
from pointsman.api.admin_guard import guarded
from pointsman.api.canary import canary_routes
from pointsman.api.decisions import decisions_route
from pointsman.api.health import Ready, health_routes, readiness
from pointsman.api.mode import overlay_routes
from pointsman.api.one_request import request_route
from pointsman.api.page.files import page_routes
from pointsman.api.traffic import traffic_routes
from pointsman.app import gauges
from pointsman.app.data_handler import data_handler
from pointsman.app.descriptors import ADMIN_CONNECTIONS
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayStore
from pointsman.app.reload import Reloader
from pointsman.app.status import status_route
from pointsman.config.loops import is_local
from pointsman.config.model import ServerOptions
from pointsman.errors import CannotStart, RequestError
from pointsman.experiments.running import experiments_route
from pointsman.routing.opinion import Opinion
from pointsman.routing.router import RoutedRequest, Router
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.hosts import AllowedHosts
from pointsman.server.limits import ConnectionLimits
from pointsman.server.listener import Listener
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route, Routes
from pointsman.server.unix_socket import SocketAccess

# FileDescriptorName= of socket units; a socket of any other name is for the data port.
ADMIN, STATUS = "admin", "status"


class BindAddress(NamedTuple):
    """An address to listen on, or a socket that systemd has passed for it."""

    address: str
    inherited: socket.socket | None

    @property
    def unix(self) -> bool:
        return self.address.startswith("unix:")


class Port(NamedTuple):
    """A listener, and where it listens."""

    listener: Listener
    bound: Sequence[BindAddress]

    @property
    def addresses(self) -> list[str]:
        return [one.address for one in self.bound]

    async def open(self, server: ServerOptions) -> None:
        """Accept connections; raises CannotStart."""
        access = SocketAccess(int(server.unix_socket_mode, 8), server.unix_socket_group)
        for address, inherited in self.bound:
            if inherited is None:
                await self.listener.listen(address, access)
            else:
                await self.listener.adopt(inherited)


class Ports:
    """All ports of the service; `admin` are two if the admin port has TCP and Unix sockets, or none."""

    def __init__(
        self,
        generations: Generations,
        reloader: Reloader,
        overlay: OverlayStore,
        more: Sequence[Route],
        inherited: Iterable[tuple[str, socket.socket]],
    ) -> None:
        """Take `more` routes of the admin port. Raises CannotStart.

        `inherited` are sockets with their names; they replace the addresses in the config.
        """
        self._generations = generations
        passed: dict[str, list[socket.socket]] = {"": [], ADMIN: [], STATUS: []}
        for name, one in inherited:
            passed[name if name in passed else ""].append(one)
        server = generations.current.config.pointsman.server
        ready = readiness(generations.trouble, lambda: self.data.listener.draining)
        generations.metrics.watch("ready", "1 while `/ready` is 200.", lambda: ready() is None)
        data = _bound_addresses(server.listen, passed[""])
        self.data = Port(self._data_listener(ready, data), data)
        self._budget = ByteBudget(4 * MAX_ADMIN_BODY_BYTES)
        reads = _open_routes(generations, ready)
        changes = [*_protected_routes(generations, reloader, overlay, ready), *more]
        admin = _bound_addresses([server.admin_listen], passed[ADMIN])
        _refuse_strangers(admin, generations.current.admin_token)
        self.admin = [
            self._admin_port(Routes([*changes, *reads]), addresses, token)
            for addresses, token in (
                ([bound for bound in admin if not bound.unix], lambda: generations.current.admin_token),
                ([bound for bound in admin if bound.unix], lambda: None),
            )
            if addresses
        ]
        status = _bound_addresses([server.status_listen], passed[STATUS])
        self.status = [self._admin_port(Routes(reads, _elsewhere), status, lambda: None)] if status else []

    def _data_listener(self, ready: Ready, addresses: Sequence[BindAddress]) -> Listener:
        generations = self._generations
        metrics = generations.metrics
        only_here = all(is_local(bound.address) for bound in addresses)

        def handler() -> Handler:
            hosts = self._hosts(addresses) if only_here else None
            return data_handler(generations, ready, hosts)

        def swapped() -> None:
            listener.handler = handler()

        def abandoned(request: Request) -> None:
            generations.current.recorder.record_abandoned(request)

        listener = Listener(handler(), self._limits, metrics.refused.add, abandoned, generations.budget, self._tls)
        generations.swapped = swapped
        gauges.watch_listener(metrics, listener, generations.budget, generations.arrivals)
        return listener

    def _tls(self) -> ssl.SSLContext | None:
        found = self._generations.current.certificate
        return None if found is None else found.context

    def _admin_tls(self) -> ssl.SSLContext | None:
        found = self._generations.current.admin_certificate
        return None if found is None else found.context

    def _limits(self) -> ConnectionLimits:
        return self._generations.current.limits

    def _hosts(self, addresses: Iterable[BindAddress]) -> AllowedHosts:
        allowed = self._generations.current.config.pointsman.server.allowed_hosts
        return _hosts(tuple(bound.address for bound in addresses), allowed)

    def _admin_port(self, table: Routes, addresses: Sequence[BindAddress], token: Callable[[], bytes | None]) -> Port:
        def limits() -> ConnectionLimits:
            return dataclasses.replace(
                self._limits(), max_connections=ADMIN_CONNECTIONS, max_body_bytes=MAX_ADMIN_BODY_BYTES
            )

        def encrypted() -> bool:
            return self._admin_tls() is not None and not all(bound.unix for bound in addresses)

        handler = guarded(table, lambda: self._hosts(addresses), token, encrypted)
        return Port(Listener(handler, limits, lambda _: None, lambda _: None, self._budget, self._admin_tls), addresses)


def _open_routes(generations: Generations, ready: Ready) -> list[Route]:
    async def exposition(_: Request) -> Response:
        return Response(body=generations.metrics.render(), content_type=CONTENT_TYPE_LATEST)

    return [Route("GET", "/metrics", exposition), *health_routes(ready)]


def _protected_routes(generations: Generations, reloader: Reloader, overlay: OverlayStore, ready: Ready) -> list[Route]:
    async def config(_: Request) -> Response:
        return json_response(
            {
                "generation": reloader.generation,
                "loaded": int(reloader.loaded),
                "sha256": reloader.serving.sha256(),
                "config": dataclasses.asdict(generations.current.config),
            }
        )

    async def second_opinion(router: Router, routed: RoutedRequest) -> Opinion | None:
        shadow = generations.current.shadow
        return None if shadow is None else await shadow.opinion(router, routed)

    return [
        Route("GET", "/config", config),
        Route("POST", "/reload", reloader.answer),
        *adapter_routes(lambda: generations.current, overlay.keep_adapters),
        dry_run_route(generations.begin, generations.stored, second_opinion),
        status_route(generations, reloader, ready),
        *overlay_routes(overlay),
        *canary_routes(overlay),
        *traffic_routes(generations.traffic, generations.latest),
        decisions_route(generations.latest, lambda: generations.current.texts),
        request_route(lambda: generations.current.recorder),
        experiments_route(generations.experiments, generations.metrics),
        *page_routes(),
    ]


def _elsewhere(_: Request, error: RequestError) -> Response:
    """Answer at the status address for paths that exist only at the admin address."""
    if error.status == HTTPStatus.NOT_FOUND:
        error.message += "; this is pointsman.server.status_listen, and all but what only reads is at admin_listen"
    return error_response(error)


def _refuse_strangers(admin: Iterable[BindAddress], token: bytes | None) -> None:
    """Raise CannotStart if other hosts could change the service without a token."""
    for bound in admin:
        if token is None and not is_local(bound.address):
            raise CannotStart(
                f"everyone who reaches the admin port at {bound.address} could change it; name a file with a token "
                "in pointsman.server.admin_token_file, or listen at a loopback address or a Unix socket"
            )


def _bound_addresses(addresses: Iterable[str | None], inherited: Iterable[socket.socket]) -> list[BindAddress]:
    """Return the inherited sockets, or else the addresses."""
    passed = [BindAddress(_address(one), one) for one in inherited]
    return passed or [BindAddress(address, None) for address in addresses if address is not None]


def _address(listener: socket.socket) -> str:
    where = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{where}"
    host = f"[{where[0]}]" if listener.family == socket.AF_INET6 else where[0]
    return f"{host}:{where[1]}"


@functools.lru_cache(8)
def _hosts(addresses: tuple[str, ...], allowed: tuple[str, ...]) -> AllowedHosts:
    return AllowedHosts(addresses, (socket.gethostname(), *allowed))
