"""A stored response belongs to the client that created it, and its requests go to the endpoint that has it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.proxy.response_id import ResponseIdReader
from pointsman.proxy.stored_responses import StoredResponse, StoredResponses
from support.playbook import OK, OPEN, STREAM, Wire, chunk, with_length
from support.virtual_loop import FakeTransport

PATH = "/v1/responses"
MINE, THEIRS = "Authorization: Bearer mine", "Authorization: Bearer theirs"
DAY = 86_400.0


class Shelf:
    """The table, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1e9
        self.responses = StoredResponses(lambda: self.now)

    def add(self, client: str, *ids: str) -> None:
        for each in ids:
            self.responses.add(each, client, "a")

    def has(self, client: str, response_id: str) -> bool:
        return self.responses.find(response_id, client) is not None


def test_it_is_its_clients_alone() -> None:
    shelf = Shelf()
    shelf.responses.add("r", "me", "b")
    entry = shelf.responses.find("r", "me")
    assert entry is not None
    assert entry.endpoint == "b"
    assert not shelf.has("them", "r")
    assert not shelf.has("", "r")
    assert not shelf.has("me", "other")


@pytest.mark.parametrize(("seconds", "known"), [(30 * DAY, True), (30 * DAY + 1, False)])
def test_it_is_known_for_thirty_days(seconds: float, known: bool) -> None:
    shelf = Shelf()
    shelf.add("me", "r")
    shelf.now += seconds
    assert shelf.has("me", "r") is known
    shelf.add("me", "new")
    assert len(shelf.responses) == 1 + known


def test_at_most_ten_thousand_are_known_and_the_oldest_is_forgotten() -> None:
    shelf = Shelf()
    for number in range(8):
        shelf.add(f"client {number}", *(f"{number}-{each}" for each in range(1_250)))
    shelf.add("me", "r")
    assert len(shelf.responses) == 10_000
    assert not shelf.has("client 0", "0-0")
    assert shelf.has("client 0", "0-1")
    assert shelf.has("me", "r")


def test_a_client_with_many_displaces_its_own() -> None:
    shelf = Shelf()
    shelf.add("me", "r")
    shelf.add("greedy", *map(str, range(20_000)))
    assert len(shelf.responses) == 10_000
    assert shelf.has("me", "r")
    assert not shelf.has("greedy", "10000")
    assert shelf.has("greedy", "10001")


def test_a_client_displaces_its_own_from_a_quarter_on() -> None:
    shelf = Shelf()
    shelf.add("first", "oldest", "old")
    shelf.add("me", *map(str, range(2_500)))
    for number in range(7_498):
        shelf.add(f"client {number}", f"r{number}")
    shelf.add("me", "2501st")
    assert (shelf.has("first", "oldest"), shelf.has("me", "0")) == (False, True)
    shelf.add("me", "2502nd")
    assert (shelf.has("first", "old"), shelf.has("me", "0")) == (True, False)


def test_nothing_is_left_of_a_client_whose_responses_are_forgotten() -> None:
    shelf = Shelf()
    for number in range(12_000):
        shelf.add(str(number), f"r{number}")
    assert len(shelf.responses._of) == 10_000


def test_an_id_that_is_stored_again_is_the_latest_clients() -> None:
    """As at vLLM, which forgets the former response."""
    shelf = Shelf()
    shelf.add("me", "r")
    shelf.add("them", "r")
    assert (shelf.has("me", "r"), shelf.has("them", "r")) == (False, True)
    assert len(shelf.responses) == 1


def test_what_is_restored_expires_as_before() -> None:
    shelf = Shelf()
    ages = {"old": 31, "r": 29}
    shelf.responses.restore(StoredResponse(each, "me", "a", shelf.now - days * DAY) for each, days in ages.items())
    assert (shelf.has("me", "old"), shelf.has("me", "r")) == (False, True)
    shelf.now += 2 * DAY
    assert not shelf.has("me", "r")


# --- through the data port ----------------------------------------------------------------------------------------


def answer(response_id: str = "resp_1") -> bytes:
    return json.dumps({"id": response_id, "object": "response", "output": [{"id": "msg_9"}]}).encode()


def created(response_id: str = "resp_1") -> bytes:
    event = {"response": {"id": response_id, "object": "response"}, "sequence_number": 0, "type": "response.created"}
    return b"event: response.created\ndata: " + json.dumps(event).encode() + b"\n\n"


def request(method: str, path: str, body: Any, *fields: str) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    length = [] if body is None else [f"Content-Length: {len(data)}", "Content-Type: application/json"]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: here", *length, *fields, "", ""]).encode() + data


