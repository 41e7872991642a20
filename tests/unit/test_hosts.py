"""Which Host a request may have: a page that points a name of its own at us must not be taken for one of ours."""

from __future__ import annotations

import pytest

from pointsman.server.hosts import AllowedHosts

LOOPBACK = AllowedHosts(["127.0.0.1:9190"], ["gpu-1", "router.example"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9190",
        "LocalHost.:1",
        "127.0.0.1:9190",
        "[::1]:9190",
        "[0:0::1]",
        "gpu-1:9190",
        "Router.Example:443",
    ],
)
def test_our_own_names_are_known_with_any_port(host: str) -> None:
    """An ssh tunnel may have another port than the service."""
    assert LOOPBACK.known(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9190",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "localhost:9190:evil.example",
        "127.1",
        "2130706433",
        "[::1",
        "[::1]evil.example",
        "::1",
        "localhost:",
        "localhost evil.example",
        "localhost,evil.example",
        "10.0.0.5",
        "[fe80::1]",
        "\xe9",
        "",
    ],
)
def test_a_name_that_is_not_ours_is_unknown(host: str) -> None:
    assert not LOOPBACK.known(host.encode("latin-1"))


def test_an_empty_name_is_not_ours_wherever_it_is_asked_for() -> None:
    assert not LOOPBACK.known(b"", any_ip=True)
    assert not LOOPBACK.known_here(b"")


@pytest.mark.parametrize("host", ["10.0.0.5", "10.0.0.5:9190", "[fe80::1]:9190"])
def test_whatever_only_reads_is_reached_by_every_ip_address(host: str) -> None:
    assert LOOPBACK.known(host.encode(), any_ip=True)
    assert not LOOPBACK.known(b"evil.example", any_ip=True)


@pytest.mark.parametrize("address", ["0.0.0.0:9190", "[::]:9190"])
def test_a_wildcard_address_has_every_ip_address_and_no_name(address: str) -> None:
    hosts = AllowedHosts([address])
    assert hosts.known(b"10.0.0.5:9190")
    assert not hosts.known(b"evil.example:9190")


def test_the_names_of_the_addresses_are_known() -> None:
    hosts = AllowedHosts(["gpu-7.example:9190", "10.0.0.7:9190", "unix:/run/x.sock"])
    assert [hosts.known(one) for one in (b"gpu-7.example", b"10.0.0.7", b"10.0.0.8", b"/run/x.sock")] == [
        True,
        True,
        False,
        False,
    ]


def test_no_host_is_no_browser() -> None:
    """HTTP/1.0, as the checks of load balancers speak it."""
    assert LOOPBACK.known(None)
    assert LOOPBACK.known_here(None)


def test_a_name_that_only_begins_like_ours_is_not_ours() -> None:
    hosts = AllowedHosts(["127.0.0.1:80"])
    assert [hosts.known(name) for name in (b"localhost", b"localhostX", b"xlocalhost")] == [True, False, False]
