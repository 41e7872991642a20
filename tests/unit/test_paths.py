"""Which paths clients reach: the usual ones, and what the config adds and removes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.api.models import model_list
from pointsman.config import paths
from pointsman.config.client_keys import parse_keys
from pointsman.config.model import PathOptions
from support import vllm_paths_table
from support.client_keys import line
from support.playbook import OK, Wire, with_length
from support.toy_config import BASE, A, B, category, config

ADMINISTRATION = (
    *("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/sleep", "/wake_up", "/is_sleeping"),
    *("/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache", "/collective_rpc", "/pause", "/resume"),
    *("/is_paused", "/scale_elastic_ep", "/is_scaling_elastic_ep", "/server_info", "/start_profile", "/stop_profile"),
    *("/abort_requests", "/inference/v1/abort_requests", "/update_weights", "/init_weight_transfer_engine"),
    *("/weight_info", "/weight_checker", "/fault_tolerance/apply", "/release_kv_cache_memory", "/get_world_size"),
    *("/kv_event_sources", "/metrics", "/docs", "/openapi.json", "/prefix/v1/Load_LoRA_Adapter", "/SLEEP"),
)


LISTED = b'{"data":[{"id":"llama2-7b","max_model_len":512},{"id":"org/model","parent":"llama2-7b"}]}'


def asked(wire: Wire, method: str, path: str) -> Any:
    """The answer of the program's own to a request without a body; where it asks vLLM for its models, it gets them."""
    wire.client.sends(f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    if "models" in path:
        for vllm in (wire.a, wire.b):
            vllm.connections[-1].sends(with_length(LISTED))
    return wire.answer


def posted(path: str) -> bytes:
    body = b'{"model" : "base","x":1}'
    head = (
        f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("path", [path.path for path in paths.RELAYED])
def test_each_listed_path_is_relayed_untouched(wire: Wire, path: str) -> None:
    wire.client.sends(posted(path))
    assert wire.upstream.written.startswith(f"POST {path} HTTP/1.1\r\n".encode())
    assert wire.upstream.written.endswith(b'\r\n\r\n{"model" : "base","x":1}')
    wire.upstream.sends(OK)
    wire.expect_to_client(b"{}")


@pytest.mark.parametrize("path", ADMINISTRATION)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_administers_vllm_can_not_be_added(method: str, path: str) -> None:
    with pytest.raises(ValueError, match="administer"):
        paths.added(f"{method} {path}")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "/v2/embed",
            "POST v2/embed",
            "PUT /v2/embed",
            "POST /v2/embed/",
            "POST //v2",
            "POST /v2?x=1",
            "POST /v2/%2e",
        ),
        *("POST /v2/../sleep", "POST /./v2", "POST /v1/x{id}", "POST /v2 embed", "POST /é", "", "POST /", "post /v2"),
    ],
)
def test_what_is_no_method_and_path_can_not_be_added(text: str) -> None:
    with pytest.raises(ValueError, match="write the method and the path"):
        paths.added(text)


def test_what_is_added_though_it_is_there_changes_nothing(wire: Wire) -> None:
    """A path that a config adds may be one of the next release's own: the service goes on with it."""
    wire.relay(paths=PathOptions(add=("GET /v1/models", "GET /health", "POST /tokenize")))
    assert json.loads(asked(wire, "GET", "/v1/models").body)["data"][0]["id"] == "MoM"
    assert asked(wire, "GET", "/health").status == 200
    wire.client.sends(posted("/tokenize"))
    assert wire.upstream.written.startswith(b"POST /tokenize HTTP/1.1\r\n")


@pytest.mark.parametrize("text", ["POST /nowhere", "GET /tokenize", "tokenize", "GET /health", "GET /ready"])
def test_what_is_not_there_can_not_be_removed(text: str) -> None:
    with pytest.raises(ValueError, match="such as `POST /tokenize`"):
        paths.removed(text)


