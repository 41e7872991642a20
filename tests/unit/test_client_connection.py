"""One client's connection: its requests in their order, what is no request, and when it is closed."""

from __future__ import annotations

import re

import pytest

from support.playbook import OK, STREAM, Wire, event, post, with_length

GET = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
HEAD = post().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
BODY = post().partition(b"\r\n\r\n")[2]


def statuses(wire: Wire) -> list[int]:
    """Of all that the client has got."""
    return [int(part.split(b" ")[0]) for part in wire.client.taken.split(b"HTTP/1.1 ")[1:]]


def over(wire: Wire) -> bool:
    """The client was told that nothing more will come."""
    return wire.client.eof or wire.client.closing


# --- one after another ---------------------------------------------------------------------------------------------


def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in post():
        wire.client.sends(bytes([byte]))
    wire.upstream.sends(OK)
    assert wire.answer.body == b"{}"


def test_requests_sent_ahead_are_answered_in_their_order(wire: Wire) -> None:
    wire.client.sends(post("first") + GET + post("third"))
    assert wire.a.requests == 1
    wire.upstream.sends(with_length(b"one", "202 Accepted"))
    assert statuses(wire) == [202, 200]
    assert b'"third"' in wire.upstream.written
    wire.upstream.sends(with_length(b"three", "203 Other"))
    assert statuses(wire) == [202, 200, 203]


def test_an_empty_line_between_requests_is_skipped(wire: Wire) -> None:
    wire.client.sends(GET + b"\r\n" + GET)
    assert statuses(wire) == [200, 200]


@pytest.mark.parametrize("ahead", [8, 9, 1000])
def test_a_client_that_is_eight_requests_ahead_is_not_read_from(wire: Wire, ahead: int) -> None:
    wire.client.sends(post() + GET * (ahead - 1))
    assert wire.client.reading is (ahead == 8)
    wire.upstream.sends(OK)
    assert statuses(wire) == [200] * ahead
    assert wire.client.reading


def test_nor_is_one_whose_requests_came_one_by_one(wire: Wire) -> None:
    wire.client.sends(post())
    for _ in range(7):
        wire.client.sends(GET)
    assert wire.client.reading
    wire.client.sends(GET)
    assert not wire.client.reading
    wire.upstream.sends(OK)
    assert statuses(wire) == [200] * 9


def test_after_eight_answers_in_a_row_other_connections_have_their_turn(wire: Wire) -> None:
    """As errors are, which take no turn of the event loop."""
    counts: list[int] = []

    def both() -> None:
        wire.clock.call_soon(lambda: counts.append(len(statuses(wire))))
        wire.client._protocol.data_received(post("", "/nowhere") * 20)
        assert not wire.client.reading

    wire.clock.do(both)
    assert counts == [8]
    assert statuses(wire) == [404] * 20
    assert wire.client.reading


def test_what_came_behind_a_request_that_closes_is_never_read(wire: Wire) -> None:
    wire.client.sends(post("base", "/v1/chat/completions", "Connection: close") + GET)
    wire.upstream.sends(OK)
    assert statuses(wire) == [200]
    assert over(wire)
    wire.client.resets()
    assert len(wire.outcomes()) == 1, "it is no request that was left"


def test_nothing_follows_an_offer_of_another_protocol(wire: Wire) -> None:
    """It is not HTTP any more, whoever takes the offer."""
    wire.client.sends(post("base", "/v1/chat/completions", "Upgrade: websocket") + GET)
    wire.upstream.sends(OK)
    assert statuses(wire) == [200]
    assert over(wire)


# --- a client that leaves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", ["resets", "ends"])
@pytest.mark.parametrize(
    ("part", "phase"), [(b"", "head"), (STREAM, "stream"), (STREAM + event("one"), "stream")], ids=str
)
def test_a_client_that_leaves_ends_its_request_at_once(wire: Wire, leaving: str, part: bytes, phase: str) -> None:
    """One that only has nothing more to send looks the same, and every second of it is a GPU's."""
    upstream = wire.ask()
    if part:
        upstream.sends(part)
    getattr(wire.client, leaving)()
    assert upstream.aborted
    (outcome,) = wire.outcomes()
    assert (outcome["status"], outcome["left_in"]) == (499, phase)


def test_one_that_leaves_while_its_body_comes_in_has_asked_nobody(wire: Wire) -> None:
    wire.client.sends(HEAD + BODY[:5])
    assert wire.in_flight == {"metrics": 0, "client": 1, "generations": 1}
    wire.client.resets()
    assert wire.in_flight == {"metrics": 0, "client": 0, "generations": 0}
    assert wire.a.connections == []
    assert wire.outcomes()[0]["left_in"] == "body"


