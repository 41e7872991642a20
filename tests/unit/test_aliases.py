"""Names that clients already send are routed, and hide no model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.api.models import model_list
from pointsman.classify.classifier import Classifier
from pointsman.config.client_keys import parse_keys
from pointsman.config.lint import lint
from pointsman.config.model import Options, RoutingOptions
from pointsman.formats import CHAT
from pointsman.routing.decision import Reason
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from support.client_keys import bearer, line
from support.config_files import LABELS, MINIMAL, category, loaded, the_problem
from support.playbook import OK, Wire, playing, post, with_length
from support.toy_config import BASE, config

ROUTING = RoutingOptions(aliases=("gpt-4o", BASE, "legal-lora"))


def body_of(sent: bytes) -> Any:
    return json.loads(sent.rpartition(b"\r\n\r\n")[2])


@pytest.fixture
def wire() -> Iterator[Wire]:
    with playing() as made:
        made._options = replace(made._options, routing=ROUTING)
        made.reload()
        yield made


@pytest.fixture
def router(classifier: Classifier) -> Router:
    return Router(config(routing=ROUTING), classifier, ServedModels)


def asked(model: str) -> Any:
    return parse_request(
        CHAT, json.dumps({"model": model, "messages": [{"role": "user", "content": "python"}]}).encode()
    )


@pytest.mark.parametrize("model", ["gpt-4o", BASE, "legal-lora", "MoM", "auto"])
async def test_a_request_for_an_alias_is_routed(router: Router, model: str) -> None:
    routed = await router.route(asked(model))
    assert (routed.decision.model, routed.decision.reason) == ("technical-lora", Reason.CLASSIFIED)


@pytest.mark.parametrize("model", ["gpt-4", "GPT-4o", "medical-lora", "direct"])
async def test_any_other_name_is_explicit(router: Router, model: str) -> None:
    assert (await router.route(asked(model))).decision.reason is Reason.EXPLICIT_MODEL


@pytest.mark.parametrize("model", [BASE, "legal-lora", "medical-lora", "MoM", ""])
async def test_after_direct_each_name_is_that_of_a_model(router: Router, model: str) -> None:
    routed = await router.route(asked(f"direct:{model}"))
    assert (routed.decision.model, routed.decision.reason) == (model, Reason.EXPLICIT_MODEL)
    assert json.loads(bytes(routed.edited.body)) == {**json.loads(asked(model).body), "model": model}


def test_vllm_gets_the_chosen_model_for_an_alias_and_the_plain_name_after_direct(wire: Wire) -> None:
    for sent, wanted in (("gpt-4o", "technical-lora"), (f"direct:{BASE}", BASE), ("medical-lora", "medical-lora")):
        upstream = wire.ask(sent)
        assert body_of(upstream.written)["model"] == wanted
        upstream.sends(OK)
    line = wire.outcomes()[1]
    assert (line["original_model"], line["selected_model"], line["reason"]) == (
        f"direct:{BASE}",
        BASE,
        "explicit_model",
    )


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("gpt-4o", BASE),  # no model has this name: the default model
        ("MoM", BASE),
        ("legal-lora", "legal-lora"),  # this adapter has it, and nothing is routed here
        (BASE, BASE),
        ("direct:legal-lora", "legal-lora"),
        ("gpt-4", "gpt-4"),
    ],
)
def test_where_nothing_is_routed_an_alias_hides_no_model(wire: Wire, sent: str, wanted: str) -> None:
    upstream = wire.ask(sent, "/v1/embeddings")
    assert body_of(upstream.written)["model"] == wanted
    upstream.sends(OK)


def test_an_auto_name_is_no_model_though_a_vllm_serves_one_of_that_name(wire: Wire) -> None:
    """Where nothing is routed as well: it means the default model."""
    wire.client.sends(b"GET /v1/models HTTP/1.1\r\nHost: here\r\n\r\n")
    for vllm in (wire.a, wire.b):
        vllm.connections[-1].sends(with_length(b'{"data": [{"id": "llama2-7b"}, {"id": "auto"}]}'))
    assert body_of(wire.ask("auto", "/v1/embeddings").written)["model"] == BASE


def test_the_body_of_a_plain_explicit_name_is_untouched(wire: Wire) -> None:
    sent = post("medical-lora")
    upstream = wire.ask("medical-lora")
    assert upstream.written.endswith(sent.rpartition(b"\r\n\r\n")[2])
    upstream.sends(OK)


def test_models_lists_aliases_and_how_a_hidden_name_is_reached() -> None:
    made = config(pointsman=Options(routing=ROUTING))
    served = ServedModels({"a": (ModelCard(BASE, max_model_len=4096), ModelCard("legal-lora", BASE))})

    listed = {one["id"]: one for one in model_list(made, served, 7)["data"]}

    assert list(listed) == ["MoM", "gpt-4o", BASE, "legal-lora", f"direct:{BASE}", "direct:legal-lora"]
    assert [listed[name]["owned_by"] for name in ("MoM", "gpt-4o", BASE)] == ["pointsman", "pointsman", "vllm"]
    assert (listed[f"direct:{BASE}"]["root"], listed[f"direct:{BASE}"]["max_model_len"]) == (BASE, 4096)


ANN, BOB = parse_keys(line("ann") + line("bob", "legal-lora"), config()).keys
OF_ANN = RoutingOptions(aliases=("gpt-4o",), key_aliases={"ann": ("claude", "legal-lora")})


@pytest.mark.parametrize(
    ("key", "sent", "wanted"),
    [
        ("ann", "claude", "technical-lora"),
        ("ann", "gpt-4o", "technical-lora"),
        ("ann", "legal-lora", "technical-lora"),
        ("ann", "direct:legal-lora", "legal-lora"),
        ("bob", "claude", "claude"),
        ("bob", "legal-lora", "legal-lora"),
        ("bob", "gpt-4o", "technical-lora"),
    ],
)
def test_a_key_may_have_aliases_of_its_own(key: str, sent: str, wanted: str) -> None:
    with playing(keys=line("ann") + line("bob")) as wire:
        wire._options = replace(wire._options, routing=OF_ANN)
        wire.reload()
        upstream = wire.ask(sent, "/v1/chat/completions", bearer(key))
        assert body_of(upstream.written)["model"] == wanted
        upstream.sends(OK)


@pytest.mark.parametrize(("key", "wanted"), [("ann", BASE), ("bob", "claude")])
def test_where_nothing_is_routed_a_keys_alias_is_the_default_model_for_it_alone(key: str, wanted: str) -> None:
    with playing(keys=line("ann") + line("bob")) as wire:
        wire._options = replace(wire._options, routing=OF_ANN)
        wire.reload()
        upstream = wire.ask("claude", "/v1/embeddings", bearer(key))
        assert body_of(upstream.written)["model"] == wanted
        upstream.sends(OK)


def test_an_alias_gives_a_key_no_model_that_it_may_not_use() -> None:
    """Also one that is a model's own name, which is meant by it where nothing is routed, and after `direct:`."""
    with playing(keys=line("bob", "legal-lora")) as wire:
        wire._options = replace(wire._options, routing=RoutingOptions(aliases=("gpt-4o", "technical-lora")))
        wire.reload()
        for alias in ("gpt-4o", "technical-lora"):
            upstream = wire.ask(alias, "/v1/chat/completions", bearer("bob"))
            assert body_of(upstream.written)["model"] == "legal-lora"
            upstream.sends(OK)
            assert b"x-pointsman-reason: not_allowed" in wire.answer.head
        for name, path in (
            ("technical-lora", "/v1/embeddings"),
            ("direct:technical-lora", "/v1/embeddings"),
            ("direct:technical-lora", "/v1/chat/completions"),
            ("direct:technical-lora", "/v1/route"),
        ):
            wire.client.sends(post(name, path, bearer("bob")))
            assert wire.error == (403, "model_not_allowed")


