"""One answer on its way to the client: what is passed on, what is held up, and how a cut one is seen to be cut."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from support.playbook import LAST, OK, OPEN_END, STREAM, Wire, chunk, event, post, with_length

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# --- what is passed on --------------------------------------------------------------------------------------------


def test_each_part_of_a_stream_is_passed_on_the_moment_it_comes(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM)
    wire.expect_to_client(b"\r\n\r\n")
    for word in ("one", "two", "three"):
        upstream.sends(event(word))
        wire.expect_to_client(event(word))
    upstream.sends(LAST)
    wire.expect_to_client(LAST)
    assert wire.outcomes()[0]["status"] == 200


def test_the_first_part_goes_out_with_the_head_in_one_write(wire: Wire) -> None:
    upstream = wire.ask()
    before = wire.clock.writes
    upstream.sends(STREAM + event("one"))
    assert wire.clock.writes == before + 1


# --- answers that come in one turn of the event loop ------------------------------------------------------------------


class Turn:
    """Several requests in progress, each of a client of its own, whose answers come in one turn of the event loop."""

    def __init__(self, wire: Wire, requests: int, request: bytes | None = None) -> None:
        self._clock = wire.clock
        self.clients = [wire.connect(f"192.0.2.{number}") for number in range(requests)]
        self._upstreams = []
        for client in self.clients:
            client.sends(request or post())
            self._upstreams.append(wire.upstream)

    def answered(self, *answers: bytes, then: Callable[[], object] = lambda: None) -> list[bytes]:
        """Have the first requests answered, and `then` happen; return what their clients had within that turn."""

        def turn() -> list[bytes]:
            for upstream, data in zip(self._upstreams, answers, strict=False):
                upstream._protocol.data_received(data)
            then()
            return [client.taken for client in self.clients[: len(answers)]]

        return self._clock.do(turn)


def test_with_four_in_progress_whole_answers_are_written_at_the_end_of_the_turn(wire: Wire) -> None:
    turn = Turn(wire, 5)
    assert turn.answered(OK, OK) == [b"", b""]
    assert [client.taken.count(b"HTTP/1.1 200 OK") for client in turn.clients] == [1, 1, 0, 0, 0]


def test_with_three_they_are_written_at_once(wire: Wire) -> None:
    assert all(Turn(wire, 3).answered(OK, OK))


def test_a_stream_and_an_answer_in_pieces_are_never_held_up(wire: Wire) -> None:
    assert all(Turn(wire, 5).answered(STREAM + event("one"), with_length(b"{", length=2)))


def test_an_answer_that_waits_precedes_all_that_follows_on_its_connection(wire: Wire) -> None:
    turn = Turn(wire, 5, post() + b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n")
    turn.answered(with_length(b"one", "202 Accepted"))
    assert [part[:3] for part in turn.clients[0].taken.split(b"HTTP/1.1 ")[1:]] == [b"202", b"404"]


def test_a_connection_that_closes_behind_its_answer_closes_behind_it(wire: Wire) -> None:
    turn = Turn(wire, 5, post("base", "/v1/chat/completions", "Connection: close"))
    turn.answered(OK)
    client = turn.clients[0]
    assert client.taken.endswith(b"{}")
    assert (client.closed, client.aborted) == (True, False)


def test_a_client_that_half_closes_in_that_turn_gets_its_answer(wire: Wire) -> None:
    turn = Turn(wire, 5)
    client = turn.clients[0]
    client._arrived.append(None)
    turn.answered(OK, then=client._deliver)
    assert client.taken.endswith(b"{}")


def test_for_a_client_that_is_gone_in_that_turn_nothing_is_written(wire: Wire) -> None:
    turn = Turn(wire, 5)
    turn.answered(OK, then=turn.clients[0].abort)
    assert not turn.clients[0].taken


def test_a_stream_asks_a_proxy_in_front_not_to_hold_it_back(wire: Wire) -> None:
    wire.ask().sends(STREAM)
    assert b"X-Accel-Buffering: no" in wire.answer.head
    wire.upstream.sends(LAST)
    wire.ask().sends(OK)
    assert b"X-Accel-Buffering" not in wire.answer.head


@pytest.mark.parametrize(
    ("status", "own", "expected"),
    [
        ("503 Service Unavailable", (), [b"Retry-After: 1"]),
        ("503 Service Unavailable", ("Retry-After: 7",), [b"Retry-After: 7"]),
        ("500 Internal Server Error", (), []),
        ("500 Internal Server Error", ("Retry-After: 7",), [b"Retry-After: 7"]),
        ("502 Bad Gateway", (), []),
        ("429 Too Many Requests", (), []),
    ],
)
def test_an_overloaded_vllm_that_does_not_say_when_to_come_again_is_helped_out(
    wire: Wire, status: str, own: tuple[str, ...], expected: list[bytes]
) -> None:
    wire.ask().sends(with_length(b"{}", status, *own))
    assert [line for line in wire.answer.head.split(b"\r\n") if line.startswith(b"Retry-After")] == expected
    assert wire.answer.body == b"{}"
    assert wire.a.requests + wire.b.requests == 1, "vLLM has answered: nobody else is asked"


def test_a_compressed_answer_is_passed_on_as_it_is(wire: Wire) -> None:
    upstream = wire.ask("base", "/v1/chat/completions", "Accept-Encoding: deflate")
    assert b"\r\nAccept-Encoding: deflate\r\n" in upstream.written
    upstream.sends(with_length(b"\x78\x9c\x03\x00", "200 OK", "Content-Encoding: deflate", "Vary: Accept-Encoding"))
    assert b"\r\nContent-Encoding: deflate\r\nVary: Accept-Encoding\r\n" in wire.answer.head
    assert wire.answer.body == b"\x78\x9c\x03\x00"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_by_definition_ends_with_its_head(wire: Wire, status: str) -> None:
    wire.ask().sends(with_length(b"", status, length=5))
    assert wire.in_flight["metrics"] == 0
    assert len(wire.pooled) == 1


@pytest.mark.parametrize("head", [OPEN_END, OPEN_END.replace(b"HTTP/1.1", b"HTTP/1.0")], ids=["1.1", "1.0"])
def test_an_answer_without_a_length_is_framed_anew_so_that_its_end_is_seen(wire: Wire, head: bytes) -> None:
    upstream = wire.ask()
    upstream.sends(head + b"data: 1\n\n")
    upstream.ends()
    got = wire.answer
    assert (got.body, got.whole) == (b"data: 1\n\n", True)
    assert not wire.client.closed, "the client's connection lasts"


# --- clients of HTTP/1.0 ------------------------------------------------------------------------------------------


def test_a_client_of_http_1_0_gets_chunks_without_their_framing_and_the_end_of_the_connection(wire: Wire) -> None:
    wire.ask(version="1.0").sends(STREAM + event("one") + LAST)
    assert wire.answer.body == b'data: {"word": "one"}\n\n'
    assert b"chunked" not in wire.answer.head
    assert (wire.client.closed, wire.client.aborted) == (True, False)


@pytest.mark.parametrize(
    ("fields", "answer", "connection"),
    [
        pytest.param((), OK, None, id="1.0 closes"),
        pytest.param(("Connection: keep-alive",), OK, b"keep-alive", id="kept where its length is known"),
        pytest.param(("Connection: keep-alive",), CHUNKED + LAST, None, id="and closed where it is not"),
    ],
)
def test_a_client_of_http_1_0_keeps_its_connection_only_where_a_length_ends_the_answer(
    wire: Wire, fields: tuple[str, ...], answer: bytes, connection: bytes | None
) -> None:
    wire.ask("base", "/v1/chat/completions", *fields, version="1.0").sends(answer)
    found = [line for line in wire.answer.head.split(b"\r\n") if line.startswith(b"Connection")]
    assert found == ([] if connection is None else [b"Connection: " + connection])
    assert wire.client.closed is (connection is None)


def test_a_client_of_http_1_1_that_wants_to_close_is_told_so(wire: Wire) -> None:
    wire.ask("base", "/v1/chat/completions", "Connection: close").sends(OK)
    assert b"\r\nConnection: close\r\nx-vsr-selected-model: " in wire.answer.head
    assert wire.client.closed


@pytest.mark.parametrize(
    "head", [CHUNKED + chunk(b"half"), b"HTTP/1.1 200 OK\r\n\r\nhalf"], ids=["chunks", "no length"]
)
def test_a_cut_answer_to_http_1_0_ends_with_a_reset(wire: Wire, head: bytes) -> None:
    """A mere end of the connection would be a good one."""
    upstream = wire.ask(version="1.0")
    upstream.sends(head)
    upstream.resets()
    assert wire.client.aborted
    assert wire.outcomes()[0]["error"].endswith("broke off its answer")


def test_a_cut_answer_to_http_1_0_with_a_length_needs_no_reset(wire: Wire) -> None:
    upstream = wire.ask(version="1.0")
    upstream.sends(with_length(b"ha", length=4))
    upstream.ends()
    assert (wire.answer.body, wire.answer.whole) == (b"ha", False)
    assert (wire.client.closed, wire.client.aborted) == (True, False)


# --- what is cut --------------------------------------------------------------------------------------------------


def test_a_torn_event_is_ended_before_the_error(wire: Wire) -> None:
    upstream = wire.ask()
    torn = chunk(b'data: {"word": "one"}\n\n')
    upstream.sends(STREAM + torn[:12])
    upstream.ends()
    assert wire.answer.body.startswith(b'data: {"\n\ndata: {"error":')


@pytest.mark.parametrize("ending", ["ends", "resets"])
def test_an_answer_in_one_piece_is_cut_short_of_its_length(wire: Wire, ending: str) -> None:
    upstream = wire.ask()
    upstream.sends(with_length(b"half", length=8))
    getattr(upstream, ending)()
    assert (wire.answer.body, wire.answer.whole, wire.client.closed) == (b"half", False, True)


@pytest.mark.parametrize("ending", ["ends", "resets"])
@pytest.mark.parametrize("part", [b"", b"5\r\nab", b"2\r\nab\r\n", b"2\r\nab", b"zz\r\n"])
def test_chunks_that_end_short_are_seen_to_be_cut(wire: Wire, ending: str, part: bytes) -> None:
    upstream = wire.ask()
    upstream.sends(CHUNKED + chunk(b"["))
    upstream.sends(part)
    if not upstream.closing:
        getattr(upstream, ending)()
    assert (wire.answer.whole, wire.client.closed) == (False, True)
    assert b"[ab".startswith(wire.answer.body)
    assert wire.outcomes()[0]["error"]


def test_a_stream_with_a_length_never_looks_whole_for_the_error_in_it(wire: Wire) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 20\r\n\r\n"
    upstream = wire.ask()
    upstream.sends(head + b"data: 1\n\n")
    upstream.ends()
    assert len(wire.answer.body) == 19


@pytest.mark.parametrize(
    "status", ["300 Multiple Choices", "301 Moved", "302 Found", "307 Temporary Redirect", "399 Odd"]
)
def test_a_redirect_is_an_error_that_never_opens_the_breaker(wire: Wire, status: str) -> None:
    breaker = wire.almost_open()
    upstream = wire.ask()
    upstream.sends(with_length(b"", status, "Location: http://inside/", length=5))
    assert wire.error == (502, "upstream_error")
    assert b"inside" not in wire.client.taken
    assert upstream.aborted
    assert not breaker.opened


def test_a_stream_that_tells_of_its_own_error_is_passed_on_whole_and_counted(wire: Wire) -> None:
    error = chunk(b'data: {"error": {"message": "EngineDeadError"}}\n\n')
    wire.ask().sends(STREAM + event("one") + error + LAST)
    assert wire.answer.whole
    (outcome,) = wire.outcomes()
    assert (outcome["status"], outcome["error"]) == (200, "vLLM ended its stream with an error")
    counted = wire.generations.metrics.render().decode()
    assert 'pointsman_upstream_errors_total{code="in_stream",endpoint="a"} 1.0' in counted


# --- a client that is slow ----------------------------------------------------------------------------------------


def test_vllm_is_not_read_from_while_the_client_does_not_read(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    wire.client.pauses()
    upstream.sends(event("two"))
    assert not upstream.reading
    upstream.sends(event("three"))
    wire.client.reads_on()
    assert upstream.reading
    wire.expect_to_client(event("one") + event("two") + event("three"))


def test_a_client_that_does_not_read_holds_an_answer_up_from_its_first_byte(wire: Wire) -> None:
    wire.client.pauses()
    wire.ask().sends(STREAM)
    assert not wire.upstream.reading
    wire.client.reads_on()
    assert wire.upstream.reading


@pytest.mark.parametrize("count", [3, 20], ids=["as many as are read ahead", "more"])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_client_that_does_not_read_its_answer_is_given_no_other(wire: Wire, count: int, ahead: bool) -> None:
    """However small they are: a whole one is never paused, and any number of them may be asked for."""
    wire.client.pauses()
    upstream = wire.ask()
    if ahead:
        wire.client.sends(post() * count)
    upstream.sends(OK)
    if not ahead:
        wire.client.sends(post() * count)
    assert wire.a.requests == 1
    assert upstream.reading
    wire.client.reads_on()
    for number in range(count):
        assert wire.a.requests == 2 + number
        upstream.sends(OK)
    assert wire.client.taken.count(b"HTTP/1.1 200 OK") == 1 + count


def test_what_it_sent_meanwhile_is_refused_after_what_it_asked_before(wire: Wire) -> None:
    wire.client.pauses()
    wire.ask().sends(OK)
    wire.client.sends(post() + b"nonsense\r\n\r\n")
    wire.client.reads_on()
    wire.upstream.sends(OK)
    assert re.findall(rb"HTTP/1.1 (\d+)", wire.client.taken) == [b"200", b"200", b"400"]


def test_what_it_asked_meanwhile_is_answered_before_the_end_of_the_service(wire: Wire) -> None:
    wire.client.pauses()
    wire.ask().sends(OK)
    wire.client.sends(post())
    wire.stop(10.0)
    wire.client.reads_on()
    wire.upstream.sends(OK)
    assert wire.client.taken.count(b"HTTP/1.1 200 OK") == 2
    assert wire.client.lost


def test_what_waits_behind_an_answer_that_ends_its_connection_is_never_begun(wire: Wire) -> None:
    """As the service stops; the client reads that answer late."""
    wire.client.sends(post() * 3)
    wire.stop(10.0)
    wire.client.pauses()
    wire.upstream.sends(OK)
    wire.client.reads_on()
    assert wire.a.requests == 1
    assert wire.client.taken.count(b"HTTP/1.1 200 OK") == 1
    assert [outcome.get("left_in") for outcome in wire.outcomes()] == [None, "queue", "queue"]


@pytest.mark.parametrize("answer", [with_length(b"x" * 9), STREAM + event("one") + LAST], ids=["a length", "chunks"])
def test_an_answer_that_is_whole_leaves_no_connection_paused(wire: Wire, answer: bytes) -> None:
    """Whoever got it next would wait for an answer that nobody reads."""
    head, _, body = answer.partition(b"\r\n\r\n")
    upstream = wire.ask()
    upstream.sends(head + b"\r\n\r\n")
    wire.client.pauses()
    upstream.sends(body)
    assert wire.pooled == [upstream]
    wire.client.reads_on()
    assert wire.ask() is upstream
    upstream.sends(OK)
    assert wire.answer.whole


def test_a_client_that_leaves_while_it_is_slow_ends_the_request(wire: Wire) -> None:
    upstream = wire.ask()
    wire.client.pauses()
    upstream.sends(STREAM + event("one"))
    wire.client.resets()
    assert upstream.aborted
    assert wire.outcomes()[0]["left_in"] == "stream"


def test_a_pause_after_the_end_of_an_answer_reaches_no_other_request(wire: Wire) -> None:
    wire.ask().sends(OK)
    other = wire.connect()
    other.sends(post())
    wire.client.pauses()
    wire.client.sends(b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n")
    assert wire.upstream.reading


# --- what is measured ---------------------------------------------------------------------------------------------


def test_the_gaps_of_a_stream_are_measured_and_comments_are_none(wire: Wire) -> None:
    gaps: list[float] = []
    wire.generations.current.timeouts.gap = gaps.append
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    for part in (event("two"), chunk(b": alive\n\n"), event("three")):
        wire.clock.advance(0.5)
        upstream.sends(part)
    assert gaps == [0.5, 1.0]


def test_what_a_client_took_to_read_is_no_gap(wire: Wire) -> None:
    gaps: list[float] = []
    wire.generations.current.timeouts.gap = gaps.append
    upstream = wire.ask()
    wire.client.pauses()
    upstream.sends(STREAM + event("one"))
    wire.clock.advance(30.0)
    wire.client.reads_on()
    wire.clock.advance(0.5)
    upstream.sends(event("two"))
    assert gaps == [0.5]


def test_the_tokens_of_the_usage_are_in_the_outcome(wire: Wire) -> None:
    wire.ask().sends(with_length(b'{"usage": {"prompt_tokens": 7, "completion_tokens": 5}}'))
    (outcome,) = wire.outcomes()
    assert (outcome["prompt_tokens"], outcome["completion_tokens"]) == (7, 5)


def test_a_body_that_is_no_http_right_behind_its_head_is_a_cut_answer_and_not_a_silence(wire: Wire) -> None:
    """The head was still to be sent with the first of the body."""
    wire.ask().sends(STREAM + b"no size\r\n")
    got = wire.answer
    assert (got.status, got.whole, wire.client.closed) == (200, False, True)
    assert json.loads(got.body.partition(b"data: ")[2])["error"]["code"] == "upstream_broken"


def test_what_breaks_in_the_middle_is_counted_at_its_endpoint(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    upstream.resets()
    counted = wire.generations.metrics.render().decode()
    assert 'pointsman_upstream_errors_total{code="upstream_broken",endpoint="a"} 1.0' in counted


def test_a_stream_may_begin_with_its_own_error(wire: Wire) -> None:
    wire.ask().sends(STREAM + chunk(b'data: {"error": {"message": "EngineDeadError"}}\n\n') + LAST)
    assert wire.outcomes()[0]["error"] == "vLLM ended its stream with an error"


def test_head_and_first_byte_are_timed(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", wire.clock.time)
    upstream = wire.ask()
    wire.clock.advance(0.25)
    upstream.sends(STREAM + event("one"))
    assert b"upstream;dur=250.000" in wire.answer.head
    upstream.sends(LAST)
    assert wire.outcomes()[0]["ms"]["upstream"] == 250.0
    counted = wire.generations.metrics.render().decode()
    assert 'pointsman_first_byte_seconds_count{path="/v1/chat/completions"} 1.0' in counted