def test_a_reload_adds_and_removes_paths(wire: Wire) -> None:
    wire.relay(paths=PathOptions(add=("POST /v2/embed", "GET /tokenizer_info"), remove=("POST /tokenize",)))
    wire.client.sends(posted("/v2/embed"))
    assert wire.upstream.written.startswith(b"POST /v2/embed HTTP/1.1\r\n")
    wire.upstream.sends(OK)
    wire.client.sends(b"GET /tokenizer_info HTTP/1.1\r\nHost: here\r\n\r\n")
    assert b"GET /tokenizer_info HTTP/1.1\r\n" in wire.upstream.written
    wire.upstream.sends(OK)
    wire.client.sends(posted("/tokenize"))
    assert wire.error == (404, "not_found")


def test_ping_is_answered_here_as_vllm_does(wire: Wire) -> None:
    for method in ("GET", "POST", "HEAD"):
        assert (asked(wire, method, "/ping").status, wire.answer.body) == (200, b"")
    assert wire.a.requests == 0


def test_the_load_is_the_requests_at_all_endpoints(wire: Wire) -> None:
    busy = [wire.connect() for _ in range(3)]
    for client in busy:
        client.sends(posted("/tokenize"))
    assert json.loads(asked(wire, "GET", "/load").body) == {"server_load": 3}


def test_the_version_is_vllms(wire: Wire) -> None:
    wire.client.sends(b"GET /version HTTP/1.1\r\nHost: here\r\n\r\n")
    assert wire.upstream.written.startswith(b"GET /version HTTP/1.1\r\n")
    wire.upstream.sends(with_length(b'{"version":"0.32.0"}'))
    wire.expect_to_client(b'{"version":"0.32.0"}')


@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{BASE}", "/load"])
def test_a_head_of_what_is_answered_here_is_the_head_of_its_get(wire: Wire, path: str) -> None:
    got = asked(wire, "GET", path)
    asked(wire, "HEAD", path)
    head = wire.client.taken[wire.client.taken.rindex(b"HTTP/1.1 ") :]
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(got.body) in head


@pytest.mark.parametrize("path", ["/version", "/v1/responses/resp_1", "/v1/chat/completions"])
def test_any_other_head_is_refused(wire: Wire, path: str) -> None:
    """As vLLM would, whose answer would tell of a body that does not come."""
    wire.generations.stored.add("resp_1", "", "a")
    wire.client.sends(f"HEAD {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert b"HTTP/1.1 405 " in wire.client.taken
    assert wire.a.requests == 0


def test_a_path_that_is_removed_has_no_head_either(wire: Wire) -> None:
    wire.relay(paths=PathOptions(remove=("GET /load",)))
    wire.client.sends(b"HEAD /load HTTP/1.1\r\nHost: here\r\n\r\n")
    assert b"HTTP/1.1 404 " in wire.client.taken


# --- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("MoM", "MoM"), (BASE, BASE), (f"{BASE}/", BASE), ("l%6Cama2-7b", BASE)),
        *(("org/model", "org/model"), ("org%2Fmodel", "org/model")),
    ],
)
def test_a_model_is_found_by_its_name(wire: Wire, path: str, name: str) -> None:
    got = asked(wire, "GET", f"/v1/models/{path}")
    assert (got.status, json.loads(got.body)["id"]) == (200, name)
    listed = json.loads(asked(wire, "GET", "/v1/models").body)["data"]
    assert json.loads(got.body) in listed