def ask(wire: Wire, *fields: str, model: str = "base", **body: Any) -> FakeTransport:
    """Ask for a response, and return the connection to the vLLM that got the request."""
    wire.client.sends(request("POST", PATH, {"model": model, "input": "Why?"} | body, *fields))
    return wire.upstream


def store(wire: Wire, *fields: str, data: bytes | None = None, **body: Any) -> None:
    """Have a response stored."""
    ask(wire, *fields, **body).sends(with_length(answer()) if data is None else data)


def about(wire: Wire, *fields: str, response_id: str = "resp_1") -> int:
    """Ask for a response in each way there is; returns how often vLLM was asked."""
    before = wire.a.requests + wire.b.requests
    for sent in (
        request("GET", f"{PATH}/{response_id}?stream=false", None, *fields),
        request("POST", f"{PATH}/{response_id}/cancel", {}, *fields),
        request("POST", PATH, {"model": "base", "input": "And?", "previous_response_id": response_id}, *fields),
        request("POST", PATH, {"model": "MoM", "input": "And?", "previous_response_id": response_id}, *fields),
    ):
        asked = wire.a.requests + wire.b.requests
        wire.client.sends(sent)
        if wire.a.requests + wire.b.requests == asked:
            assert wire.answer.status == 404
            assert json.loads(wire.answer.body) == {
                "error": {
                    "message": f"Response with id '{response_id}' not found.",
                    "type": "invalid_request_error",
                    "param": "response_id",
                    "code": 404,
                }
            }
        else:
            wire.upstream.sends(OK)
    return wire.a.requests + wire.b.requests - before


def test_its_client_fetches_cancels_and_continues_it(wire: Wire) -> None:
    store(wire, MINE)
    assert about(wire, MINE) == 4


@pytest.mark.parametrize("fields", [(THEIRS,), (), (MINE, "X-Api-Key: other")])
def test_anybody_else_gets_the_404_of_vllm_for_an_unknown_id(wire: Wire, fields: tuple[str, ...]) -> None:
    store(wire, MINE)
    assert about(wire, *fields) == 0
    metrics = wire.generations.metrics
    assert metrics.registry.get_sample_value("pointsman_refused_total", {"reason": "unknown_response"}) == 4
    assert {line["status"] for line in wire.outcomes()[1:]} == {404}


def test_clients_without_credentials_are_one_client(wire: Wire) -> None:
    store(wire)
    assert about(wire) == 4
    assert about(wire, MINE) == 0


def test_an_id_that_nobody_stored_here_is_unknown(wire: Wire) -> None:
    """It may be of another router, or of the time before this one kept record."""
    assert about(wire, MINE) == 0


IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = [
    pytest.param(STREAM, chunk(created()), created(), id="a stream"),
    pytest.param(IN_CHUNKS, chunk(answer()), answer(), id="an answer in chunks"),
    pytest.param(OPEN, answer(), answer(), id="an answer that ends with its connection"),
    pytest.param(with_length(b"", length=len(answer())), answer(), answer(), id="an answer with its length"),
]


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(("head", "body", "content"), ANSWERS)
def test_it_is_its_clients_as_soon_as_its_id_is_there(
    wire: Wire, head: bytes, body: bytes, content: bytes, step: int
) -> None:
    """However it is framed and cut: the rest may take minutes, and a client can cancel at once."""
    upstream = ask(wire, MINE, stream=True)
    upstream.sends(head)
    ends = body.index(b'resp_1"') + len(b'resp_1"')
    for at in range(0, ends, step):
        assert len(wire.generations.stored) == 0
        upstream.sends(body[at : min(ends, at + step)])
    assert len(wire.generations.stored) == 1
    upstream.sends(body[ends:])
    assert wire.answer.body == content
    wire.client = wire.connect()
    assert about(wire, MINE) == 4


@pytest.mark.parametrize(
    ("asked", "data"),
    [
        pytest.param({"store": False}, with_length(answer()), id="it says not to store it"),
        pytest.param({"store": None}, with_length(answer()), id="it says so with null"),
        pytest.param({}, with_length(answer(), "500 Oops"), id="vLLM failed"),
        pytest.param({}, with_length(b'{"output": [{"id": "resp_1"}]}'), id="the id is of something else"),
        pytest.param({}, with_length(b" " * 3_000 + answer()), id="the id is not at the beginning"),
    ],
)
def test_nothing_is_remembered_where_nothing_was_stored(wire: Wire, asked: dict[str, Any], data: bytes) -> None:
    store(wire, MINE, data=data, **asked)
    assert len(wire.generations.stored) == 0
    assert wire.answer.body == data.partition(b"\r\n\r\n")[2]
    assert about(wire, MINE) == 0


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([chunk(created())], id="the id was there"),
        pytest.param([chunk(b": nothing to see here\n\n")] * 40, id="it was not in the first KiB"),
    ],
)
def test_the_rest_of_an_answer_is_not_looked_at(wire: Wire, parts: list[bytes]) -> None:
    upstream = ask(wire, MINE, stream=True)
    upstream.sends(STREAM)
    assert isinstance(upstream._protocol._receiver, ResponseIdReader)
    for part in parts:
        upstream.sends(part)
    assert not isinstance(upstream._protocol._receiver, ResponseIdReader)


