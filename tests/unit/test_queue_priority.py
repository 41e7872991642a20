"""The place in vLLM's queue is the operator's: a client's choice is refused, and what a key or a path has is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pydantic
import pytest

from pointsman.config.model import AccessOptions, PathOptions
from pointsman.errors import RequestError
from pointsman.routing import queue_fields
from pointsman.routing.body import read_fields
from pointsman.routing.steps import finish
from support.client_keys import bearer, line
from support.playbook import OK, Wire, playing
from support.toy_config import BASE

CHAT = "/v1/chat/completions"
ROUTED = (CHAT, "/v1/completions", "/v1/responses", "/v1/messages")
RELAYED = (
    "/v1/chat/completions/batch",
    "/v1/embeddings",
    "/v1/score",
    "/v1/rerank",
    "/pooling",
    "/classify",
    "/generative_scoring",
    "/v1/responses/render",
)


@contextmanager
def served(*allowed: str, priorities: dict[str, int] | None = None, keys: bytes | None = None) -> Iterator[Wire]:
    """A service whose vLLMs order their queue by priority."""
    relay: Any = {"scheduling_policy": "priority", "paths": PathOptions(priorities=priorities or {})}
    with playing(keys=keys, **relay) as wire:
        access = AccessOptions(allowed_fields=cast("Any", allowed))
        wire._options = replace(wire._options, access=access)
        wire.reload()
        yield wire


def send(wire: Wire, body: dict[str, Any] | bytes, path: str = CHAT, *lines: str) -> None:
    """POST JSON on a connection of its own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", *lines]
    wire.client = wire.connect()
    wire.client.sends("\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode() + data)


def refused(wire: Wire) -> dict[str, Any]:
    """The error of a request that vLLM did not get."""
    assert wire.answer.status == 400
    assert not [one for one in wire.a.connections if one.written], "nothing was sent to vLLM"
    error: dict[str, Any] = json.loads(wire.answer.body)["error"]
    return error


def forwarded(wire: Wire) -> tuple[str, bytes]:
    """The head and the body that vLLM got of the last request."""
    head, _, body = wire.upstream.written.rpartition(b"\r\n\r\n")
    wire.upstream.sends(OK)
    assert wire.answer.status == 200
    return head.decode().rpartition("POST ")[2], body


def asking(model: str = BASE, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Why?"}], "prompt": "x", "input": "x", **fields}


@pytest.mark.parametrize("path", [*ROUTED, *RELAYED])
def test_a_client_chooses_no_place_in_the_queue_on_any_path(path: str) -> None:
    with served() as wire:
        for model in (BASE, f"direct:{BASE}", "MoM"):
            send(wire, asking(model, priority=-1), path)
            error = refused(wire)
            if path != "/v1/messages":
                assert (error["code"], error["param"]) == ("field_not_allowed", "priority")
            assert "pointsman.access.allowed_fields" in error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"kv_transfer_params": {"do_remote_prefill": True}},
        {"ec_transfer_params": {"a": 1}},
        {"kv_transfer_params": "x"},
        {"kv_transfer_params": []},
        {"vllm_xargs": {"kv_transfer_params": "x"}},
        {"vllm_xargs": {"a": 1, "ec_transfer_params": ["x"]}},
    ],
)
def test_a_client_does_not_say_where_vllms_cache_comes_from(fields: dict[str, Any]) -> None:
    with served() as wire:
        send(wire, asking(**fields))
        assert refused(wire)["param"] in fields


def test_a_body_is_read_as_vllm_reads_it_keys_decoded_and_the_last_one_counts() -> None:
    with served() as wire:
        send(wire, b'{"model": "%b", "prior\\u0069ty": 1}' % BASE.encode())
        refused(wire)
        send(wire, b'{"priority": 0, "model": "%b", "priority": 1}' % BASE.encode())
        refused(wire)
        send(wire, b'{"vllm_xargs": {"kv_transfer_par\\u0061ms": "x"}, "model": "%b"}' % BASE.encode())
        refused(wire)
        body = b'{"priority": 1, "model": "%b", "priority": 0}' % BASE.encode()
        send(wire, body)
        assert forwarded(wire)[1] == body


@pytest.mark.parametrize("size", [0, 10_000, 600_000])
def test_what_is_nested_too_deeply_to_be_read_here_is_refused_on_a_path_that_is_relayed(size: int) -> None:
    """From Python 3.12 on, vLLM reads 9,000 levels, and with them whatever is beside; from 3.14 on, so do we."""
    deep = b'"%b": %b%b}' % (b"x" * size, b"[" * 5_000, b"]" * 5_000)
    with served() as wire:
        send(wire, b'{"model": "%b", "priority": -1, %b' % (BASE.encode(), deep), "/v1/embeddings")
        assert refused(wire)["code"] in {"invalid_json", "field_not_allowed"}


def test_in_a_long_body_as_in_a_short_one() -> None:
    """Bodies of more than 8 KiB and of more than 512 KiB are read in other ways."""
    for size in (10_000, 600_000):
        with served() as wire:
            send(wire, asking(pad="x" * size, priority=1))
            assert refused(wire)["param"] == "priority"


ZEROS = ["0", "-0", "0.0", "-0.0", "0e3", "false", '"0"', '" 0 "', '"-0"', '"+0"', '"0.0"', "null"]
OTHERS = ["1", "-1", "0.5", "true", '"1"', '"-1"', '"0.5"', '"1e0"', "[]", "{}", "[0]", '""', '"x"', "NaN", "Infinity"]
OTHERS += ['"NaN"', "1e-1", "10000000000000000000000", "-1e400", "0" + "." + "0" * 70]


