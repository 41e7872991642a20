"""A request that was in flight at two deaths of an engine is refused to its client for a minute; no other one is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pointsman.proxy.client_identity import client_identity
from pointsman.proxy.quarantine import Quarantine, Suspect
from support.playbook import LAST, OK, STREAM, Wire, chunk, event, playing, post, with_length
from support.virtual_loop import FakeTransport

KILLER = Suspect("them", "one", b"kill")


class Ward:
    """A quarantine, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.quarantine = Quarantine(lambda: self.now)

    def dies(self, *suspects: Suspect, endpoint: str = "a", after: float = 0.5) -> None:
        """An endpoint fails a request and is found dead so much later; it is back after a minute."""
        self.now += 1
        self.quarantine.failed(endpoint, self.now - 0.5, suspects)
        self.now += after
        self.quarantine.dead(endpoint)
        self.now += 60

    def refuses(self, client: str = "them", body: bytes = b"kill") -> bool:
        return self.quarantine.refuses(client, body)


def test_the_second_death_refuses_it_for_a_minute() -> None:
    ward = Ward()
    ward.dies(KILLER)
    assert not ward.refuses()
    assert ward.quarantine.empty
    ward.dies(KILLER)
    ward.now -= 0.1
    assert ward.refuses()
    assert not ward.quarantine.empty
    ward.now += 0.1
    assert not ward.refuses()
    assert ward.quarantine.empty


@pytest.mark.parametrize("endpoints", ["aaa", "ab"], ids=["a third death for another minute", "of two endpoints"])
def test_each_further_death_refuses_it_whichever_endpoint_died(endpoints: str) -> None:
    ward = Ward()
    for endpoint in endpoints:
        ward.dies(KILLER, endpoint=endpoint)
    ward.now -= 1
    assert ward.refuses()


def test_one_that_was_in_flight_twice_at_one_death_has_seen_one_death() -> None:
    """Two clients behind one address may ask the same."""
    ward = Ward()
    ward.dies(KILLER, KILLER._replace(request_id="two"))
    assert ward.quarantine.empty


@pytest.mark.parametrize(("client", "body"), [("us", b"kill"), ("them", b"Kill"), ("them", b"kill "), ("", b"kill")])
def test_another_clients_or_another_body_is_not_refused(client: str, body: bytes) -> None:
    ward = Ward()
    ward.dies(KILLER)
    ward.dies(KILLER)
    ward.now -= 1
    assert not ward.refuses(client, body)


@pytest.mark.parametrize(("others", "refused"), [(2, True), (3, False)])
def test_among_more_than_three_in_flight_nobody_is_suspected(others: int, refused: bool) -> None:
    ward = Ward()
    for _ in range(2):
        ward.dies(KILLER, *(Suspect("us", "other", b"%d" % number) for number in range(others)))
    ward.now -= 1
    assert ward.refuses() is refused


@pytest.mark.parametrize(("seconds", "refused"), [(10.0, True), (10.1, False)])
def test_a_failure_that_is_followed_by_no_dead_endpoint_is_no_death(seconds: float, refused: bool) -> None:
    ward = Ward()
    for _ in range(2):
        ward.dies(KILLER, after=seconds)
    ward.now -= 1
    assert ward.refuses() is refused


def test_the_other_requests_that_break_at_one_death_are_no_death_of_their_own() -> None:
    ward = Ward()
    quarantine = ward.quarantine
    assert quarantine.failed("a", 990.0, [KILLER])
    assert not quarantine.failed("a", 991.0, [KILLER])
    assert quarantine.dead("a") == []
    assert not quarantine.failed("a", 992.0, [KILLER])
    assert quarantine.dead("a") is None


def test_what_breaks_at_an_endpoint_that_was_being_stopped_is_not_its_cause() -> None:
    """It did not listen any more, and its last requests were cut off in the end."""
    ward = Ward()
    quarantine = ward.quarantine
    for _ in range(3):
        sent = ward.now
        ward.now += 1
        assert quarantine.dead("a") is None
        assert not quarantine.failed("a", sent, [KILLER])
        ward.now += 1
        assert quarantine.dead("a") is None
    assert quarantine.empty


def test_an_earlier_failure_does_not_hide_the_one_that_kills() -> None:
    ward = Ward()
    for _ in range(2):
        ward.now += 100
        ward.quarantine.failed("a", ward.now - 1, [Suspect("us", "other", b"harmless")])
        ward.now += 5
        ward.quarantine.failed("a", ward.now - 1, [KILLER])
        ward.quarantine.dead("a")
    assert ward.refuses()
    assert not ward.refuses("us", b"harmless")


