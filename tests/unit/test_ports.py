"""Which listener each socket gets, and what it serves: by the config, and by the names of inherited sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

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
    wire.clock.do(lambda: made.append(Ports(wire.generations, unused, unused, (), passed)))
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
