"""A websocket through the data port, event by event: who may open one, what crosses it, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.config.model import CorsOptions, PathOptions, ServerOptions
from support.client_keys import bearer, line
from support.playbook import OK, Wire, half_open, playing, post, with_length
from support.virtual_loop import FakeTransport

PAGE = "https://chat.example"
UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket")
HANDSHAKE = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
TAKEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
NOTHING = {"metrics": 0, "client": 0, "generations": 0}
ONE = {"metrics": 1, "client": 1, "generations": 1}
# A client of HTTP would be answered, were its bytes taken for a request.
REQUEST = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"


def offer(*fields: str, path: str = "/v1/realtime", method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: here", *fields, "", ""]).encode()


OFFER = offer(*UPGRADE, *HANDSHAKE)


def opened(wire: Wire, *fields: str) -> FakeTransport:
    """Open a websocket; returns the connection to vLLM."""
    wire.client.sends(offer(*UPGRADE, *HANDSHAKE, *fields))
    wire.upstream.sends(TAKEN)
    assert wire.client.taken.startswith(b"HTTP/1.1 101 ")
    return wire.upstream


def outcome(wire: Wire) -> dict[str, Any]:
    """The one line of the log; nothing is counted or watched any more."""
    assert (wire.in_flight, wire.at_endpoints, wire.timed) == (NOTHING, 0, 0)
    (line,) = wire.outcomes()
    return line


# --- the handshake -------------------------------------------------------------------------------------------------


def test_vllm_gets_the_handshake_and_the_client_its_answer(wire: Wire) -> None:
    wire.client.sends(offer(*UPGRADE, *HANDSHAKE, "X-Request-Id: r-1", path="/v1/realtime?intent=transcription"))
    got = wire.upstream.written
    assert got.startswith(b"GET /v1/realtime?intent=transcription HTTP/1.1\r\n")
    for field in ("Connection: Upgrade", "Upgrade: websocket", *HANDSHAKE, "X-Request-Id: r-1"):
        assert got.count(f"\r\n{field}\r\n".encode()) == 1, field
    assert b"keep-alive" not in got
    assert b"ontent-Length" not in got
    wire.upstream.sends(TAKEN)
    head, _, rest = wire.client.taken.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert {"Connection: Upgrade", "Upgrade: websocket", "X-Request-Id: r-1"} <= set(lines)
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert "Connection: close" not in lines
    assert rest == b""


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(offer(), id="none"),
        pytest.param(offer("Upgrade: websocket"), id="not in Connection"),
        pytest.param(offer("Connection: Upgrade"), id="no protocol"),
        pytest.param(offer("Connection: Upgrade", "Upgrade: h2c"), id="another protocol"),
        pytest.param(offer("Connection: Upgrade", "Upgrade: websocket, h2c"), id="a choice"),
        pytest.param(offer(*UPGRADE, version="1.0"), id="HTTP/1.0"),
        pytest.param(offer(*UPGRADE, "Content-Length: 2") + b"{}", id="a body"),
        pytest.param(offer(*UPGRADE, "Transfer-Encoding: chunked") + b"0\r\n\r\n", id="a chunked body"),
    ],
)
def test_what_is_no_offer_of_a_websocket_alone_is_told_so_and_reaches_nobody(wire: Wire, request_: bytes) -> None:
    wire.client.sends(request_)
    assert wire.error == (426, "upgrade_required")
    assert b"\r\nUpgrade: websocket\r\n" in wire.answer.head + b"\r\n"
    assert wire.a.requests == 0
    assert outcome(wire)["status"] == 426


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/version", "/v1/responses/resp_1", "/metrics", "/v1/realtime/x"]
)
def test_no_other_path_takes_an_offer(wire: Wire, path: str) -> None:
    wire.client.sends(offer(*UPGRADE, *HANDSHAKE, path=path) + REQUEST)
    for connection in wire.a.connections:
        assert b"upgrade" not in connection.written.lower()
        connection.sends(with_length(b'{"data":[]}'))
    assert b" 101 " not in wire.client.taken
    assert wire.client.taken.count(b"HTTP/1.1 ") == 1, "what follows is no request"
    assert wire.client.eof


def test_a_101_that_nobody_asked_for_is_an_error(wire: Wire) -> None:
    wire.ask().sends(TAKEN)
    assert wire.error == (502, "upstream_broken")


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_101_with_a_body_is_an_error(wire: Wire, field: bytes) -> None:
    wire.client.sends(OFFER)
    wire.upstream.sends(TAKEN.replace(b"Upgrade: websocket", field))
    assert wire.error == (502, "upstream_error")
    assert wire.upstream.aborted


def test_the_path_can_be_removed(wire: Wire) -> None:
    wire.relay(paths=PathOptions(remove=("GET /v1/realtime",)))
    wire.client.sends(OFFER)
    assert wire.error == (404, "not_found")


@pytest.mark.parametrize("status", ["404 Not Found", "400 Bad Request", "403 Forbidden"])
def test_a_refusal_of_vllms_is_relayed_and_the_connection_ends(wire: Wire, status: str) -> None:
    wire.client.sends(OFFER + REQUEST)
    wire.upstream.sends(with_length(b"no such path", status))
    assert (wire.answer.status, wire.answer.body) == (int(status[:3]), b"no such path")
    assert b"\r\nConnection: close" in wire.answer.head
    assert wire.client.eof
    assert wire.buffered == 0
    assert REQUEST not in wire.upstream.written
    assert outcome(wire)["status"] == int(status[:3])


def test_an_idle_connection_that_vllm_had_closed_is_made_anew(wire: Wire) -> None:
    old = wire.ask()
    old.sends(OK)
    wire.client.sends(OFFER + b"early")
    assert wire.upstream is old
    old.ends()
    assert wire.upstream is not old
    wire.upstream.sends(TAKEN)
    assert wire.upstream.written.endswith(b"\r\n\r\nearly")


# --- who may -------------------------------------------------------------------------------------------------------

KEYS = (
    line("all")
    + line("ann", "legal-lora")
    + line("tokens", tokens_per_minute=1000)
    + line("often", requests_per_minute=2, max_in_flight=1)
)


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(None, 401, "invalid_api_key"), ("ann", 403, "model_not_allowed"), ("tokens", 403, "usage_unknown")],
)
def test_a_key_is_needed_for_which_nothing_must_be_read(key: str | None, status: int, code: str) -> None:
    """Neither the models nor the tokens of what is said in a websocket are known."""
    with playing(keys=KEYS) as wire:
        wire.client.sends(offer(*UPGRADE, *HANDSHAKE, *([] if key is None else [bearer(key)])))
        assert wire.error == (status, code)
        assert wire.a.requests == 0
        assert outcome(wire)["status"] == status


def test_a_websocket_counts_for_its_key_while_it_is_open() -> None:
    with playing(keys=KEYS) as wire:
        upstream = opened(wire, bearer("often"))
        assert b"\r\nAuthorization" not in upstream.written
        wire.client = wire.connect()
        wire.client.sends(offer(*UPGRADE, *HANDSHAKE, bearer("often")))
        assert wire.error == (429, "rate_limit_exceeded")
        upstream.ends()
        wire.client = wire.connect()
        assert opened(wire, bearer("often")) is not upstream


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ((), None, 101),
        ((), PAGE, 403),
        ((PAGE,), PAGE, 101),
        ((PAGE,), None, 101),
        ((PAGE,), "https://evil.example", 403),
        ((PAGE,), "null", 403),
        (("*",), "https://evil.example", 101),
    ],
)
def test_a_page_may_open_one_only_if_its_origin_may_call(
    origins: tuple[str, ...], origin: str | None, status: int
) -> None:
    """A browser lets every page open websockets, and tells only where the page is from."""
    with playing(cors=CorsOptions(origins=origins)) as wire:
        fields = [] if origin is None else [f"Origin: {origin}"]
        if status == 101:
            opened(wire, *fields)
            return
        wire.client.sends(offer(*UPGRADE, *HANDSHAKE, *fields))
        assert wire.error == (403, "cross_origin")
        assert wire.a.requests == 0


def test_it_is_one_of_the_requests_in_flight() -> None:
    with playing(server=ServerOptions(max_in_flight=1)) as wire:
        opened(wire)
        wire.client = wire.connect()
        wire.client.sends(OFFER)
        assert wire.error == (503, "overloaded")


# --- what crosses --------------------------------------------------------------------------------------------------


def test_bytes_cross_both_ways_as_they_come(wire: Wire) -> None:
    upstream = opened(wire)
    sent, taken = upstream.written, wire.client.taken
    for number in range(3):
        up, down = REQUEST + bytes([number, 0x82, 13, 10]), OK + bytes([number, 0x81])
        wire.client.sends(up)
        sent += up
        assert upstream.written == sent
        upstream.sends(down)
        taken += down
        assert wire.client.taken == taken
        assert (wire.in_flight, wire.outcomes()) == (ONE, [])


def test_what_vllm_sends_behind_its_101_crosses(wire: Wire) -> None:
    wire.client.sends(OFFER)
    wire.upstream.sends(TAKEN + b"\x81\x02hi")
    wire.expect_to_client(b"\r\n\r\n\x81\x02hi")


@pytest.mark.parametrize("at_once", [True, False])
def test_what_the_client_sends_too_early_waits_for_the_101(wire: Wire, at_once: bool) -> None:
    """It is no request, and nothing of it reaches a vLLM that has not switched."""
    if at_once:
        wire.client.sends(OFFER + REQUEST)
        assert wire.buffered == len(REQUEST)
    else:
        wire.client.sends(OFFER)
        wire.client.sends(REQUEST)
    wire.client.sends(b"more")
    assert not wire.client.reading
    upstream = wire.upstream
    assert upstream.written.count(b"\r\n\r\n") == 1
    upstream.sends(TAKEN)
    assert upstream.written.endswith(b"\r\n\r\n" + REQUEST + b"more")
    assert wire.client.taken.count(b"HTTP/1.1 ") == 1
    assert wire.buffered == 0


def test_an_offer_behind_another_request_waits_for_its_turn(wire: Wire) -> None:
    wire.client.sends(post() + OFFER + b"early")
    first = wire.upstream
    assert b"websocket" not in first.written
    first.sends(OK)
    wire.upstream.sends(TAKEN)
    assert wire.upstream.written.endswith(b"\r\n\r\nearly")


def test_what_comes_too_early_counts_in_the_budget_and_more_is_refused() -> None:
    with playing(server=ServerOptions(max_body_bytes=65_536, max_buffered_bytes=2 * 65_536)) as wire:
        wire.client.sends(OFFER + bytes(65_536))
        assert wire.error == (503, "overloaded")
        assert (wire.buffered, wire.a.requests) == (0, 0)


@pytest.mark.parametrize("slow", ["client", "vLLM"])
def test_a_side_that_does_not_read_stops_the_other(wire: Wire, slow: str) -> None:
    upstream = opened(wire)
    reader, writer = (wire.client, upstream) if slow == "client" else (upstream, wire.client)
    reader.pauses()
    writer.sends(b"one")
    assert not writer.reading
    writer.sends(b"two")
    assert not reader.written.endswith(b"two")
    reader.reads_on()
    assert writer.reading
    assert reader.taken.endswith(b"onetwo")


def test_one_side_that_does_not_read_can_still_send(wire: Wire) -> None:
    upstream = opened(wire)
    upstream.pauses()
    wire.client.sends(b"one")
    upstream.sends(b"down")
    wire.expect_to_client(b"down")


# --- the end -------------------------------------------------------------------------------------------------------


def test_where_vllm_ends_it_the_client_gets_the_rest_and_the_end(wire: Wire) -> None:
    upstream = opened(wire)
    wire.client.pauses()
    upstream.sends(b"last words")
    wire.client.reads_on()
    upstream.ends()
    wire.expect_to_client(b"last words")
    assert wire.client.eof
    line = outcome(wire)
    assert (line["status"], line["path"], "error" in line, "left_in" in line) == (101, "/v1/realtime", False, False)
    assert wire.pooled == []


@pytest.mark.parametrize("leaving", ["ends", "resets"])
def test_where_the_client_ends_it_vllm_gets_the_rest_and_the_end_at_once(wire: Wire, leaving: str) -> None:
    upstream = opened(wire)
    wire.client.sends(b"last words")
    getattr(wire.client, leaving)()
    assert upstream.taken.endswith(b"last words")
    assert upstream.lost
    line = outcome(wire)
    assert (line["status"], "error" in line, "left_in" in line) == (101, False, False)


def test_a_vllm_that_does_not_read_the_last_words_is_left_after_a_tenth_of_a_second(wire: Wire) -> None:
    upstream = opened(wire)
    upstream.pauses()
    wire.client.sends(b"last words")
    wire.clock.do(wire.client.abort)
    assert outcome(wire)["status"] == 101
    assert not upstream.lost
    wire.clock.advance(0.1)
    assert upstream.lost


def test_a_vllm_that_breaks_off_ends_it_and_is_named(wire: Wire) -> None:
    upstream = opened(wire)
    upstream.resets()
    assert wire.client.eof
    line = outcome(wire)
    assert (line["status"], line["error"]) == (101, "endpoint a broke off its answer")
    assert failures(wire) == {("a", "upstream_broken"): 1}


def failures(wire: Wire) -> dict[tuple[str, ...], float]:
    """Of endpoints, in the metrics."""
    return dict(wire.generations.metrics.upstream_errors._values)


def test_a_client_that_leaves_before_vllm_has_answered_takes_its_offer_back(wire: Wire) -> None:
    wire.client.sends(OFFER)
    wire.clock.do(wire.client.abort)
    assert wire.upstream.aborted
    line = outcome(wire)
    assert (line["status"], line["left_in"]) == (499, "head")


def test_the_time_in_which_the_client_does_not_read_is_no_silence(wire: Wire) -> None:
    upstream = opened(wire)
    wire.client.pauses()
    upstream.sends(b"one")
    wire.clock.advance(5.0)
    assert not upstream.lost
    wire.client.reads_on()
    wire.clock.advance(1.5)
    assert not upstream.lost
    wire.clock.advance(1.0)
    assert upstream.lost


@pytest.mark.parametrize("sender", ["client", "vLLM"])
def test_it_ends_where_nothing_crosses_for_the_idle_time(wire: Wire, sender: str) -> None:
    """Two seconds here. What either side sends begins them anew, and the endpoint has not failed."""
    upstream = opened(wire)
    for _ in range(3):
        wire.clock.advance(1.5)
        (upstream if sender == "vLLM" else wire.client).sends(b"ping")
    wire.clock.advance(1.9)
    assert not upstream.lost
    wire.clock.advance(0.4)
    assert upstream.lost
    assert wire.client.eof
    assert "relay.idle_timeout_ms" in outcome(wire)["error"]
    assert failures(wire) == {}


def test_it_ends_where_a_client_does_not_read_for_the_send_timeout() -> None:
    with playing(server=ServerOptions(send_timeout_ms=1_000, max_in_flight_per_client=64)) as wire:
        upstream = opened(wire)
        wire.client.pauses()
        upstream.sends(b"one")
        wire.clock.advance(1.0)
        assert wire.client.aborted
        assert upstream.lost
        line = outcome(wire)
        assert (line["status"], line["left_in"]) == (499, "send")


def test_it_ends_after_the_total_time() -> None:
    with playing(total_timeout_ms=3_000) as wire:
        upstream = opened(wire)
        for _ in range(4):
            wire.clock.advance(0.9)
            wire.client.sends(b"ping")
        assert upstream.lost
        assert "relay.total_timeout_ms" in outcome(wire)["error"]


def test_a_vllm_that_does_not_answer_the_offer_is_an_error_in_time(wire: Wire) -> None:
    wire.client.sends(OFFER + b"early")
    wire.clock.advance(4.3)
    assert wire.error == (504, "upstream_timeout")
    assert wire.buffered == 0


def test_a_stop_waits_for_it_and_then_ends_it(wire: Wire) -> None:
    upstream = opened(wire)
    drained = wire.stop(5.0)
    for part in (b"still", b"here"):
        wire.clock.advance(1.9)
        wire.client.sends(part)
        assert upstream.written.endswith(part)
    wire.clock.advance(1.3)
    assert upstream.lost
    assert wire.client.eof
    line = outcome(wire)
    assert (line["status"], line["error"]) == (101, "the service is shutting down")
    wire.clock.advance(2.0)
    assert drained.done()


def test_a_reload_leaves_it_open(wire: Wire) -> None:
    upstream = opened(wire)
    wire.reload(threshold=0.5)
    wire.client.sends(b"still")
    assert upstream.written.endswith(b"still")
    assert len(wire.generations._in_use) == 2
    upstream.ends()
    assert len(wire.generations._in_use) == 1


def test_an_endpoint_on_trial_has_passed_with_its_101() -> None:
    """Not with the end, which may be hours away."""
    with half_open() as (wire, breaker):
        upstream = opened(wire)
        assert upstream in wire.a.connections
        assert not breaker.opened