def test_what_it_had_sent_ahead_is_recorded_and_never_forwarded(wire: Wire) -> None:
    wire.client.sends(post() * 3)
    wire.client.resets()
    assert wire.a.requests == 1
    assert [outcome["left_in"] for outcome in wire.outcomes()] == ["head", "queue", "queue"]
    assert 'pointsman_clients_left_total{phase="queue"} 2.0' in wire.generations.metrics.render().decode()
    assert wire.in_flight["metrics"] == 0


def test_one_that_has_its_answers_may_close_its_sending_side(wire: Wire) -> None:
    wire.ask().sends(OK)
    wire.client.ends()
    assert (wire.client.closed, wire.client.aborted) == (True, False)


def test_bytes_for_a_client_that_is_gone_are_dropped(wire: Wire) -> None:
    """Between the end of its transport and the call that tells of it, vLLM's next bytes may come."""
    upstream = wire.ask()
    upstream.sends(STREAM)

    def both() -> None:
        wire.client.closing = True
        upstream._protocol.data_received(event("one"))

    wire.clock.do(both)
    wire.client.closing = False
    wire.client.resets()
    assert upstream.aborted


# --- a client that is idle -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked_before", "seconds"), [(False, 10.0), (True, 75.0)])
def test_an_idle_connection_is_kept_for_75_seconds_and_one_that_has_asked_nothing_for_10(
    wire: Wire, asked_before: bool, seconds: float
) -> None:
    """vllm bench keeps one for 60, and the client is to close first."""
    if asked_before:
        wire.clock.advance(5.0)
        wire.client.sends(GET)
    wire.clock.advance(seconds - 0.25)
    assert not over(wire)
    wire.clock.advance(0.25)
    assert wire.client.closed


def test_an_answer_may_take_longer_than_an_idle_connection_is_kept(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM)
    for _ in range(200):
        upstream.sends(event("one"))
        wire.clock.advance(1.0)
    assert not over(wire)
    upstream.sends(b"0\r\n\r\n")
    wire.clock.advance(74.75)
    assert not over(wire)
    wire.clock.advance(0.25)
    assert wire.client.closed


# --- what is no request --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x16\x03\x01\x02\x00", id="TLS"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: here\r\n\r\n", id="two spaces"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 65_536, id="a head without an end"),
    ],
)
def test_what_is_no_request_is_a_400_and_nothing_after_it_is_read(wire: Wire, data: bytes) -> None:
    wire.client.sends(data)
    assert wire.error == (400, "malformed_request")
    wire.client.sends(GET)
    assert statuses(wire) == [400]
    assert wire.refused == ["malformed"]
    assert wire.outcomes() == []


def test_it_is_refused_in_its_turn(wire: Wire) -> None:
    wire.client.sends(post() + b"GET / HTTP/1.1\r\n\r\n" + GET)
    assert wire.client.taken == b""
    wire.upstream.sends(OK)
    assert statuses(wire) == [200, 400]
    assert over(wire)


def test_what_comes_while_it_waits_for_its_turn_is_never_served(wire: Wire) -> None:
    wire.ask()
    wire.client.sends(b"no request\r\n\r\n")
    wire.client.sends(GET)
    wire.upstream.sends(OK)
    assert statuses(wire) == [200, 400]
    assert wire.refused == ["malformed"]


def test_a_body_whose_framing_makes_no_sense_is_a_400(wire: Wire) -> None:
    head = post().partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"
    wire.client.sends(head + b"zz\r\n" + GET)
    assert wire.error == (400, "malformed_request")
    assert over(wire)
    assert wire.a.connections == []


def test_what_comes_behind_it_is_not_looked_at(wire: Wire) -> None:
    """Also before the refusal is written."""
    bad = b"no size\r\n"

    def both() -> None:
        chunked = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", HEAD)
        wire.client._protocol.data_received(chunked)
        wire.client._protocol.data_received(bad)
        wire.client._protocol.data_received(bad)

    wire.clock.do(both)
    assert wire.refused == ["malformed"]
    assert wire.error == (400, "malformed_request")


def test_a_client_that_asks_first_is_told_to_go_on(wire: Wire) -> None:
    wire.client.sends(HEAD[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert wire.client.taken == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.client.sends(BODY)
    wire.upstream.sends(OK)
    assert wire.answer.status == 200
    assert b"Expect" not in wire.upstream.written