def test_deaths_of_more_than_an_hour_ago_do_not_count() -> None:
    ward = Ward()
    ward.dies(KILLER)
    ward.now += 3_600
    ward.dies(KILLER)
    assert ward.quarantine.empty


def test_no_body_is_kept_for_longer_than_a_death_can_be_confirmed() -> None:
    ward = Ward()
    ward.quarantine.failed("a", 999.0, [KILLER])
    ward.quarantine.forget("a")
    assert ward.quarantine._troubles
    ward.now += 10
    ward.quarantine.forget("a")
    assert not ward.quarantine._troubles


def test_memory_is_bounded() -> None:
    ward = Ward()
    for number in range(1_100):
        for _ in range(2):
            ward.quarantine.failed("a", ward.now, [Suspect("them", "", b"%d" % number)])
            ward.now += 0.001
            ward.quarantine.dead("a")
            ward.now += 0.001
    assert len(ward.quarantine._deaths) == 1_024
    assert len(ward.quarantine._refused) == 256


def test_where_256_are_refused_the_one_that_is_condemned_longest_is_let_go() -> None:
    """A further death makes one the latest again."""
    ward = Ward()

    def dies(number: int) -> None:
        ward.quarantine.failed("a", ward.now, [Suspect("them", "", b"%d" % number)])
        ward.now += 0.001
        ward.quarantine.dead("a")
        ward.now += 0.001

    for number in (*range(256), *range(256), 0, 256, 256):
        dies(number)
    assert ward.refuses(body=b"0")
    assert not ward.refuses(body=b"1")
    assert ward.refuses(body=b"256")


def test_a_body_of_more_than_4_mib_is_no_suspect() -> None:
    """To hash it would take the event loop too long."""
    for size, refused in ((4 * 2**20, True), (4 * 2**20 + 1, False)):
        ward = Ward()
        for _ in range(2):
            ward.dies(Suspect("them", "", bytes(size)))
        ward.now -= 1
        assert ward.refuses(body=bytes(size)) is refused


# --- between a client and a vLLM ----------------------------------------------------------------------------------

DEAD = chunk(b'data: {"error": {"message": "EngineDeadError"}}\n\n')


def closes(upstream: FakeTransport) -> None:
    upstream.ends()


def breaks_its_stream(upstream: FakeTransport) -> None:
    upstream.sends(STREAM + event("one"))
    upstream.resets()


def answers_500(upstream: FakeTransport) -> None:
    upstream.sends(with_length(b"{}", "500 Internal Server Error"))


def ends_its_stream_with_an_error(upstream: FakeTransport) -> None:
    upstream.sends(STREAM + DEAD + LAST)


def is_served(wire: Wire, request: bytes = post("killer")) -> None:
    """A vLLM answers it."""
    wire.client = wire.connect()
    wire.client.sends(request)
    wire.upstream.sends(OK)
    assert wire.answer.status == 200


DEATHS = [closes, breaks_its_stream, answers_500, ends_its_stream_with_an_error]


def all_close(*others: FakeTransport) -> Callable[[FakeTransport], None]:
    def close(upstream: FakeTransport) -> None:
        for one in (upstream, *others):
            one.ends()

    return close


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
def test_what_a_busy_endpoint_or_a_proxy_answers_is_no_death(wire: Wire, status: str) -> None:
    for _ in range(2):
        dies_of(wire, post("killer"), lambda upstream: upstream.sends(with_length(b"{}", status)))
    is_served(wire)


def dies_of(wire: Wire, request: bytes, fails: Callable[[FakeTransport], None]) -> None:
    """`a` fails a request, does not listen when the next one comes, and is there again."""
    wire.client = wire.connect()
    wire.client.sends(request)
    assert wire.upstream in wire.a.connections
    fails(wire.upstream)
    not_listening(wire)
    wire.a.accepts = True
    wire.clock.advance(0.001)


def not_listening(wire: Wire) -> None:
    """The next request finds out that `a` does not listen."""
    wire.clock.advance(3.5)
    wire.a.accepts = False
    wire.client = wire.connect()
    wire.client.sends(post("harmless"))
    wire.a.refuses()
    wire.upstream.sends(OK)