@pytest.mark.parametrize(("key", "reason"), [("ann", "classified"), ("bob", "explicit_model")])
def test_the_dry_run_knows_a_keys_aliases(key: str, reason: str) -> None:
    with playing(keys=line("ann") + line("bob")) as wire:
        wire._options = replace(wire._options, routing=OF_ANN)
        wire.reload()
        wire.client.sends(post("claude", "/v1/route", bearer(key)))
        assert json.loads(wire.answer.body)["decision"]["reason"] == reason


def test_models_lists_the_aliases_of_the_key_that_asks() -> None:
    made = config(pointsman=Options(routing=OF_ANN))
    served = ServedModels({"a": (ModelCard(BASE), ModelCard("legal-lora", BASE))})
    names = [[one["id"] for one in model_list(made, served, 7, key)["data"]] for key in (None, ANN, BOB)]
    assert names[0] == ["MoM", "gpt-4o", BASE, "legal-lora"]
    assert names[1] == ["MoM", "gpt-4o", "claude", BASE, "legal-lora", "direct:legal-lora"]
    assert names[2] == ["MoM", "gpt-4o", "legal-lora"]


def test_a_keys_alias_that_changes_nothing_is_told(tmp_path: Path) -> None:
    text = MINIMAL + "categories:\n" + category("law")
    routing = "pointsman: {routing: {aliases: [x], key_aliases: {ann: [%s]}}}\n"
    problem = the_problem(tmp_path, text + routing % "y, x")
    assert problem.path == "pointsman.routing.key_aliases.ann[1]"
    assert '"x" requests routing anyway' in problem.message
    (warning,) = [one for one in lint(loaded(tmp_path, text + routing % "y"), LABELS).warnings if "alias" in one.path]
    assert "no client has a key" in warning.message


def test_an_alias_may_be_a_models_own_name(tmp_path: Path) -> None:
    text = MINIMAL + "categories:\n" + category("law") + "pointsman: {routing: {aliases: [base, gpt-4o]}}\n"
    assert loaded(tmp_path, text).config.routed_names() == {"auto", "MoM", "base", "gpt-4o"}


@pytest.mark.parametrize(
    ("aliases", "where", "message", "fix"),
    [
        ("[auto]", 0, '"auto" requests routing anyway', "remove it"),
        ("[x, MoM]", 1, '"MoM" requests routing anyway', "remove it"),
        ('["direct:x"]', 0, "would hide a model", 'remove "direct:"'),
        ('[""]', 0, "the name is empty", "write a name"),
        ("[x, x]", 1, 'the name "x" is already used', "rename one of the two"),
    ],
)
def test_a_useless_alias_is_refused(tmp_path: Path, aliases: str, where: int, message: str, fix: str) -> None:
    text = MINIMAL + "categories:\n" + category("law") + f"pointsman: {{routing: {{aliases: {aliases}}}}}\n"
    problem = the_problem(tmp_path, text)
    assert problem.path == f"pointsman.routing.aliases[{where}]"
    assert message in problem.message
    assert fix in problem.fix