@pytest.mark.parametrize("path", ["nobody", "org/nobody", "%ff", "x" * 500, "..", "%0d%0aX:%20y"])
def test_a_model_that_nobody_serves_is_a_404(wire: Wire, path: str) -> None:
    got = asked(wire, "GET", f"/v1/models/{path}")
    error = json.loads(got.body)["error"]
    assert (got.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert len(error["message"]) < 200


CONFIG = config(category("technical"), endpoints=(A, B))
LONG, SHORT, OTHER = ModelCard(BASE, None, 4096), ModelCard(BASE, None, 512), ModelCard("other", None, 16)
TECHNICAL = ModelCard("technical-lora", BASE, None)


@pytest.mark.parametrize(
    ("served", "shortest"),
    [
        pytest.param({}, None, id="unknown"),
        pytest.param({"a": (LONG, TECHNICAL)}, 4096, id="an adapter is as long as its base"),
        pytest.param({"a": (LONG, TECHNICAL), "b": (SHORT,)}, 512, id="the shortest of two endpoints"),
        pytest.param({"a": (LONG, OTHER)}, 4096, id="what is never chosen does not count"),
        pytest.param(
            {"a": (LONG, ModelCard("technical-lora", BASE, 256))}, 256, id="an adapter with a length of its own"
        ),
        pytest.param(
            dict.fromkeys("ab", (ModelCard("/models/llama", None, 128), TECHNICAL)),
            128,
            id="the base under another name",
        ),
    ],
)
def test_the_length_of_the_auto_name_is_the_smallest_of_what_may_answer(
    served: dict[str, tuple[ModelCard, ...]], shortest: int | None
) -> None:
    auto = model_list(CONFIG, ServedModels(served), 0)["data"][0]
    assert (auto["id"], auto["max_model_len"]) == ("MoM", shortest)


@pytest.mark.parametrize(
    ("served", "of_key", "root"),
    [
        pytest.param({}, None, BASE, id="unknown"),
        pytest.param({"a": (ModelCard(BASE, root="/models/llama"), TECHNICAL)}, None, "/models/llama", id="the base's"),
        pytest.param({"a": (ModelCard(BASE), TECHNICAL)}, None, BASE, id="a base without one"),
        pytest.param(
            dict.fromkeys("ab", (ModelCard("/m/llama", root="/m"),)), None, "/m", id="the base under another name"
        ),
        pytest.param(
            {"a": (ModelCard(BASE, root="/models/llama"),)},
            "technical-lora",
            "/models/llama",
            id="a key for adapters alone",
        ),
    ],
)
def test_the_root_of_the_auto_name_is_that_of_its_base_model(
    served: dict[str, tuple[ModelCard, ...]], of_key: str | None, root: str
) -> None:
    """From which `vllm bench serve` without a model loads the tokenizer."""
    key = None if of_key is None else next(iter(parse_keys(line("ann", of_key), CONFIG).keys))
    auto = model_list(CONFIG, ServedModels(served), 0, key)["data"][0]
    assert (auto["id"], auto["root"]) == ("MoM", root)


# As recorded, but for the names, the id of the permission and the times.
OF_VLLM = (
    b'{"id":"llama2-7b","object":"model","created":7,"owned_by":"vllm","root":"/models/llama","parent":null,'
    b'"max_model_len":512,"permission":[{"id":"modelperm-llama2-7b","object":"model_permission","created":7,'
    b'"allow_create_engine":false,"allow_sampling":true,"allow_logprobs":true,"allow_search_indices":false,'
    b'"allow_view":true,"allow_fine_tuning":false,"organization":"*","group":null,"is_blocking":false}]}'
)


def test_an_entry_has_all_that_vllms_has() -> None:
    served = ServedModels(
        {"a": (ModelCard(BASE, None, 512, "/models/llama"), ModelCard("technical-lora", BASE, None, "/loras/t"))}
    )
    auto, base, adapter = model_list(CONFIG, served, 7)["data"]
    assert json.dumps(base) == json.dumps(json.loads(OF_VLLM))
    assert (adapter["root"], adapter["parent"], adapter["max_model_len"]) == ("/loras/t", BASE, None)
    assert [list(one) for one in (auto, adapter)] == [list(base)] * 2


# --- the table -----------------------------------------------------------------------------------------------------


def test_the_table_of_vllms_paths_says_what_the_service_does() -> None:
    """What vLLM has not, our own paths, has no row."""
    table = vllm_paths_table.rows()
    documented = {here: {path for path, found in table.items() if found == here} for here in set(table.values())}
    own = (
        {str(path) for path in paths.OWN.values()} | {f"{method} /ping" for method in ("GET", "POST")} | {"GET /health"}
    )
    assert documented["routed"] == {str(path) for path in paths.ROUTED}
    others = {"GET /version", f"WEBSOCKET {paths.REALTIME.path}"}
    assert documented["relayed"] == {str(path) for path in (*paths.RELAYED, *paths.STORED)} | others
    assert documented["answered here"] <= own
    for path in documented["may be added"]:
        assert str(paths.added(path)) == path


def test_what_the_table_refuses_can_not_be_added() -> None:
    refused = [path for path, here in vllm_paths_table.rows().items() if here == "refused"]
    assert len(refused) > 30
    for path in refused:
        with pytest.raises(ValueError, match=r"administer|write the method"):
            paths.added(path)