@pytest.mark.parametrize("fails", DEATHS)
def test_what_kills_an_engine_twice_is_refused_to_its_client_alone(
    wire: Wire, fails: Callable[[FakeTransport], None]
) -> None:
    key = "Authorization: Bearer theirs"
    killer = post("base", "/v1/completions", key)
    for _ in range(2):
        dies_of(wire, killer, fails)
    asked = wire.a.requests
    wire.client = wire.connect()
    wire.client.sends(killer)
    assert wire.error == (422, "query_of_death")
    assert wire.a.requests == asked
    for harmless in (post("base", "/v1/completions"), post("other", "/v1/completions", key)):
        is_served(wire, harmless)
    wire.clock.advance(60)
    is_served(wire, killer)


def test_it_is_counted_and_logged(wire: Wire) -> None:
    killer = post("base", "/v1/completions", "X-Request-Id: killer")
    for _ in range(2):
        dies_of(wire, killer, closes)
    wire.client.sends(killer)
    metrics = wire.generations.metrics.render().decode().splitlines()
    assert 'pointsman_engine_deaths_total{endpoint="a"} 2.0' in metrics
    assert 'pointsman_refused_total{reason="query_of_death"} 1.0' in metrics
    lines = [json.loads(line) for line in wire.log.getvalue().splitlines()]
    (logged,) = [line for line in lines if line["event"] == "query_of_death"]
    assert (logged["level"], logged["endpoint"], logged["request_id"]) == ("warning", "a", "killer")


def test_a_reused_connection_that_breaks_is_a_failure_as_well(wire: Wire) -> None:
    """Else the request would be sent again, and then it could not be told from one that never started."""
    for _ in range(2):
        wire.client = wire.connect()
        wire.ask("warm").sends(OK)
        reused = wire.ask("killer")
        wire.a.accepts = False
        reused.ends()
        wire.a.refuses()
        assert wire.error == (502, "upstream_unreachable")
        wire.a.accepts = True
        wire.clock.advance(1)
    wire.client.sends(post("killer"))
    assert wire.error == (422, "query_of_death")


def test_one_that_an_older_config_serves_is_not_overlooked(wire: Wire) -> None:
    for turn in range(2):
        there = []
        for number in range(3):
            wire.client = wire.connect()
            there.append(wire.ask(f"other-{turn}-{number}"))
        wire.reload(threshold=0.5 + turn / 10)
        dies_of(wire, post("killer"), all_close(*there))
    wire.client = wire.connect()
    wire.client.sends(post("killer"))
    assert wire.client.taken == b""


def test_a_client_that_leaves_and_a_service_that_stops_are_no_deaths(wire: Wire) -> None:
    for _ in range(2):
        wire.client = wire.connect()
        wire.ask("killer")
        wire.client.resets()
        not_listening(wire)
        wire.a.accepts = True
    is_served(wire)


def test_it_is_remembered_across_a_reload_and_can_be_switched_off(wire: Wire) -> None:
    for _ in range(2):
        dies_of(wire, post("killer"), closes)
        wire.reload(threshold=0.5)
    wire.client.sends(post("killer"))
    assert wire.error == (422, "query_of_death")
    wire.relay(quarantine=False)
    is_served(wire)


def test_switched_off_nothing_is_noted() -> None:
    with playing(quarantine=False) as wire:
        for _ in range(3):
            dies_of(wire, post("killer"), closes)
        is_served(wire)


def test_a_health_check_that_fails_confirms_a_death() -> None:
    with playing(health_interval_ms=2_000) as wire:
        died: list[str] = []
        balancer = wire.generations.current.balancer
        balancer.on_dead = died.append
        wire.clock.advance(5.0)  # in which `/health` answers at neither
        assert sorted(died) == ["a", "b"]
        assert all(state.reachable for state in wire.endpoints.values()), "one alone takes no endpoint down"


def test_clients_are_told_apart_by_their_credentials(wire: Wire) -> None:
    def identity(*fields: str) -> str:
        wire.client = wire.connect()
        wire.client.sends(post("base", "/v1/chat/completions", *fields))
        request = wire.client._protocol.current
        return client_identity(request.head)

    found = [
        identity("Authorization: Bearer a"),
        identity("Authorization: Bearer b"),
        identity("X-Api-Key: a"),
        identity("Authorization: Bearer a", "X-Api-Key: a"),
        identity(),
    ]
    assert len(set(found)) == 5
    assert found[0] == identity("Authorization: Bearer a", "User-Agent: other")
    assert found[-1] == ""
    assert "Bearer" not in "".join(found)
