"""Whose a request is: the client's address, directly and through reverse proxies."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pointsman.config.model import ServerOptions
from pointsman.server.client import Client, TrustedProxies
from support.http_view import seen
from support.playbook import OK, playing, post

PROXIES = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("2001:db8:5::/48")))
PROXY = PROXIES.directly("10.0.0.1")


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        pytest.param(b"192.0.2.7", ("192.0.2.7", "192.0.2.7"), id="one"),
        pytest.param(b"203.0.113.1, 192.0.2.7", ("192.0.2.7", "192.0.2.7"), id="what the client made up counts not"),
        pytest.param(b"192.0.2.7, 10.9.9.9,10.0.0.2", ("192.0.2.7", "192.0.2.7"), id="through several proxies"),
        pytest.param(b"192.0.2.7:4711", ("192.0.2.7", "192.0.2.7"), id="with a port"),
        pytest.param(b"[2001:db8::7]:4711", ("2001:db8::7", "2001:db8::/64"), id="IPv6 with a port"),
        pytest.param(b"2001:db8::7", ("2001:db8::7", "2001:db8::/64"), id="IPv6"),
        pytest.param(b"::ffff:192.0.2.7", ("192.0.2.7", "192.0.2.7"), id="IPv4 in IPv6"),
        pytest.param(b"10.1.1.1, 10.0.0.2", ("10.1.1.1", ""), id="trusted ones alone"),
        pytest.param(b"192.0.2.7, unknown", ("10.0.0.1", ""), id="unreadable"),
        pytest.param(b"192.0.2.7, unknown, 10.0.0.2", ("10.0.0.2", ""), id="unreadable before a proxy"),
        pytest.param(b"", ("10.0.0.1", ""), id="empty"),
        pytest.param(b"192.0.2.7,", ("10.0.0.1", ""), id="an empty entry"),
        pytest.param(b"\xff\xfe, '; drop", ("10.0.0.1", ""), id="rubbish"),
        pytest.param(None, ("10.0.0.1", ""), id="none"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxys(
    forwarded_for: bytes | None, client: tuple[str, str]
) -> None:
    assert PROXIES.client(PROXY, forwarded_for) == client


def test_of_a_long_list_the_last_sixteen_are_read() -> None:
    own = b", ".join([b"10.0.0.2"] * 15)
    assert PROXIES.client(PROXY, b"192.0.2.7, " + own).address == "192.0.2.7"
    assert PROXIES.client(PROXY, b"192.0.2.7, 10.0.0.3, " + own).address == "10.0.0.3"


@pytest.mark.parametrize(("given", "trusted"), [(("unix",), True), ((), False), (("127.0.0.1",), False)])
def test_peers_of_a_unix_socket_are_trusted_where_the_config_says_so(given: tuple[str, ...], trusted: bool) -> None:
    with playing(server=ServerOptions(trusted_proxies=given)) as wire:
        wire.client = wire.connect("")
        upstream = wire.ask("base", "/v1/chat/completions", "X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.7")
        assert (b"X-Forwarded-For: 192.0.2.7\r\n" in upstream.written) is trusted
        upstream.sends(OK)
        (line,) = wire.outcomes()
        assert line.get("client") == ("192.0.2.7" if trusted else None)


def test_an_address_in_a_network_is_trusted_and_another_is_not() -> None:
    assert [PROXIES.trusts(one) for one in ("10.255.0.1", "::ffff:10.0.0.1", "2001:db8:5::1", "192.0.2.1", "")] == [
        *(True, True, True),
        *(False, False),
    ]
    assert PROXIES.directly("fe80::1%eth0") == Client("fe80::1", "fe80::/64")


def test_the_log_has_the_clients_address_however_the_request_ends() -> None:
    with playing(server=ServerOptions(trusted_proxies=("203.0.113.0/24",))) as wire:
        for peer, client in (("192.0.2.1", "192.0.2.1"), ("203.0.113.5", "192.0.2.7")):
            wire.client = wire.connect(peer)
            forged = "X-Forwarded-For: 192.0.2.7"
            wire.ask("base", "/v1/chat/completions", forged).sends(OK)
            wire.client.sends(b"GET /nowhere HTTP/1.1\r\nHost: here\r\n" + forged.encode() + b"\r\n\r\n")
            lines = wire.outcomes()[-2:]
            assert [(line["status"], line["client"]) for line in lines] == [(200, client), (404, client)]


def test_requests_through_a_proxy_are_limited_by_the_client_that_it_names() -> None:
    options = ServerOptions(max_in_flight_per_client=1, trusted_proxies=("203.0.113.0/24",))
    with playing(server=options) as wire:
        clients = {name: wire.connect("203.0.113.5") for name in ("one", "again", "other", "unnamed", "unnamed too")}
        named = {"one": "192.0.2.7", "again": "192.0.2.7", "other": "192.0.2.8"}
        for name, client in clients.items():
            fields = [f"X-Forwarded-For: {named[name]}"] if name in named else []
            client.sends(post("base", "/v1/chat/completions", *fields))
        answers = {name: seen(client.taken, closed=False) for name, client in clients.items()}
        assert {name for name, answer in answers.items() if answer is not None} == {"again"}
        assert answers["again"] is not None
        assert answers["again"].status == 429
