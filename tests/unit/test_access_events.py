"""Requests with and without keys, event by event: who is let in, what reaches vLLM, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest

from pointsman.config.model import PathOptions
from pointsman.formats import ROUTED
from pointsman.observability.record import Record
from support.client_keys import bearer, line
from support.playbook import OK, Wire, playing, post, with_length
from support.toy_config import BASE

KEYS = (
    line("all")
    + line("ann", "legal-lora")
    + line("bob", "technical-lora", BASE)
    + line("own", default_model="legal-lora")
)
OPEN = {"/health", "/ready", "/ping"}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with playing(keys=KEYS) as made:
        yield made


def send(
    wire: Wire, key: str | None, body: Any, path: str = "/v1/chat/completions", kind: str = "application/json"
) -> None:
    """POST a body, JSON or bytes, on a connection of its own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    if key is not None:
        fields.append(bearer(key))
    wire.client = wire.connect()
    wire.client.sends("\r\n".join([*fields, "", ""]).encode() + data)


def get(wire: Wire, path: str, key: str | None) -> None:
    wire.client = wire.connect()
    fields = [f"GET {path} HTTP/1.1", "Host: here", *([] if key is None else [bearer(key)]), "", ""]
    wire.client.sends("\r\n".join(fields).encode())


def chat(model: str | None, text: str = "Why?") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def sent(wire: Wire) -> dict[str, Any]:
    """The body that vLLM got last."""
    body: dict[str, Any] = json.loads(wire.upstream.written.rpartition(b"\r\n\r\n")[2])
    return body


def asked(wire: Wire) -> int:
    return sum(
        connection.written.count(b" HTTP/1.1\r\n") for vllm in (wire.a, wire.b) for connection in vllm.connections
    )


