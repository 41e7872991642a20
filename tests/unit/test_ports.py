"""Which listener each socket gets, and what it serves: by the config, and by the names of inherited sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pointsman.api.admin import candidate_route
from pointsman.api.classifiers import classifier_routes
from pointsman.api.improve import improve_routes
from pointsman.app.ports import Port, Ports
from pointsman.errors import CannotStart
from support.playbook import Wire


@contextlib.contextmanager
def inherited(folder: Path, **addresses: str) -> Iterator[list[tuple[str, socket.socket]]]:
    """Listening sockets with their names, as systemd passes them; `unix` stands for a path."""
    with contextlib.ExitStack() as stack:
        made = []
        for name, address in addresses.items():
            unix = address == "unix"
            one = stack.enter_context(socket.socket(socket.AF_UNIX if unix else socket.AF_INET))
            one.bind(str(folder / name) if unix else (address, 0))
            one.listen()
            made.append((name.partition("_")[0], one))
        yield made


def ports(wire: Wire, passed: list[tuple[str, socket.socket]]) -> Ports:
    made: list[Ports] = []
    unused: Any = mock.Mock()
    more = [*classifier_routes(unused), *improve_routes(unused), candidate_route(unused, unused, unused)]
    wire.clock.do(lambda: made.append(Ports(wire.generations, unused, unused, more, passed)))
    return made[0]


def addresses(found: list[Port]) -> list[list[str]]:
    return [port.addresses for port in found]


def test_a_socket_has_the_port_of_its_name_and_any_other_is_for_data(wire: Wire, tmp_path: Path) -> None:
    with inherited(
        tmp_path,
        data="127.0.0.1",
        whatever="127.0.0.1",
        status="0.0.0.0",  # noqa: S104 - only to read
        admin="unix",
    ) as passed:
        found = ports(wire, passed)
        where = {name: one.getsockname() for name, one in passed}

    assert found.data.addresses == [f"127.0.0.1:{where[name][1]}" for name in ("data", "whatever")]
    assert addresses(found.status) == [[f"0.0.0.0:{where['status'][1]}"]]
    assert addresses(found.admin) == [[f"unix:{tmp_path}/admin"]]


def test_the_admin_ports_unix_sockets_want_no_token_where_its_tcp_does(wire: Wire, tmp_path: Path) -> None:
    with inherited(tmp_path, admin="127.0.0.1", admin_too="unix") as passed:
        found = ports(wire, passed)

    assert [[one.startswith("unix:") for one in each] for each in addresses(found.admin)] == [[False], [True]]
    assert found.admin[0].listener is not found.admin[1].listener


def test_an_inherited_admin_socket_that_others_reach_is_refused_without_a_token(wire: Wire, tmp_path: Path) -> None:
    with (
        inherited(tmp_path, admin="0.0.0.0") as passed,  # noqa: S104 - what is tested
        pytest.raises(CannotStart, match="admin_token_file"),
    ):
        ports(wire, passed)


def test_an_ipv6_socket_is_named_as_in_the_config(wire: Wire) -> None:
    one: Any = mock.Mock(family=socket.AF_INET6, getsockname=lambda: ("::1", 8080, 0, 0))
    assert ports(wire, [("data", one)]).data.addresses == ["[::1]:8080"]


ADMIN = {
    "GET": (
        *("/", "/page/main.js", "/config", "/status", "/metrics", "/health", "/ready", "/adapters", "/canaries"),
        *("/overlay", "/request", "/decisions", "/errors", "/traffic/5m", "/traffic/15m", "/traffic/hour"),
        *("/traffic/day", "/experiments", "/improve", "/classifiers"),
    ),
    "POST": (
        *("/reload", "/route", "/route/candidate", "/mode", "/adapters/load", "/adapters/unload"),
        *("/canaries/promote", "/canaries/rollback", "/canaries/restart", "/classifier/promote"),
        *("/classifier/rollback", "/classifier/discard", "/improve/collect", "/improve/label", "/improve/undo"),
        *("/improve/fit", "/improve/cancel"),
    ),
}


def test_the_admin_port_has_each_of_its_paths_with_its_method(wire: Wire, tmp_path: Path) -> None:
    """The page, commands and scripts of operators ask for them."""
    with inherited(tmp_path, admin="127.0.0.1") as passed:
        wire.listener = ports(wire, passed).admin[0].listener
    wire.client = wire.connect()
    for method, paths in ADMIN.items():
        for path in paths:
            wire.client.sends(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert method in wire.answer.head.decode().partition("Allow: ")[2].split(", "), path
