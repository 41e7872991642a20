"""How much is routed: shadow, a share of the conversations, and off; from request to decision."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.api.decision_headers import decision_lines
from pointsman.classify.classifier import Classifier
from pointsman.config.model import CategoryRollout, RoutingOptions
from pointsman.config.overlay import Overlay
from pointsman.formats import CHAT
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record, request_line
from pointsman.routing.decision import Counterfactual, Reason
from pointsman.routing.draws import drawn
from pointsman.routing.explain import describe, render
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.rollout import Rollout, rollout_of
from pointsman.routing.router import RoutedRequest, Router
from support.toy_config import BASE, category, config


def router_of(classifier: Classifier, **routing: Any) -> Router:
    return Router(config(routing=RoutingOptions(**routing)), classifier, ServedModels)


async def send(router: Router, *turns: str, **fields: Any) -> RoutedRequest:
    messages = [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]
    return await router.route(
        parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages, **fields}).encode())
    )


def model(routed: RoutedRequest) -> str:
    return str(json.loads(bytes(routed.edited.body))["model"])


# --- shadow ---------------------------------------------------------------------------------------------------------


async def test_shadow_decides_and_sends_to_the_default_model_without_edits(classifier: Classifier) -> None:
    """No system prompt and no reasoning of the category either: the request is as if nothing was routed."""
    made = config(category("technical", system_prompt="Ours."), routing=RoutingOptions(mode="shadow"))
    routed = await send(Router(made, classifier, ServedModels), "python")

    assert json.loads(bytes(routed.edited.body)) == {"model": BASE, "messages": [{"role": "user", "content": "python"}]}
    decision = routed.decision
    assert (decision.model, decision.category, decision.reason) == (BASE, "technical", Reason.SHADOW)
    assert decision.confidence == pytest.approx(0.9956, abs=1e-3)
    assert decision.would == Counterfactual("technical-lora", Reason.CLASSIFIED)


async def test_what_no_category_answers_keeps_its_reason_in_shadow(classifier: Classifier) -> None:
    router = router_of(classifier, mode="shadow")
    assert (await send(router, "the weather")).decision.reason is Reason.NO_CATEGORY
    assert (await send(router, "python landlord")).decision.reason is Reason.LOW_CONFIDENCE


async def test_a_conversation_in_shadow_is_followed_as_if_it_was_routed(classifier: Classifier) -> None:
    router = router_of(classifier, mode="shadow")
    await send(router, "python")
    would = (await send(router, "python", "a", "thanks")).decision.would
    assert would == Counterfactual("technical-lora", Reason.STICKY)


async def test_a_category_has_a_mode_of_its_own(classifier: Classifier) -> None:
    router = router_of(classifier, categories={"technical": CategoryRollout(mode="shadow")})
    assert model(await send(router, "python")) == BASE
    assert model(await send(router, "landlord")) == "legal-lora"


async def test_one_category_may_be_routed_while_the_others_are_in_shadow(classifier: Classifier) -> None:
    router = router_of(classifier, mode="shadow", categories={"technical": CategoryRollout(mode="on")})
    assert model(await send(router, "python")) == "technical-lora"
    assert model(await send(router, "landlord")) == BASE


async def test_a_withheld_request_that_is_planned_anew_stays_withheld(classifier: Classifier) -> None:
    """As where the default model is an adapter that vLLM turns out not to serve."""
    made = config(default_model="medical-lora", routing=RoutingOptions(mode="shadow"))
    router = Router(made, classifier, ServedModels)
    request = parse_request(
        CHAT, json.dumps({"model": "MoM", "messages": [{"role": "user", "content": "python"}]}).encode()
    )
    routed = await router.route(request)
    served = ServedModels({"a": (ModelCard(BASE), ModelCard("technical-lora", BASE))})

    again = router.again(request, routed, served).decision

    assert (again.model, again.reason) == (BASE, Reason.ADAPTER_MISSING)
    assert again.would == Counterfactual("technical-lora", Reason.CLASSIFIED)


# --- percent --------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
async def test_of_a_percentage_the_rest_is_held_back_by_conversation(classifier: Classifier) -> None:
    router = router_of(classifier, mode="percent", percent=30)
    routed = 0
    for number in range(400):
        first = await send(router, f"python {number}")
        later = await send(router, f"python {number}", "a", "thanks")
        assert model(first) == model(later), "a conversation changed its arm"
        assert later.decision.reason in (Reason.STICKY, Reason.HOLDBACK)
        routed += model(first) == "technical-lora"
    assert 80 <= routed <= 160  # 120 are expected, and 4.4 standard deviations allowed


@pytest.mark.parametrize(("percent", "expected"), [(0, BASE), (100, "technical-lora")])
async def test_none_and_all_are_percentages_too(classifier: Classifier, percent: float, expected: str) -> None:
    router = router_of(classifier, mode="percent", percent=percent)
    assert {model(await send(router, f"python {number}")) for number in range(50)} == {expected}


def test_each_experiment_draws_independently() -> None:
    """Among those whom one holds back, another holds back its share."""
    seeds = [number / 4_000 for number in range(4_000)]
    first = [seed for seed in seeds if drawn(seed, "rollout:law") < 0.5]
    both = [seed for seed in first if drawn(seed, "rollout:code") < 0.5]
    assert 1_850 <= len(first) <= 2_150
    assert 0.45 <= len(both) / len(first) <= 0.55
    assert all(0 <= drawn(seed, "x") < 1 for seed in seeds)


def test_a_share_that_grows_keeps_those_who_were_in_it() -> None:
    few, many = (Rollout(RoutingOptions(mode="percent", percent=percent)) for percent in (10, 60))
    seeds = [number / 500 for number in range(500)]
    routed = [seed for seed in seeds if few.withholds("law", seed) is None]
    assert routed
    assert all(many.withholds("law", seed) is None for seed in routed)


def test_where_everything_is_routed_there_is_nothing_to_ask() -> None:
    """So that a request pays nothing for it."""
    assert rollout_of(RoutingOptions()) is None
    assert rollout_of(RoutingOptions(mode="percent", percent=100)) is None
    assert rollout_of(RoutingOptions(categories={"law": CategoryRollout()})) is None


# --- off, and what commands say -------------------------------------------------------------------------------------


async def test_off_classifies_nothing(classifier: Classifier) -> None:
    routed = await send(router_of(classifier, mode="off"), "python")
    assert (model(routed), routed.decision.reason, routed.classification) == (BASE, Reason.OFF, None)


async def test_off_leaves_alone_who_names_a_model(classifier: Classifier) -> None:
    router = router_of(classifier, mode="off")
    request = parse_request(CHAT, b'{"model": "legal-lora", "messages": []}')
    assert (await router.route(request)).decision.reason is Reason.EXPLICIT_MODEL


@pytest.mark.parametrize(
    ("mode", "technical", "legal"),
    [
        (None, "technical-lora", BASE),
        ("off", BASE, BASE),
        ("shadow", BASE, BASE),
        ("on", "technical-lora", BASE),
    ],
)
async def test_a_commands_caution_holds_for_all_and_its_on_for_those_without_a_mode(
    classifier: Classifier, mode: Any, technical: str, legal: str
) -> None:
    router = router_of(classifier, categories={"legal": CategoryRollout(mode="shadow")})
    router.use(Overlay(mode=mode))
    assert model(await send(router, "python")) == technical
    assert model(await send(router, "landlord")) == legal


async def test_a_commands_on_routes_what_the_config_has_in_shadow(classifier: Classifier) -> None:
    router = router_of(classifier, mode="percent", percent=0)
    router.use(Overlay(mode="on"))
    assert model(await send(router, "python")) == "technical-lora"
    router.use(Overlay())
    assert model(await send(router, "python")) == BASE


# --- what is told ---------------------------------------------------------------------------------------------------


async def test_headers_log_metrics_and_explain_tell_what_would_have_answered(classifier: Classifier) -> None:
    router = router_of(classifier, mode="shadow")
    routed = await send(router, "python")

    assert b"x-pointsman-reason: shadow\r\n" in decision_lines(routed)
    assert b"x-pointsman-would-select: technical-lora\r\n" in decision_lines(routed)

    done = Record("id", "/v1/chat/completions", status=200)
    done.decided(routed)
    line = request_line(done)
    assert (line["selected_model"], line["category"], line["reason"]) == (BASE, "technical", "shadow")
    assert line["would"] == Counterfactual("technical-lora", Reason.CLASSIFIED)

    metrics = Metrics(frozenset({BASE, "technical-lora"}))
    metrics.count(done)
    labels = {"reason": "shadow", "category": "technical", "model": "technical-lora"}
    assert metrics.registry.get_sample_value("pointsman_withheld_total", labels) == 1

    asked = parse_request(
        CHAT, json.dumps({"model": "MoM", "messages": [{"role": "user", "content": "python"}]}).encode()
    )
    description = describe(router, asked, routed)
    assert description["decision"]["would"] == {"model": "technical-lora", "reason": "classified"}
    assert "would be   technical-lora (classified)" in render(description)


async def test_what_is_routed_says_nothing_of_it(classifier: Classifier) -> None:
    routed = await send(router_of(classifier), "python")
    assert routed.decision.would is None
    assert b"would" not in decision_lines(routed)
