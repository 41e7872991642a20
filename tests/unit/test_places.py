"""A place among the requests in flight is for a request that is there: until its body is whole it has none."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from pointsman.config import paths
from pointsman.config.model import ServerOptions
from support.client_keys import bearer, line
from support.http_view import seen
from support.playbook import OK, Wire, playing, post
from support.virtual_loop import FakeTransport

WHOLE = post()
BODY = WHOLE.partition(b"\r\n\r\n")[2]
HERE = "192.0.2.1"


def head(*fields: str, path: str = "/v1/chat/completions", length: int = len(BODY)) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


def limited(**options: Any) -> ServerOptions:
    """Two bodies may arrive at a time, and four connections be open."""
    return ServerOptions(**cast("Any", {"max_connections": 4} | options))


def begins(wire: Wire, *fields: str, address: str = HERE, **options: Any) -> FakeTransport:
    """A client that sends a head."""
    client = wire.connect(address)
    client.sends(head(*fields, **options))
    return client


def arriving(wire: Wire) -> int:
    return len(wire.generations.arrivals)


def status(client: FakeTransport) -> int | None:
    got = seen(client.taken)
    return None if got is None else got.status


# --- a place ---------------------------------------------------------------------------------------------------------


def test_a_head_takes_nobodys_place() -> None:
    with playing(server=limited(max_in_flight=1)) as wire:
        waiting = [begins(wire), begins(wire)]
        assert (arriving(wire), wire.in_flight["metrics"]) == (2, 0)
        wire.ask()
        assert (arriving(wire), wire.in_flight["metrics"]) == (2, 1)
        wire.upstream.sends(OK)
        assert wire.answer.status == 200
        assert [status(client) for client in waiting] == [None, None]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_request_takes_its_place_with_the_last_byte_of_its_body(wire: Wire, framing: str) -> None:
    rest = BODY[-1:]
    if framing == "length":
        wire.client.sends(head() + BODY[:-1])
    else:
        chunked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        wire.client.sends(chunked + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b" % (len(BODY), BODY[:-1]))
        rest += b"\r\n0\r\n\r\n"
    assert (arriving(wire), wire.in_flight["metrics"]) == (1, 0)
    wire.client.sends(rest)
    assert (arriving(wire), wire.in_flight["metrics"]) == (0, 1)
    wire.upstream.sends(OK)
    assert wire.answer.status == 200


def test_where_all_places_are_taken_meanwhile_it_is_a_503() -> None:
    with playing(server=limited(max_in_flight=1)) as wire:
        late = begins(wire)
        wire.ask()
        late.sends(BODY)
        assert (status(late), arriving(wire), wire.refusals["in_flight"]) == (503, 0, 1)
        assert b"Retry-After: 1" in late.taken
        wire.upstream.sends(OK)
        late.sends(WHOLE)
        wire.upstream.sends(OK)
        assert late.taken.endswith(OK[-2:]), "its connection is used on"


def test_where_all_are_taken_already_it_is_one_before_its_body_comes() -> None:
    with playing(server=limited(max_in_flight=1)) as wire:
        wire.ask()
        assert status(begins(wire, "Expect: 100-continue")) == 503
        assert arriving(wire) == 0


@pytest.mark.parametrize("path", paths.ALL)
def test_no_path_waits_for_anything_before_its_body_is_whole(wire: Wire, path: paths.DataPath) -> None:
    target = path.path.format(id="x", name="y")
    wire.client.sends(f"{path.method} {target} HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n".encode())
    assert wire.in_flight["metrics"] == 0
    assert (arriving(wire) == 1) is (wire.client.taken == b"")
    assert wire.a.connections + wire.b.connections == []


@pytest.mark.parametrize("end", ["leaves", "late", "stops"])
def test_however_it_ends_it_counts_no_longer(end: str) -> None:
    with playing(server=limited(body_timeout_ms=1_000)) as wire:
        wire.client.sends(head())
        if end == "leaves":
            wire.client.resets()
        elif end == "late":
            wire.clock.advance(1.0)
        else:
            wire.stop()
        assert arriving(wire) == 0
        assert len(wire.outcomes()) == 1


def test_a_request_without_a_body_has_no_coding_of_it(wire: Wire) -> None:
    wire.client.sends(b"GET /v1/models HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\n\r\n")
    assert wire.in_flight["metrics"] == 1
    assert wire.client.taken == b""


# --- too many --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_where_too_many_arrive_the_client_with_the_most_loses_its_oldest(path: str) -> None:
    with playing(server=limited()) as wire:
        oldest, other = begins(wire, "X-Request-Id: oldest", path=path), begins(wire, path=path)
        new = begins(wire, address="192.0.2.2")
        assert [status(client) for client in (oldest, other, new)] == [408, None, None]
        got = seen(oldest.taken)
        assert got is not None
        error = json.loads(got.body)["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "request_timeout")
        assert "too many request bodies were arriving" in error["message"]
        assert (oldest.eof, wire.refusals) == (True, {"bodies": 1})
        (outcome,) = wire.outcomes()
        assert (outcome["status"], outcome["request_id"], outcome["path"]) == (408, "oldest", path)
        assert outcome["error"] == error["message"]
        new.sends(BODY)
        wire.upstream.sends(OK)
        assert status(new) == 200


def test_however_many_heads_come_from_however_many_clients_others_can_connect() -> None:
    with playing(server=limited()) as wire:
        for number in range(20):
            begins(wire, address=f"198.51.100.{number}")
        wire.client = wire.connect()
        wire.ask()
        wire.upstream.sends(OK)
        assert wire.answer.status == 200
        assert (arriving(wire), wire.refused) == (2, [])


def test_a_client_that_has_them_all_gets_a_429_before_its_body_is_read() -> None:
    with playing(server=limited()) as wire:
        begins(wire), begins(wire)
        refused = begins(wire, "Expect: 100-continue")
        got = seen(refused.taken)
        assert got is not None
        assert (got.status, json.loads(got.body)["error"]["code"]) == (429, "rate_limit_exceeded")
        assert b"Retry-After: 1" in got.head
        assert (arriving(wire), wire.refusals) == (2, {"client_bodies": 1})
        wire.ask()
        wire.upstream.sends(OK)
        assert wire.answer.status == 200, "what comes whole is answered all the same"


def test_a_client_is_its_key_wherever_it_comes_from() -> None:
    with playing(server=limited(), keys=line("ann") + line("bob")) as wire:
        first = begins(wire, bearer("ann"))
        begins(wire, bearer("ann"), address="192.0.2.2")
        assert status(begins(wire, bearer("ann"), address="192.0.2.3")) == 429
        assert status(begins(wire, bearer("bob"))) is None
        assert status(first) == 408


def test_bodies_that_arrive_count_towards_the_limits_of_their_client() -> None:
    with playing(server=limited(max_in_flight_per_client=1), keys=line("ann", max_in_flight=1)) as wire:
        begins(wire, bearer("ann"))
        assert status(begins(wire, bearer("ann"))) == 429
        assert status(begins(wire, bearer("ann"), address="192.0.2.2")) == 429
        assert wire.refusals == {"client": 1, "key_in_flight": 1}


def test_those_behind_a_proxy_are_the_clients_that_it_names() -> None:
    with playing(server=limited(trusted_proxies=("203.0.113.1",))) as wire:
        first = begins(wire, "X-Forwarded-For: 192.0.2.1", address="203.0.113.1")
        begins(wire, "X-Forwarded-For: 192.0.2.1", address="203.0.113.1")
        assert status(begins(wire, "X-Forwarded-For: 192.0.2.1", address="203.0.113.1")) == 429
        assert status(begins(wire, "X-Forwarded-For: 192.0.2.2", address="203.0.113.1")) is None
        assert status(first) == 408


def test_those_of_a_unix_socket_are_told_apart_by_credentials_and_have_no_bound_of_their_own() -> None:
    with playing(server=limited(max_connections=8)) as wire:
        clients = [begins(wire, bearer(name), address="") for name in ("ann", "bob", "bob", "bob")]
        new = begins(wire, bearer("cid"), address="")
        assert [status(client) for client in (*clients, new)] == [None, 408, None, None, None]
    with playing(server=limited()) as wire:
        nobodys = [begins(wire, address="") for _ in range(3)]
        assert [status(client) for client in nobodys] == [408, None, None]


def test_one_that_waits_for_room_in_memory_can_lose_it_and_leaves_it_to_others() -> None:
    small = {"max_buffered_bytes": 1_048_576, "max_body_bytes": 262_144, "max_connections": 12}
    with playing(server=limited(**small)) as wire:
        for number in range(3):
            begins(wire, address=f"198.51.100.{number}", length=250_000)
        oldest, next_one = [begins(wire, "Expect: 100-continue", length=200_000) for _ in range(2)]
        begins(wire)
        assert wire.generations.budget.waiting == 2
        begins(wire, address="192.0.2.2")
        assert (status(oldest), status(next_one), wire.generations.budget.waiting) == (408, None, 1)
        assert b"100 Continue" not in oldest.taken


def test_one_whose_last_byte_comes_at_the_same_time_is_not_cut_off() -> None:
    with playing(server=limited()) as wire:
        first, second, new = begins(wire), begins(wire), wire.connect("192.0.2.2")

        def at_once() -> None:
            first._protocol.data_received(BODY)
            new._protocol.data_received(head())

        wire.clock.do(at_once)
        wire.upstream.sends(OK)
        assert [status(client) for client in (first, second, new)] == [200, None, None]


def test_what_is_refused_for_another_reason_displaces_nothing() -> None:
    with playing(server=limited(max_body_bytes=30_000)) as wire:
        begins(wire), begins(wire)
        assert status(begins(wire, length=30_001, address="192.0.2.2")) == 413
        assert status(begins(wire, path="/v1/feedback", length=29_999, address="192.0.2.2")) == 413
        assert status(begins(wire, "Content-Encoding: gzip", address="192.0.2.2")) == 415
        assert arriving(wire) == 2


def test_a_reload_keeps_those_that_arrive_and_their_config() -> None:
    with playing(server=limited()) as wire:
        oldest = begins(wire)
        before = wire.generations.current
        wire.reload(threshold=0.5)
        begins(wire)
        begins(wire, address="192.0.2.2")
        assert (status(oldest), arriving(wire)) == (408, 2)
        assert list(wire.generations._in_use) == [wire.generations.current]
        assert before is not wire.generations.current