def test_an_id_is_looked_for_in_the_first_kib(wire: Wire) -> None:
    upstream = ask(wire, MINE)
    upstream.sends(with_length(b"", length=3_000))
    upstream.sends(b" " * 1_023)
    assert isinstance(upstream._protocol._receiver, ResponseIdReader)
    upstream.sends(b" ")
    assert not isinstance(upstream._protocol._receiver, ResponseIdReader)


def test_other_answers_are_not_looked_at(wire: Wire) -> None:
    wire.ask().sends(with_length(answer()))
    assert len(wire.generations.stored) == 0


# --- the endpoint that has it -------------------------------------------------------------------------------------


def stored_at_b(wire: Wire) -> None:
    """The other endpoint, which is asked first, did not listen."""
    wire.a.accepts = False
    wire.client.sends(request("POST", PATH, {"model": "base", "input": "Why?"}, MINE))
    wire.a.refuses()
    wire.upstream.sends(with_length(answer()))
    wire.a.accepts = True


def test_its_requests_go_to_the_endpoint_that_has_it(wire: Wire) -> None:
    stored_at_b(wire)
    asked = wire.a.requests
    assert about(wire, MINE) == 4
    assert (wire.a.requests - asked, wire.b.requests) == (0, 5)


def test_they_go_nowhere_else_where_that_one_does_not_listen(wire: Wire) -> None:
    stored_at_b(wire)
    asked = wire.a.requests
    wire.b.accepts = False
    for connection in wire.b.connections:
        connection.resets()
    for model in ("base", "MoM"):
        wire.client.sends(request("POST", PATH, {"model": model, "input": "?", "previous_response_id": "resp_1"}, MINE))
        wire.b.refuses()
        assert wire.error == (502, "upstream_unreachable")
        assert not wire.b.waiting
    assert wire.a.requests == asked


def test_nor_is_that_one_asked_for_another_model(wire: Wire) -> None:
    """As it would be where another endpoint could take the request."""
    stored_at_b(wire)
    wire.generations.current.poller.refused("a", "technical-lora")
    wire.b.accepts = False
    for connection in wire.b.connections:
        connection.resets()
    wire.client.sends(request("POST", PATH, {"model": "MoM", "input": "?", "previous_response_id": "resp_1"}, MINE))
    wire.b.refuses()
    assert wire.error == (502, "upstream_unreachable")


def test_a_continuation_is_routed_among_the_models_of_that_endpoint(wire: Wire) -> None:
    """There, the adapter is not served: the base model answers."""
    stored_at_b(wire)
    wire.generations.current.poller.refused("b", "technical-lora")
    connection = ask(wire, MINE, model="MoM", previous_response_id="resp_1")
    assert connection in wire.b.connections
    assert b'"llama2-7b"' in connection.written
    connection.sends(with_length(answer("resp_2")))
    assert b"x-pointsman-reason: adapter_missing" in wire.answer.head


def test_so_is_one_whose_adapter_that_endpoint_turns_out_not_to_know(wire: Wire) -> None:
    stored_at_b(wire)
    connection = ask(wire, MINE, model="MoM", previous_response_id="resp_1")
    assert b'"technical-lora"' in connection.written
    gone = b'{"error": {"message": "The model `technical-lora` does not exist.", "code": 404}}'
    asked = wire.a.requests
    connection.sends(with_length(gone, "404 Not Found"))
    assert wire.a.requests == asked
    assert wire.upstream in wire.b.connections
    assert b'"llama2-7b"' in wire.upstream.written.rpartition(b"POST")[2]


def test_one_that_names_a_model_gets_the_404_of_that_endpoint(wire: Wire) -> None:
    stored_at_b(wire)
    gone = with_length(b'{"error": {"message": "The model `base` does not exist.", "code": 404}}', "404 Not Found")
    asked = wire.a.requests
    ask(wire, MINE, previous_response_id="resp_1").sends(gone)
    assert wire.answer.status == 404
    assert wire.a.requests == asked


def test_a_response_of_an_endpoint_that_is_not_configured_any_more_is_unknown(wire: Wire) -> None:
    stored_at_b(wire)
    wire.clock.do(wire.generations.swap, wire.elsewhere())
    assert about(wire, MINE) == 0


