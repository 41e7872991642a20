"""Who counts as one client, and whose connection is closed to make room for another."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pointsman.server.byte_budget import ByteBudget
from pointsman.server.client import TrustedProxies
from pointsman.server.peers import Peer, Peers

TRUSTED = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("2001:db8:5::/48")))


class Crowd:
    """Connections by name; the first letter of a name is its client."""

    def __init__(self) -> None:
        self.peers: Peers[str] = Peers(ByteBudget(2**20))
        self.of: dict[str, Peer[str]] = {}

    def come(self, *names: str, given: str | None = None) -> None:
        """Connections that have asked nothing yet."""
        for name in names:
            address = f"192.0.2.{ord(name[0])}" if given is None else given
            self.of[name] = peer = self.peers.opened(TRUSTED.directly(address))
            peer.silent[name] = None

    def ask(self, *names: str, answered: bool) -> None:
        for name in names:
            self.of[name].silent.pop(name, None)
            self.of[name].idle.pop(name, None)
            if answered:
                self.of[name].idle[name] = None

    def order(self) -> list[str]:
        """The connections as they would be closed one after the other."""
        found = []
        while (name := self.peers.victim()) is not None:
            self.peers.closed(self.of[name], name)
            found.append(name)
        return found


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def test_the_client_with_most_connections_loses_one_the_oldest_first(crowd: Crowd) -> None:
    crowd.come("a1", "b1", "b2", "b3", "c1", "c2")
    assert crowd.peers.victim() == "b1"


def test_each_that_is_closed_counts_no_more(crowd: Crowd) -> None:
    crowd.come("a1", "a2", "b1", "b2", "b3", "b4")
    assert sorted(crowd.order()[:4]) == ["a1", "b1", "b2", "b3"]


def test_one_that_was_never_used_goes_before_those_that_were(crowd: Crowd) -> None:
    crowd.come("a1", "b1", "b2", "b3")
    crowd.ask("b1", "b2", "b3", answered=True)
    assert crowd.order() == ["a1", "b1", "b2", "b3"]


def test_one_whose_request_runs_is_never_closed(crowd: Crowd) -> None:
    crowd.come("a1", "a2", "b1")
    crowd.ask("a1", "b1", answered=False)
    assert crowd.order() == ["a2"]


def test_use_makes_one_the_last_of_its_client(crowd: Crowd) -> None:
    crowd.come("a1", "a2")
    crowd.ask("a1", "a2", "a1", answered=True)
    assert crowd.order() == ["a2", "a1"]


@pytest.mark.parametrize("address", ["", "10.1.2.3"], ids=["a Unix socket", "a trusted proxy"])
def test_a_proxy_of_many_clients_is_asked_last(crowd: Crowd, address: str) -> None:
    crowd.come("p1", "p2", "p3", given=address)
    crowd.come("a1")
    assert crowd.order() == ["a1", "p1", "p2", "p3"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", True, id="an address"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="another"),
        pytest.param("192.0.2.1", "::ffff:192.0.2.1", True, id="seen by an IPv6 socket"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="a /64"),
        pytest.param("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", True, id="the ends of a /64"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="another /64"),
        pytest.param("fe80::1%eth0", "fe80::2%eth0", True, id="with a zone"),
        pytest.param("2001:db8:5::1", "2001:db8:5::2", False, id="trusted proxies one by one"),
    ],
)
def test_an_ipv6_client_is_its_64_prefix(crowd: Crowd, one: str, other: str, same: bool) -> None:
    crowd.come("a1", given=one)
    crowd.come("b1", given=other)
    assert (crowd.of["a1"] is crowd.of["b1"]) is same


@pytest.mark.parametrize(
    ("address", "exempt"),
    [("", True), ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("2001:db8:5::1", True), ("192.0.2.1", False)],
)
def test_unix_sockets_and_trusted_proxies_are_exempt(crowd: Crowd, address: str, exempt: bool) -> None:
    crowd.come("a1", given=address)
    peer = crowd.of["a1"]
    assert peer.exempt is exempt
    assert peer.client_budget.reserve(2**18 + 1) is exempt


def test_a_client_without_connections_is_forgotten(crowd: Crowd) -> None:
    crowd.come("a1", "a2", "b1")
    crowd.order()
    assert crowd.peers._by_key == {}
    assert crowd.peers._ranks == [{}]