def test_every_path_but_health_and_readiness_wants_a_key(wire: Wire) -> None:
    table = cast("Any", wire.listener.handler)._exact
    paths = [(method, path) for path, methods in table.items() for method in methods]
    paths += [
        ("GET", "/v1/models/legal-lora"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ]
    assert len(paths) > 40
    for method, path in paths:
        wire.client = wire.connect()
        wire.client.sends(f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        status = wire.answer.status
        assert (status == 200) is (path.rstrip("/") in OPEN), (method, path)
        assert status in {200, 401}
    assert asked(wire) == 0


def test_a_request_is_refused_before_its_body_is_there(wire: Wire) -> None:
    wire.client.sends(b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n")
    assert wire.error == (401, "invalid_api_key")
    assert b"WWW-Authenticate: Bearer\r\n" in wire.answer.head
    assert wire.buffered == 0


def test_a_refusal_has_the_form_of_the_paths_api(wire: Wire) -> None:
    for path, kind in (("/v1/messages", "authentication_error"), ("/v1/messages/count_tokens", "authentication_error")):
        send(wire, "nobody", chat("base"), path)
        assert json.loads(wire.answer.body)["type"] == "error"
        assert json.loads(wire.answer.body)["error"]["type"] == kind
    send(wire, "ann", chat("base"), "/v1/messages")
    assert json.loads(wire.answer.body)["error"]["type"] == "permission_error"
    send(wire, "nobody", chat("base"))
    error = json.loads(wire.answer.body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


def test_vllm_never_gets_a_clients_key(wire: Wire) -> None:
    for field in (bearer("all"), "X-Api-Key: all-secret"):
        wire.client = wire.connect()
        wire.ask(BASE, "/v1/chat/completions", field)
        assert b"secret" not in wire.upstream.written


def test_vllm_may_get_another_key_for_each_client(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("vllm-own\n")
    keys = line("ann") + line("bob", upstream_key_file=str(tmp_path / "own"))
    with playing(keys=keys) as wire:
        for name, got in (("ann", 0), ("bob", 1)):
            send(wire, name, chat(BASE))
            assert wire.upstream.written.count(b"Authorization: ") == got
            assert wire.upstream.written.count(b"Authorization: Bearer vllm-own\r\n") == got
            wire.upstream.sends(OK)
        (bob,) = [key for key in wire.generations.current.backend.keys or () if key.name == "bob"]
        assert "vllm-own" not in repr(bob)


def test_a_revoked_key_is_refused_on_an_open_connection_and_the_others_stay(wire: Wire) -> None:
    wire.ask(BASE, "/v1/chat/completions", bearer("all")).sends(OK)
    assert wire.answer.status == 200
    wire.keys = line("ann", "legal-lora")
    wire.reload()
    wire.client.sends(post(BASE, "/v1/chat/completions", bearer("all")))
    assert wire.error == (401, "invalid_api_key")
    send(wire, "ann", chat("legal-lora"))
    assert sent(wire)["model"] == "legal-lora"


def test_a_request_that_has_begun_keeps_its_key(wire: Wire) -> None:
    upstream = wire.ask(BASE, "/v1/chat/completions", bearer("all"))
    wire.keys = line("ann")
    wire.reload()
    upstream.sends(OK)
    assert wire.answer.status == 200


# --- the scope -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ROUTED, ids=lambda form: form.path)
def test_a_model_outside_of_the_scope_is_refused_in_every_format(wire: Wire, form: Any) -> None:
    for model in (BASE, "technical-lora", "not-there"):
        send(wire, "ann", {"model": model, "prompt": "x", "input": "x", "messages": []}, form.path)
        assert wire.answer.status == 403
    assert asked(wire) == 0
    send(wire, "ann", {"model": "legal-lora", "prompt": "x", "input": "x", "messages": []}, form.path)
    assert sent(wire)["model"] == "legal-lora"


def test_a_name_after_direct_is_the_model_behind_it(wire: Wire) -> None:
    for path in ("/v1/chat/completions", "/tokenize", "/v1/route"):
        for model in (f"direct:{BASE}", "direct:technical-lora", "direct:", "direct:direct:legal-lora"):
            send(wire, "ann", chat(model), path)
            assert wire.answer.status == 403
    assert asked(wire) == 0
    send(wire, "ann", chat("direct:legal-lora"))
    assert sent(wire)["model"] == "legal-lora"


COUNTED = "/v1/messages/count_tokens"
RELAYED = [
    "/v1/chat/completions/render",
    "/v1/completions/render",
    COUNTED,
    "/v1/embeddings",
    "/v1/rerank",
    "/pooling",
    "/tokenize",
    "/detokenize",
]


@pytest.mark.parametrize("path", RELAYED)
def test_so_is_it_on_every_relayed_path(wire: Wire, path: str) -> None:
    send(wire, "ann", chat(BASE), path)
    assert wire.answer.status == 403
    send(wire, "ann", chat("legal-lora"), path)
    assert sent(wire)["model"] == "legal-lora"


def test_so_is_it_on_a_path_that_the_config_adds(wire: Wire) -> None:
    wire.relay(paths=PathOptions(add=("POST /v2/embed",)))
    send(wire, "ann", chat(BASE), "/v2/embed")
    assert wire.error == (403, "model_not_allowed")
    assert asked(wire) == 0
    send(wire, "ann", chat("legal-lora"), "/v2/embed")
    assert sent(wire)["model"] == "legal-lora"


NAMELESS: tuple[Any, ...] = ({}, {"model": None}, {"model": ""}, {"model": 5}, {"model": ["legal-lora"]}, [], b"{")


@pytest.mark.parametrize(("path", "body"), [*product(RELAYED, NAMELESS)])
def test_vllms_own_choice_is_not_left_to_it(wire: Wire, path: str, body: Any) -> None:
    """Of a request without a model, vLLM would take its base model."""
    wire.begin()
    send(wire, "ann", body, path)
    assert wire.answer.status == 403
    assert asked(wire) == 0
    send(wire, "all", body, path)
    assert asked(wire) == 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *product(
            ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/chat/completions"),
            ("multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded"),
        ),
    ],
)
def test_a_model_that_cannot_be_read_is_outside(wire: Wire, path: str, kind: str) -> None:
    wire.begin()
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nlegal-lora\r\n--x--\r\n'
    send(wire, "ann", body, path, kind)
    assert wire.error == (403, "model_not_allowed")
    assert asked(wire) == 0
    send(wire, "all", body, path, kind)
    assert asked(wire) == 1


HIDDEN = [
    pytest.param('{"model": "legal-lora", "model": "%s"}', id="twice"),
    pytest.param('{"model": "legal-lora", "\\u006dodel": "%s"}', id="twice, once escaped"),
    pytest.param('{"\\u006dodel": "%s"}', id="an escaped key"),
    pytest.param('{"\\u006dodel": "legal-lora", "mod\\u0065l": "%s"}', id="escaped twice"),
    pytest.param(
        '{"a": {"model": "legal-lora"}, "model": "%s", "b": [{"model": "legal-lora"}]}', id="beside nested ones"
    ),
    pytest.param('{"x": "\\", \\"model\\": \\"legal-lora", "model": "%s"}', id="beside a string that looks like one"),
    pytest.param('{"n": NaN, "model": "%s"}', id="beside what only Python reads"),
    pytest.param('{"s": "\\ud800", "model": "%s"}', id="beside half a pair"),
    pytest.param('\n\t {"model"\n:\t"%s"}', id="in white space"),
]


@pytest.mark.parametrize("template", HIDDEN)
def test_no_way_of_writing_hides_a_model(wire: Wire, template: str) -> None:
    """vLLM reads the last of duplicate keys, decoded; so do we, in short bodies and in long ones."""
    for size in (1, 10_000, 700_000):
        body = f'{(template % BASE).removesuffix("}")}, "filler": "{"x" * size}"}}'
        assert json.loads(body)["model"] == BASE, "as vLLM reads it"
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32-le"):
            encoded = body.encode(encoding, "surrogatepass")
            for path in ("/v1/chat/completions", "/v1/responses", "/tokenize"):
                send(wire, "ann", encoded, path)
                assert wire.answer.status == 403
    assert asked(wire) == 0


def test_a_name_that_is_escaped_is_the_model_it_names(wire: Wire) -> None:
    send(wire, "ann", b'{"model": "legal\\u002dlora", "messages": []}')
    assert sent(wire)["model"] == "legal-lora"


def test_an_automatic_choice_stays_within_and_says_so(wire: Wire) -> None:
    """The classifier is sure of `technical`."""
    send(wire, "ann", chat("MoM"))
    assert sent(wire)["model"] == "legal-lora"
    wire.upstream.sends(OK)
    assert b"x-pointsman-reason: not_allowed\r\n" in wire.answer.head
    assert b"x-vsr-selected-model: legal-lora\r\n" in wire.answer.head
    send(wire, "bob", chat("MoM"))
    assert sent(wire)["model"] == "technical-lora"
    send(wire, "own", chat("MoM", ""))
    assert sent(wire)["model"] == "legal-lora", "its own default, for a text without an ask"


@pytest.mark.parametrize("path", [path for path in RELAYED if path != COUNTED])
def test_the_automatic_name_on_a_relayed_path_is_the_keys_default(wire: Wire, path: str) -> None:
    for key, model in (("ann", "legal-lora"), ("own", "legal-lora"), ("bob", BASE), ("all", BASE)):
        send(wire, key, chat("auto"), path)
        assert sent(wire)["model"] == model


def test_counting_the_tokens_of_a_routed_request_stays_within_the_keys_models(wire: Wire) -> None:
    for key, model in (("ann", "legal-lora"), ("bob", "technical-lora"), ("all", "technical-lora")):
        send(wire, key, chat("auto"), COUNTED)
        assert sent(wire)["model"] == model


UNKNOWN = b'{"error": {"message": "The model `%b` does not exist."}}'


def unknown(model: str) -> bytes:
    return with_length(UNKNOWN % model.encode(), "404 Not Found", "Content-Type: application/json")


def test_after_a_404_no_model_outside_of_the_scope_is_tried(wire: Wire) -> None:
    send(wire, "ann", chat("MoM"))
    for _ in range(4):  # at one endpoint and the other
        if wire.client.taken:
            break
        assert sent(wire)["model"] == "legal-lora"
        wire.upstream.sends(unknown("legal-lora"))
    assert wire.answer.status == 404
    assert asked(wire) <= 3
    send(wire, "bob", chat("MoM"))
    assert sent(wire)["model"] == "technical-lora"
    while sent(wire)["model"] != BASE:
        wire.upstream.sends(unknown("technical-lora"))
    wire.upstream.sends(OK)
    assert b"x-pointsman-reason: adapter_missing" in wire.answer.head


def test_a_conversation_that_began_with_another_scope_stays_within_the_new_one(wire: Wire) -> None:
    turns = [{"role": "user", "content": "Fix my Python"}]
    send(wire, "bob", {"model": "MoM", "messages": turns})
    assert sent(wire)["model"] == "technical-lora"
    wire.upstream.sends(OK)
    wire.keys = line("bob", "legal-lora")
    wire.reload()
    turns += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "thanks"}]
    send(wire, "bob", {"model": "MoM", "messages": turns})
    assert sent(wire)["model"] == "legal-lora"
    wire.upstream.sends(OK)
    assert b"x-pointsman-reason: not_allowed" in wire.answer.head


def test_the_dry_run_has_the_scope_of_its_key(wire: Wire) -> None:
    send(wire, "ann", chat("MoM"), "/v1/route")
    decision = json.loads(wire.answer.body)["decision"]
    assert (decision["model"], decision["reason"]) == ("legal-lora", "not_allowed")
    send(wire, "ann", chat(BASE), "/v1/route")
    assert wire.error == (403, "model_not_allowed")


def test_the_ask_that_a_client_with_a_key_states_is_read_and_stays_here(wire: Wire) -> None:
    stated = "X-Pointsman-Ask: What%20is%20a%20tort%3F"
    wire.client.sends(post("MoM", "/v1/route", stated, bearer("all")))
    ask = json.loads(wire.answer.body)["ask"]
    assert (ask["kind"], ask["text"]) == ("stated", "What is a tort?")
    wire.client.sends(post("MoM", "/v1/chat/completions", stated, bearer("all")))
    assert asked(wire) == 1
    assert b"tort" not in wire.upstream.written


def stored(response_id: str) -> bytes:
    return with_length(b'{"id": "%b", "object": "response"}' % response_id.encode())


def test_a_stored_response_belongs_to_the_name_of_a_key(wire: Wire) -> None:
    """A new secret for the same name keeps it; another key's client gets a 404."""
    send(wire, "all", {"model": BASE, "input": "x"}, "/v1/responses")
    wire.upstream.sends(stored("resp_1"))
    get(wire, "/v1/responses/resp_1", "own")
    assert wire.answer.status == 404
    wire.keys = line("all", sent="new-secret") + line("own")
    wire.reload()
    get(wire, "/v1/responses/resp_1", "new")
    wire.upstream.sends(OK)
    assert wire.answer.status == 200


def test_a_continued_response_stays_within_the_scope(wire: Wire) -> None:
    send(wire, "bob", {"model": "MoM", "input": "Fix my Python"}, "/v1/responses")
    assert sent(wire)["model"] == "technical-lora"
    wire.upstream.sends(stored("resp_2"))
    wire.keys = line("bob", "legal-lora")
    wire.reload()
    for model, wanted in (("MoM", "legal-lora"), (None, "legal-lora"), ("technical-lora", None)):
        send(wire, "bob", {"model": model, "input": "thanks", "previous_response_id": "resp_2"}, "/v1/responses")
        if wanted is None:
            assert wire.error == (403, "model_not_allowed")
        else:
            assert sent(wire)["model"] == wanted
            wire.upstream.sends(OK)


def test_a_key_sees_its_models_and_the_automatic_name(wire: Wire) -> None:
    cards = b'{"data": [{"id": "%b"}, {"id": "legal-lora"}, {"id": "technical-lora"}, {"id": "z"}]}' % BASE.encode()
    for key, models in (("ann", {"legal-lora"}), ("bob", {"technical-lora", BASE}), ("all", {"legal-lora", "z"})):
        get(wire, "/v1/models", key)
        for vllm in (wire.a, wire.b):
            vllm.connections[-1].sends(with_length(cards))
        found = {card["id"] for card in json.loads(wire.answer.body)["data"]}
        assert found >= models | {"MoM"}
        assert key == "all" or found == models | {"MoM"}


# --- what is told --------------------------------------------------------------------------------------------------


def test_the_log_and_the_metrics_name_the_key_and_never_its_secret(wire: Wire) -> None:
    send(wire, "all", chat(BASE))
    usage = b'{"usage": {"prompt_tokens": 7, "completion_tokens": 3}}'
    wire.upstream.sends(with_length(usage))
    send(wire, "ann", chat(BASE))
    send(wire, "nobody", chat(BASE))
    assert [(one.get("key"), one["status"]) for one in wire.outcomes()] == [("all", 200), ("ann", 403), (None, 401)]
    text = wire.generations.metrics.render().decode()
    assert 'pointsman_key_requests_total{key="all",status="200"} 1.0' in text
    assert 'pointsman_key_requests_total{key="ann",status="403"} 1.0' in text
    assert 'pointsman_key_tokens_total{key="all",kind="prompt"} 7.0' in text
    assert 'pointsman_key_tokens_total{key="all",kind="completion"} 3.0' in text
    assert wire.refusals == {"unauthorized": 1.0, "not_allowed": 1.0}
    for said in (text, wire.log.getvalue()):
        assert "secret" not in said
        assert "nobody" not in said


def test_at_most_1000_keys_have_metrics_of_their_own(wire: Wire) -> None:
    metrics = wire.generations.metrics
    for number in range(1010):
        metrics.count(Record(str(number), "/v1/models", key=f"key{number}", status=200))
    metrics.settle()
    labels = [labels[0] for labels, _ in metrics.key_requests.items()]
    assert len(labels) == 1001
    assert dict(metrics.key_requests.items())["other", "200"] == 10


def test_clients_are_told_apart_by_their_keys_and_nothing_else(wire: Wire) -> None:
    """How the key is sent makes no difference, nor does a credential beside it."""
    found = []
    for fields in (
        [bearer("all")],
        ["X-Api-Key: all-secret"],
        [bearer("all"), "Api-Key: x"],
        [bearer("own")],
    ):
        wire.client = wire.connect()
        wire.client.sends(post(BASE, "/v1/chat/completions", *fields))
        found.append(wire.upstream._protocol._receiver._exchange.client)
    assert found[0] == found[1] == found[2] != found[3]