def test_a_reload_forgets_nothing(wire: Wire) -> None:
    store(wire, MINE)
    wire.reload(threshold=0.3)
    assert about(wire, MINE) == 4


# --- the id is vLLM's choice --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2 * 2**20])
@pytest.mark.parametrize("fields", [(), ("Content-Type: text/plain",)])
@pytest.mark.parametrize("name", ["request_id", "request\\u005fid"])
def test_a_client_may_not_choose_the_id_of_a_stored_response(
    wire: Wire, name: str, fields: tuple[str, ...], length: int
) -> None:
    """It could choose another client's, whose response vLLM would replace."""
    body = json.dumps({"model": "base", "input": "?" * length, "request_id": "resp_1"}).replace(
        '"request_id"', f'"{name}"'
    )
    lines = ["Host: here", "Content-Type: application/json", *fields, f"Content-Length: {len(body)}"]
    head = "\r\n".join([f"POST {PATH} HTTP/1.1", *lines])
    wire.client.sends(f"{head}\r\n\r\n{body}".encode())
    assert wire.error == (400, "unsupported_parameter")
    assert json.loads(wire.answer.body)["error"]["param"] == "request_id"
    assert wire.a.requests == 0


@pytest.mark.parametrize("body", [{"request_id": "mine", "store": False}, {"request_id": None}])
def test_it_may_where_nothing_is_stored(wire: Wire, body: dict[str, Any]) -> None:
    ask(wire, MINE, **body)
    assert wire.a.requests == 1


# --- the decision that it continues -------------------------------------------------------------------------------


def thanks(wire: Wire, *fields: str) -> bytes:
    """Continue a response with an ask that says nothing, and return the head of the answer."""
    body = {"model": "MoM", "input": "thanks", "previous_response_id": "resp_1"}
    wire.client.sends(request("POST", PATH, body, *fields))
    wire.upstream.sends(with_length(answer("resp_2")))
    return wire.answer.head


def test_a_continuation_keeps_the_decision_of_the_response(wire: Wire) -> None:
    store(wire, MINE, model="MoM")
    assert b"x-pointsman-reason: sticky" in thanks(wire, MINE)


def test_one_of_a_model_that_the_client_chose_is_decided_by_itself(wire: Wire) -> None:
    store(wire, MINE)
    assert b"x-pointsman-reason: classified" in thanks(wire, MINE)


def test_that_of_another_client_or_session_is_not_found(wire: Wire) -> None:
    """The credentials and the session's header reach the table of conversations."""

    def sent(*fields: str, said: tuple[str, ...] = ("Why?", "So.", "thanks")) -> bytes:
        messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(said)]
        wire.client.sends(request("POST", "/v1/chat/completions", {"model": "MoM", "messages": messages}, *fields))
        wire.upstream.sends(OK)
        return wire.answer.head

    sent(MINE, "X-Session-Id: s", said=("Why?",))
    assert b"x-pointsman-reason: sticky" in sent(MINE, "X-Session-Id: s")
    assert b"x-pointsman-reason: classified" in sent(THEIRS, "X-Session-Id: s")
    assert b"x-pointsman-reason: classified" in sent(MINE, "X-Session-Id: t")


def test_a_dry_run_looks_up_the_conversations_of_its_client(wire: Wire) -> None:
    asked = {"role": "user", "content": "Why?"}
    wire.client.sends(request("POST", "/v1/chat/completions", {"model": "MoM", "messages": [asked]}, MINE))
    wire.upstream.sends(OK)
    said = [asked, {"role": "assistant", "content": "So."}, {"role": "user", "content": "thanks"}]
    for client, reason in ((MINE, b"sticky"), (THEIRS, b"classified")):
        wire.client.sends(request("POST", "/v1/route", {"model": "MoM", "messages": said}, client))
        assert b"x-pointsman-reason: %b" % reason in wire.answer.head


def test_a_dry_run_continues_the_responses_of_its_client_and_no_others(wire: Wire) -> None:
    store(wire, MINE, model="MoM", input="Why does it rain?")
    body = {"model": "MoM", "input": "thanks", "previous_response_id": "resp_1"}
    for client, status in ((MINE, 200), (THEIRS, 404)):
        wire.client.sends(request("POST", "/v1/route", body, client))
        assert wire.answer.status == status
        if status == 200:
            answer = json.loads(wire.answer.body)
            assert (answer["decision"]["reason"], answer["decision"]["endpoints"]) == ("sticky", ["a"])
            assert answer["conversation"]["outcome"] == "kept"
        else:
            assert b"'resp_1' not found" in wire.answer.body
