"""Automatic choices of a key that may use certain models only: they stay among these, whatever is served."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.config.client_keys import KeyScope
from pointsman.config.model import AdapterOptions, Config, Options, RoutingOptions
from pointsman.routing.decision import CategoryChoice, Decision, Reason
from pointsman.routing.planner import Planner
from support.toy_config import BASE, A, B, category, config, entry

TECHNICAL = CategoryChoice("technical", 0.9, Reason.CLASSIFIED)
UNSURE = CategoryChoice(None, 0.3, Reason.LOW_CONFIDENCE)
LABELS = ("technical", "medical", "legal")


def serving(*models: str) -> ServedModels:
    cards = tuple(ModelCard(name, None if name == BASE else BASE) for name in models)
    return ServedModels({"a": cards})


ALL = serving(BASE, "technical-lora", "medical-lora", "legal-lora")


def scope(*models: str, default: str | None = None) -> KeyScope:
    return KeyScope(frozenset(models), default or models[0])


def decide(
    choice: CategoryChoice,
    scope: KeyScope | None,
    served: ServedModels = ALL,
    of: Config | None = None,
    *,
    tools: bool = False,
) -> Decision:
    return Planner(of or config()).decide(choice, 0.0, served, tools=tools, scope=scope)


def test_an_allowed_choice_is_as_for_anybody() -> None:
    assert decide(TECHNICAL, scope("technical-lora")) == decide(TECHNICAL, None)


def test_where_a_categorys_models_are_not_allowed_the_keys_default_answers() -> None:
    found = decide(TECHNICAL, scope("legal-lora"))
    assert (found.model, found.reason, found.category) == ("legal-lora", Reason.NOT_ALLOWED, "technical")


def test_a_category_that_is_not_for_the_key_edits_nothing_but_the_model() -> None:
    prompted = config(category("technical", system_prompt="You are an engineer."))
    assert decide(TECHNICAL, None, of=prompted).edits.system_prompt is not None
    edits = decide(TECHNICAL, scope("legal-lora"), of=replace(prompted, model_config=config().model_config)).edits
    assert (edits.model, edits.system_prompt, edits.reasoning) == ("legal-lora", None, None)


def test_of_a_categorys_models_the_best_allowed_one_is_chosen() -> None:
    several = config(category("technical", entry("x", 0.9), entry("y", 0.8), entry("z", 0.7)))
    found = decide(TECHNICAL, scope("z", "y"), serving(BASE, "x", "y", "z"), several)
    assert (found.model, found.reason) == ("y", Reason.CLASSIFIED)


def test_a_split_is_drawn_among_the_allowed_models() -> None:
    entries = (entry("x", 0.5), entry("y", 0.25), entry("z", 0.25))
    planner = Planner(config(category("technical", *entries), routing=RoutingOptions(split="score")))
    drawn = [
        planner.decide(TECHNICAL, share / 10, serving(BASE, "x", "y", "z"), scope=scope("y", "z")).model
        for share in range(10)
    ]
    assert drawn == ["y"] * 5 + ["z"] * 5


def test_where_no_category_is_chosen_the_keys_default_answers_and_the_reason_stays() -> None:
    found = decide(UNSURE, scope("legal-lora"))
    assert (found.model, found.reason) == ("legal-lora", Reason.LOW_CONFIDENCE)
    found = decide(UNSURE, KeyScope(None, "legal-lora"))
    assert (found.model, found.reason) == ("legal-lora", Reason.LOW_CONFIDENCE)


def test_a_missing_adapter_is_never_replaced_by_a_base_model_that_is_not_allowed() -> None:
    found = decide(TECHNICAL, scope("technical-lora", "legal-lora", default="legal-lora"), serving(BASE, "legal-lora"))
    assert (found.model, found.reason) == ("legal-lora", Reason.ADAPTER_MISSING)
    found = decide(TECHNICAL, scope("technical-lora", BASE, default=BASE), serving(BASE))
    assert (found.model, found.reason) == (BASE, Reason.ADAPTER_MISSING)


def test_where_nothing_allowed_is_served_vllms_404_is_the_answer() -> None:
    """Another model is not tried then: it would be the same one again."""
    found = decide(TECHNICAL, scope("technical-lora"), serving(BASE))
    assert (found.model, found.reason, found.adapter) == ("technical-lora", Reason.ADAPTER_MISSING, False)
    assert found.endpoints == (A,)


MODELS = (BASE, "technical-lora", "medical-lora", "legal-lora")


@pytest.mark.parametrize("tools", [False, True])
def test_no_decision_is_ever_outside_of_the_scope(tools: bool) -> None:
    """Of all scopes, defaults, choices, sets of served models, with endpoints up and down."""
    marked = AdapterOptions(tools={"technical-lora": False})
    planner = Planner(config(endpoints=(A, B), pointsman=Options(adapters=marked)))
    choices = [UNSURE, *(CategoryChoice(name, 0.9, Reason.STICKY) for name in LABELS)]
    subsets = [set(some) for size in range(5) for some in itertools.combinations(MODELS, size)]
    for served in subsets:
        for down in ((), (A,)):
            now = serving(*served).down_too(down)
            for allowed in subsets[1:]:
                for default in allowed:
                    limited = KeyScope(frozenset(allowed), default)
                    for choice in choices:
                        assert planner.decide(choice, 0.0, now, tools=tools, scope=limited).model in allowed


def test_plans_are_bounded_whatever_the_number_of_scopes() -> None:
    planner = Planner(config())
    for number in range(5_000):
        planner.decide(
            TECHNICAL, 0.0, ALL, scope=KeyScope(frozenset({"technical-lora", str(number)}), "technical-lora")
        )
    assert len(planner._plans) <= 4096


def test_a_rule_that_names_a_model_outside_of_the_scope_is_answered_by_the_default() -> None:
    ruled = CategoryChoice("technical", 0.9, Reason.RULE, model="medical-lora", rule="wards")
    found = decide(ruled, scope("legal-lora"))
    assert (found.model, found.reason) == ("legal-lora", Reason.NOT_ALLOWED)
    assert decide(ruled, scope("medical-lora", "legal-lora")).model == "medical-lora"


def test_a_canary_is_not_for_a_key_with_other_models() -> None:
    tried = CategoryChoice("technical", 0.9, Reason.CLASSIFIED, canary="medical-lora")
    assert decide(tried, None).model == "medical-lora"
    assert decide(tried, KeyScope(None, BASE)).model == "medical-lora"