@pytest.mark.parametrize("value", [*ZEROS, *OTHERS])
def test_what_passes_is_the_default_as_vllm_reads_it_or_is_refused_there(value: str) -> None:
    """With pydantic, as vLLM does; what is refused may be one more way to write a zero."""
    fields = finish(read_fields(b'{"priority": %b}' % value.encode(), queue_fields.FIELDS))
    try:
        finish(queue_fields.check(fields, ()))
    except RequestError:
        assert value in OTHERS
        return
    assert value in ZEROS
    try:
        read = pydantic.TypeAdapter(int).validate_python(json.loads(value))
    except pydantic.ValidationError:
        return
    assert read == 0


def test_the_default_is_forwarded_as_it_came() -> None:
    with served() as wire:
        for fields in ({"priority": 0}, {"priority": "0"}, {"kv_transfer_params": None}, {"vllm_xargs": {"a": 1}}):
            body = json.dumps(asking(**fields)).encode()
            send(wire, body)
            assert forwarded(wire)[1] == body
            send(wire, asking("MoM", **fields))
            (name,) = fields
            assert json.loads(forwarded(wire)[1])[name] == fields[name]


def test_what_the_config_or_the_key_allows_is_forwarded_and_nothing_else() -> None:
    with served("priority") as wire:
        send(wire, asking(priority=-3))
        assert json.loads(forwarded(wire)[1])["priority"] == -3
        send(wire, asking(kv_transfer_params={"a": 1}))
        assert wire.error == (400, "field_not_allowed")
    with served(keys=line("ann", allowed_fields=["kv_transfer_params"]) + line("bob")) as wire:
        for fields in ({"kv_transfer_params": {"a": 1}}, {"vllm_xargs": {"kv_transfer_params": "x"}}):
            send(wire, asking(**fields), CHAT, bearer("ann"))
            assert fields.items() <= json.loads(forwarded(wire)[1]).items()
            send(wire, asking(**fields), CHAT, bearer("bob"))
            assert wire.error == (400, "field_not_allowed")
        send(wire, asking(priority=1), CHAT, bearer("ann"))
        assert wire.error == (400, "field_not_allowed")


PRIORITIES = {f"POST {path}": 10 for path in (*ROUTED, *RELAYED)}


@pytest.mark.parametrize("path", [*ROUTED, *RELAYED])
def test_the_priority_of_a_path_is_in_the_body_and_in_a_header(path: str) -> None:
    """For /v1/messages vLLM reads only the header; batches, embeddings and the like are read only in the body."""
    with served(priorities=PRIORITIES) as wire:
        for model in (BASE, f"direct:{BASE}", "MoM", "nobody's"):
            for fields in ({}, {"priority": 0}, {"priority": None}):
                send(wire, asking(model, **fields), path, "X-Vllm-Priority: -5")
                head, body = forwarded(wire)
                assert json.loads(body)["priority"] == 10
                assert [one for one in head.split("\r\n") if "priority" in one.lower()] == ["X-Vllm-Priority: 10"]


def test_the_priority_of_a_key_counts_before_the_paths() -> None:
    keys = line("ann", priority=-5) + line("bob", priority=0) + line("cleo")
    with served(priorities={f"POST {CHAT}": 10}, keys=keys) as wire:
        for name, chat, other in (("ann", -5, -5), ("bob", 0, 0), ("cleo", 10, None)):
            send(wire, asking(), CHAT, bearer(name))
            head, body = forwarded(wire)
            assert (json.loads(body)["priority"], f"X-Vllm-Priority: {chat}\r\n" in head) == (chat, True)
            send(wire, asking(), "/v1/embeddings", bearer(name))
            assert json.loads(forwarded(wire)[1]).get("priority") == other


def test_every_other_byte_stays_as_it_came() -> None:
    with served(priorities={f"POST {CHAT}": 10}) as wire:
        send(wire, b'{ "model" : "%b", "priority":0, "seed": 1.0e0}' % BASE.encode())
        assert forwarded(wire)[1] == b'{ "model" : "%b", "priority":10, "seed": 1.0e0}' % BASE.encode()


def test_who_may_choose_a_priority_has_the_operators_only_where_it_sends_none() -> None:
    with served("priority", priorities={f"POST {CHAT}": 10, "POST /v1/embeddings": 10}) as wire:
        for path in (CHAT, "/v1/embeddings"):
            send(wire, asking(priority=3), path)
            head, body = forwarded(wire)
            assert (json.loads(body)["priority"], "Priority" in head) == (3, False)
            send(wire, asking(), path)
            head, body = forwarded(wire)
            assert (json.loads(body)["priority"], "X-Vllm-Priority: 10" in head) == (10, True)


def test_the_dry_run_refuses_and_shows_what_the_request_would_get() -> None:
    with served(priorities={f"POST {CHAT}": 10}) as wire:
        send(wire, asking("MoM", priority=1), "/v1/route")
        refused(wire)
        for model in ("MoM", BASE):
            send(wire, {"model": model, "messages": []}, "/v1/route")
            edits = json.loads(wire.answer.body)["edits"]
            assert {"field": "priority", "from": None, "to": "10"} in edits
