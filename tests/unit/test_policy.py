"""From probabilities, config and what is served to a decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.classify.calibration import Calibration
from pointsman.classify.described import CategoryTexts, fit
from pointsman.config.client_keys import KeyScope
from pointsman.config.model import (
    BUILTIN_FAMILIES,
    Category,
    Config,
    Endpoint,
    Lora,
    Model,
    ModelScore,
    ReasoningFamily,
    RoutingOptions,
)
from pointsman.routing.decision import CategoryChoice, Decision, MissedThreshold, Reason, RunnerUp
from pointsman.routing.edits import Edits, ReasoningEdit, SystemPrompt
from pointsman.routing.planner import Planner
from pointsman.routing.policy import FollowUp, Policy
from pointsman.routing.subject import Features, Weights, evidence_of
from support.toy_config import BASE, A, B, category, config, entry

LABELS = ("computer science", "engineering", "health", "law", "other")
ANYTHING = ServedModels()


NOTHING = Features(0, 0, 0, 0, 0, 0)
CHANGED, FOLLOWED = Weights(1, NOTHING), Weights(-1, NOTHING)
"""Judges that take each ask for a change of subject, and for a follow-up."""


def policy(made: Config | None = None, labels: tuple[str, ...] = LABELS, judge: Weights = CHANGED) -> Policy:
    return Policy(made or config(), labels, judge)


def choose(made: Policy, probabilities: Sequence[float], current: FollowUp | None) -> CategoryChoice:
    """What it chooses, without what the score was compared with."""
    return msgspec.structs.replace(made.choose(probabilities, current), threshold=None, near=None)


def served(**cards: Mapping[str, str | None]) -> ServedModels:
    """By endpoint: model name to its parent."""
    return ServedModels({name: tuple(ModelCard(*card) for card in models.items()) for name, models in cards.items()})


def chosen(name: str | None) -> CategoryChoice:
    return CategoryChoice(name, 0.9, Reason.CLASSIFIED)


def decide(made: Config, name: str | None, now: ServedModels = ANYTHING, share: float = 0.0) -> Decision:
    return Planner(made or config()).decide(chosen(name), share, now)


# --- choosing --------------------------------------------------------------------------------------------------


def test_a_categorys_score_is_the_sum_over_its_labels() -> None:
    scores = policy().scores((0.5, 0.125, 0.25, 0.0625, 0.0625))
    assert scores == {"technical": 0.625, "medical": 0.25, "legal": 0.0625}


def test_the_greatest_category_wins_even_when_another_has_the_greatest_label() -> None:
    choice = choose(policy(config(threshold=0.5)), (0.25, 0.25, 0.375, 0.125, 0.0), None)
    assert choice == CategoryChoice("technical", 0.5, Reason.CLASSIFIED)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.75, CategoryChoice("medical", 0.75, Reason.CLASSIFIED)),
        (0.7499999, CategoryChoice(None, 0.7499999, Reason.LOW_CONFIDENCE, MissedThreshold("medical", 0.75))),
    ],
)
def test_a_score_at_the_threshold_is_enough(score: float, expected: CategoryChoice) -> None:
    assert choose(policy(config(threshold=0.75)), (1 - score, 0.0, score, 0.0, 0.0), None) == expected


def test_ties_go_to_the_first() -> None:
    two = config(category("medical"), category("legal"), threshold=0.5)
    assert choose(policy(two), (0.0, 0.0, 0.5, 0.5, 0.0), None).category == "medical"
    turned = config(category("legal"), category("medical"), threshold=0.5)
    assert choose(policy(turned), (0.0, 0.0, 0.5, 0.5, 0.0), None).category == "legal"


@pytest.mark.parametrize(
    ("probabilities", "reason"),
    [
        pytest.param((0.0, 0.0, 0.25, 0.0, 0.75), Reason.NO_CATEGORY, id="surely none"),
        pytest.param((0.0, 0.0, 0.5, 0.0, 0.5), Reason.LOW_CONFIDENCE, id="none, but not surely"),
        pytest.param((0.25, 0.25, 0.25, 0.25, 0.0), Reason.LOW_CONFIDENCE, id="one of several"),
    ],
)
def test_no_category_is_for_prompts_that_are_surely_about_something_else(
    probabilities: tuple[float, ...], reason: Reason
) -> None:
    assert choose(policy(), probabilities, None).reason is reason


def test_the_fallback_category_answers_what_is_unsure() -> None:
    choice = choose(policy(config(fallback="legal")), (0.25, 0.25, 0.5, 0.0, 0.0), None)
    assert choice == CategoryChoice("legal", 0.5, Reason.LOW_CONFIDENCE, MissedThreshold("technical", 0.6))


def test_without_categories_there_is_none_to_choose() -> None:
    none = Policy(Config(vllm_endpoints=(A,), default_model=BASE), LABELS)
    assert choose(none, (0.2,) * 5, None) == CategoryChoice(None, 0.0, Reason.NO_CATEGORY)


# --- a threshold for each category -----------------------------------------------------------------------------


BY_CATEGORY = config(routing=RoutingOptions(switch_margin=0.0, thresholds={"medical": 0.75, "legal": 0.4}))


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        pytest.param(
            (0.1, 0.0, 0.7, 0.2, 0.0),
            CategoryChoice(None, 0.7, Reason.LOW_CONFIDENCE, MissedThreshold("medical", 0.75)),
            id="its own is higher",
        ),
        pytest.param(
            (0.0, 0.0, 0.75, 0.25, 0.0), CategoryChoice("medical", 0.75, Reason.CLASSIFIED), id="its own is reached"
        ),
        pytest.param(
            (0.25, 0.0, 0.35, 0.4, 0.0), CategoryChoice("legal", 0.4, Reason.CLASSIFIED), id="its own is lower"
        ),
        pytest.param(
            (0.125, 0.0, 0.45, 0.425, 0.0),
            CategoryChoice(None, 0.45, Reason.LOW_CONFIDENCE, MissedThreshold("medical", 0.75)),
            id="the second best is not chosen in its place",
        ),
        pytest.param(
            (0.6, 0.0, 0.4, 0.0, 0.0), CategoryChoice("technical", 0.6, Reason.CLASSIFIED), id="the others' is kept"
        ),
    ],
)
def test_each_category_has_its_own_threshold(probabilities: tuple[float, ...], expected: CategoryChoice) -> None:
    assert choose(policy(BY_CATEGORY), probabilities, None) == expected


def test_a_threshold_that_is_fitted_to_the_classifiers_rows_counts() -> None:
    """Of 80 rows for medical, those at 0.9 are right, and those at 0.8 are not."""
    said = np.zeros((80, len(LABELS)))
    said[:, 2], said[:, 4] = np.repeat([0.9, 0.8], 40), np.repeat([0.1, 0.2], 40)
    fitted = Policy(
        config(routing=RoutingOptions(precision=0.95)), LABELS, calibration=Calibration(said, np.repeat([2, 4], 40))
    )

    assert choose(fitted, (0.0, 0.0, 0.875, 0.125, 0.0), None).missed == MissedThreshold("medical", 0.9)
    assert choose(fitted, (0.0, 0.0, 0.125, 0.875, 0.0), None) == CategoryChoice("legal", 0.875, Reason.CLASSIFIED)


@pytest.mark.parametrize(
    ("probabilities", "near"),
    [
        pytest.param((0.0, 0.0, 0.6, 0.3, 0.1), RunnerUp("legal", 0.3), id="half of it"),
        pytest.param((0.0, 0.0, 0.6, 0.299, 0.101), None, id="less than half"),
        pytest.param((0.0, 0.0, 0.4, 0.3, 0.3), RunnerUp("legal", 0.3), id="below the threshold"),
        pytest.param((0.1, 0.1, 0.6, 0.1, 0.1), None, id="each far from it"),
        pytest.param((0.0, 0.0, 0.0, 0.0, 1.0), None, id="no category"),
    ],
)
def test_a_second_category_with_half_of_the_best_ones_score_is_near(
    probabilities: tuple[float, ...], near: RunnerUp | None
) -> None:
    assert policy().choose(probabilities, None).near == near


def test_a_choice_says_which_threshold_counted_and_why() -> None:
    """Whether it was reached or missed."""
    made = policy(config(routing=RoutingOptions(thresholds={"medical": 0.8})))
    found = [made.choose((0.0, 0.0, share, 1 - share, 0.0), None).threshold for share in (0.9, 0.7, 0.2)]
    assert [(one.value, one.origin) for one in found if one is not None] == [
        (0.8, "routing.thresholds"),
        (0.8, "routing.thresholds"),
        (0.6, "category_model.threshold"),
    ]


def test_another_category_ends_a_conversation_from_its_own_threshold_on() -> None:
    """And the conversation's own is surely meant from its own on; what is no category's, from the common one on."""
    judge = policy(BY_CATEGORY)
    current = {name: follow_up(name) for name in ("technical", "legal", "medical")}
    assert choose(judge, (0.26, 0.0, 0.74, 0.0, 0.0), current["technical"]).reason is Reason.STICKY
    assert choose(judge, (0.25, 0.0, 0.75, 0.0, 0.0), current["technical"]).category == "medical"
    assert choose(judge, (0.3, 0.0, 0.3, 0.4, 0.0), current["technical"]).category == "legal"
    assert choose(judge, (0.0, 0.0, 0.7, 0.3, 0.0), current["medical"]).reason is Reason.STICKY
    assert choose(judge, (0.3, 0.0, 0.3, 0.4, 0.0), current["legal"]).reason is Reason.CLASSIFIED
    assert choose(judge, (0.0, 0.0, 0.4, 0.0, 0.6), current["medical"]).reason is Reason.NO_CATEGORY


def test_a_decision_says_which_threshold_was_missed() -> None:
    """Whichever model answers instead."""
    missed = MissedThreshold("medical", 0.75)
    unsure = CategoryChoice("legal", 0.7, Reason.LOW_CONFIDENCE, missed)
    assert Planner(BY_CATEGORY).decide(unsure, 0.0, served(a={BASE: None})).missed == missed
    assert decide(config(), "legal").missed is None


MARGIN = RoutingOptions(switch_margin=0.25)


def follow_up(category: str, size: int = 0, together: float | None = 0.5) -> FollowUp:
    return FollowUp(category, "How long do I boil an egg?", size=size, together=together)


@pytest.mark.parametrize(
    ("medical", "legal", "expected"),
    [
        pytest.param(0.625, 0.375, CategoryChoice("legal", 0.375, Reason.STICKY), id="beaten by the margin: stays"),
        pytest.param(
            0.6875, 0.3125, CategoryChoice("medical", 0.6875, Reason.CLASSIFIED), id="beaten by more: switches"
        ),
        pytest.param(0.5625, 0.4375, CategoryChoice("legal", 0.4375, Reason.STICKY), id="close behind"),
        pytest.param(
            0.25, 0.75, CategoryChoice("legal", 0.75, Reason.CLASSIFIED), id="its own is the best: nothing to stick"
        ),
        pytest.param(0.5, 0.0, CategoryChoice("legal", 0.0, Reason.STICKY), id="far ahead but unsure"),
    ],
)
def test_a_conversation_keeps_its_category_unless_beaten_by_more_than_the_margin(
    medical: float, legal: float, expected: CategoryChoice
) -> None:
    made = policy(config(threshold=0.5625, routing=MARGIN))
    assert choose(made, (1 - medical - legal, 0.0, medical, legal, 0.0), follow_up("legal")) == expected


def test_a_margin_of_nothing_still_keeps_the_category_of_a_tie() -> None:
    made = policy(config(threshold=0.5, routing=RoutingOptions(switch_margin=0)))
    assert choose(made, (0.0, 0.0, 0.5, 0.5, 0.0), follow_up("legal")) == CategoryChoice("legal", 0.5, Reason.STICKY)


@pytest.mark.parametrize(
    ("kib", "switches"),
    [(0, True), (31, True), (33, False), (64, False), (10_000, False)],
    ids=str,
)
def test_the_margin_grows_with_the_history_and_doubles_at_64_kib(kib: int, switches: bool) -> None:
    """At 32 KiB it is 0.375, which the lead is a little more than at 31."""
    made = policy(config(threshold=0.5, routing=MARGIN))
    choice = choose(made, (0.0, 0.0, 0.6875, 0.3125, 0.0), follow_up("legal", size=kib * 1024))
    assert (choice.category == "medical") is switches
    certain = choose(made, (0.0, 0.0, 0.76, 0.24, 0.0), follow_up("legal", size=kib * 1024))
    assert certain.category == "medical"


@pytest.mark.parametrize("other", [0.76, 1.0])
def test_what_is_judged_to_be_a_follow_up_keeps_the_category_however_sure_another_is(other: float) -> None:
    made = policy(judge=FOLLOWED)
    assert choose(made, (0.0, 0.0, other, 1 - other, 0.0), follow_up("legal")).category == "legal"
    assert choose(made, (0.0, 0.0, 0.0, 1 - other, other), follow_up("legal")).category == "legal"


@pytest.mark.parametrize(("medical", "own", "may"), [(0.75, 0.25, True), (0.6, 0.4, False), (0.25, 0.75, False)])
def test_what_another_category_leads_in_is_to_be_read_with_what_was_before(
    medical: float, own: float, may: bool
) -> None:
    """Without that, it does not end a conversation."""
    made, scores = policy(config(threshold=0.5, routing=MARGIN)), (0.0, 0.0, medical, own, 0.0)
    assert made.may_end(scores, follow_up("legal")) is may
    assert not made.may_end(scores, follow_up("gone"))
    assert choose(made, scores, follow_up("legal", together=None)).category == "legal"


def test_the_judge_is_given_the_best_other_category_and_whether_it_is_the_rest() -> None:
    made = policy(config(category("medical"), category("legal"), REST))
    current = FollowUp("legal", "And the index?", "Which index is it?", together=0.3)
    scores = {"medical": 0.5, "legal": 0.2, "general": 0.3}
    assert made.evidence(current, scores) == evidence_of(current.ask, current.before, 0.5, 0.3, rest=False)
    scores = {"medical": 0.1, "legal": 0.2, "general": 0.7}
    assert made.evidence(current, scores) == evidence_of(current.ask, current.before, 0.7, 0.3, rest=True)
    assert policy().evidence(current, dict.fromkeys(("technical", "medical", "legal"), 0.1)).rest


REST, OWN = category("general"), category("general", labels=("other",))


@pytest.mark.parametrize(
    ("general", "other", "current", "expected"),
    [
        pytest.param(REST, 1.0, "medical", CategoryChoice("general", 1.0, Reason.CLASSIFIED), id="the rest"),
        pytest.param(REST, 0.55, "medical", CategoryChoice("medical", 0.45, Reason.STICKY), id="the rest, but unsure"),
        pytest.param(OWN, 0.85, "medical", CategoryChoice("general", 0.85, Reason.CLASSIFIED), id="by its own label"),
        pytest.param(REST, 0.9, "general", CategoryChoice("general", 0.9, Reason.CLASSIFIED), id="stays the rest"),
        pytest.param(REST, 0.0, "general", CategoryChoice("medical", 1.0, Reason.CLASSIFIED), id="over the rest"),
    ],
)
def test_the_category_for_the_rest_ends_a_conversation_from_the_threshold_on(
    general: Category, other: float, current: str, expected: CategoryChoice
) -> None:
    choice = choose(policy(config(category("medical"), general)), (0, 0, 1 - other, 0, other), follow_up(current))
    assert choice == msgspec.structs.replace(expected, confidence=pytest.approx(expected.confidence))


@pytest.mark.parametrize(("other", "reason"), [(1.0, Reason.NO_CATEGORY), (0.55, Reason.STICKY)])
def test_so_does_what_belongs_to_no_category(other: float, reason: Reason) -> None:
    assert choose(policy(), (0, 0, 1 - other, 0, other), follow_up("medical")).reason is reason


def test_a_remembered_category_that_is_no_more_does_not_stick() -> None:
    assert choose(policy(), (0.0, 0.0, 1.0, 0.0, 0.0), follow_up("gone")) == CategoryChoice(
        "medical", 1.0, Reason.CLASSIFIED
    )


# --- deciding --------------------------------------------------------------------------------------------------


LORAS = config().model_config[BASE].loras
TWO = config(endpoints=(A, B))
ON_B = config(endpoints=(A, B), base=Model(preferred_endpoints=("b",), loras=LORAS))
ADAPTER_DEFAULT = config(default_model="legal-lora")
RENAMED, STRANGE = "meta-llama/Llama-2-7b", served(a={"x": None, "y": None})
MEDICAL_AT_B = served(a={BASE: None}, b={BASE: None, "medical-lora": BASE})


@pytest.mark.parametrize(
    ("made", "name", "now", "model", "endpoints", "reason"),
    [
        pytest.param(config(), "medical", ANYTHING, "medical-lora", [A], Reason.CLASSIFIED, id="by its adapter"),
        pytest.param(config(), "medical", served(a={BASE: None}), BASE, [A], Reason.ADAPTER_MISSING, id="by its base"),
        pytest.param(
            ADAPTER_DEFAULT, None, ANYTHING, "legal-lora", [A], Reason.CLASSIFIED, id="the default may be an adapter"
        ),
        pytest.param(
            ADAPTER_DEFAULT, None, served(a={BASE: None}), BASE, [A], Reason.ADAPTER_MISSING, id="which may be missing"
        ),
        pytest.param(
            config(), "medical", STRANGE, BASE, [A], Reason.ADAPTER_MISSING, id="where nothing that we know is served"
        ),
        pytest.param(config(), None, STRANGE, BASE, [A], Reason.CLASSIFIED, id="nor the default model"),
        pytest.param(
            TWO, "medical", MEDICAL_AT_B, "medical-lora", [B], Reason.CLASSIFIED, id="only where it is served"
        ),
        pytest.param(TWO, "legal", MEDICAL_AT_B, BASE, [A, B], Reason.ADAPTER_MISSING, id="the base at both"),
        pytest.param(
            *(TWO, "medical", served(a={BASE: None}), "medical-lora", [B], Reason.CLASSIFIED),
            id="an endpoint that never answered may serve anything",
        ),
        pytest.param(ON_B, "medical", ANYTHING, "medical-lora", [B], Reason.CLASSIFIED, id="at its base's endpoints"),
        pytest.param(ON_B, None, ANYTHING, BASE, [B], Reason.CLASSIFIED, id="as the base"),
        *(
            pytest.param(
                *(config(), name, served(a={RENAMED: None, "legal-lora": RENAMED}), RENAMED, [A], reason),
                id=f"a base that is served under another single name, for {name}",
            )
            for name, reason in ((None, Reason.CLASSIFIED), ("medical", Reason.ADAPTER_MISSING))
        ),
        pytest.param(
            *(TWO, "technical", served(a={"other": None}, b={BASE: None}), BASE, [B], Reason.ADAPTER_MISSING),
            id="the base where one endpoint alone serves it",
        ),
    ],
)
def test_a_category_is_answered_by_what_is_served_where_it_is_served(
    made: Config, name: str | None, now: ServedModels, model: str, endpoints: list[Endpoint], reason: Reason
) -> None:
    decision = decide(made, name, now)
    assert (decision.model, decision.edits.model, decision.base_model) == (model, model, BASE)
    assert (decision.category, list(decision.endpoints), decision.reason) == (name, endpoints, reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ADAPTER_MISSING])
def test_the_reason_of_the_choice_is_the_decisions(reason: Reason) -> None:
    assert Planner(config()).decide(CategoryChoice("medical", None, reason), 0.0, ANYTHING).reason is reason
    assert Planner(config()).decide(CategoryChoice(None, None, reason), 0.0, ANYTHING).reason is reason


def test_no_category_is_answered_by_the_default_model_with_no_other_edit() -> None:
    decision = decide(config(), None)
    assert decision.edits == Edits(model=BASE)
    assert (decision.model, decision.category) == (BASE, None)


RANKED = config(category("legal", entry("third", 0.25), entry("first", 1.0), entry("second", 1.0), entry(None, 0.5)))


@pytest.mark.parametrize(
    ("loras", "model", "reason"),
    [
        pytest.param(("first", "second", "third"), "first", Reason.CLASSIFIED, id="the highest, ties to the first"),
        pytest.param(("second", "third"), "second", Reason.ADAPTER_MISSING, id="the next"),
        pytest.param(("third",), BASE, Reason.ADAPTER_MISSING, id="the base where it ranks higher"),
        pytest.param((), BASE, Reason.ADAPTER_MISSING, id="the base"),
    ],
)
def test_a_missing_adapter_gives_way_to_the_next_entry(loras: tuple[str, ...], model: str, reason: Reason) -> None:
    decision = decide(RANKED, "legal", served(a={BASE: None} | dict.fromkeys(loras, BASE)))
    assert (decision.model, decision.edits.model, decision.reason) == (model, model, reason)
    assert decision.endpoints == (A,)


# --- an explicit model -----------------------------------------------------------------------------------------

ON_A = config(endpoints=(A, B), base=Model(preferred_endpoints=("a",), loras=LORAS))


@pytest.mark.parametrize(
    ("model", "now", "endpoints"),
    [
        pytest.param("legal-lora", ANYTHING, (A,), id="configured: its base's endpoints"),
        pytest.param("legal-lora", served(a={}, b={"legal-lora": BASE}), (B,), id="served elsewhere"),
        pytest.param("new-lora", served(a={BASE: None}, b={"new-lora": BASE}), (B,), id="not configured but served"),
        pytest.param("legal-lora", served(a={}, b={}), (A,), id="served nowhere: its own endpoints say so"),
        pytest.param("nonsense", served(a={}, b={}), (A, B), id="unknown: any endpoint says so"),
    ],
)
def test_an_explicit_model_goes_where_it_is_served(model: str, now: ServedModels, endpoints: tuple[Any, ...]) -> None:
    decision = Planner(ON_A).explicit(model, now)
    assert decision.endpoints == endpoints
    assert (decision.model, decision.edits, decision.reason) == (model, Edits(), Reason.EXPLICIT_MODEL)
    assert (decision.category, decision.confidence) == (None, None)


def test_an_explicit_adapters_base_is_known() -> None:
    assert Planner(config()).explicit("legal-lora", ANYTHING).base_model == BASE
    assert Planner(config()).explicit("other", ANYTHING).base_model == "other"


# --- split -----------------------------------------------------------------------------------------------------

SPLIT = config(
    category("legal", entry("low", 1.0), entry("high", 3.0), entry("none", 4.0)), routing=RoutingOptions(split="score")
)


def test_split_scores_are_shares_of_the_conversations() -> None:
    models = Counter(decide(SPLIT, "legal", share=number / 800).model for number in range(800))
    assert models == {"low": 100, "high": 300, "none": 400}


@pytest.mark.parametrize(
    ("share", "model"), [(0.0, "low"), (0.124, "low"), (0.125, "high"), (0.5, "none"), (0.999, "none"), (1.0, "none")]
)
def test_a_share_belongs_to_one_entry(share: float, model: str) -> None:
    assert decide(SPLIT, "legal", share=share).model == model


def test_a_share_that_was_rounded_up_to_the_end_belongs_to_the_last_entry() -> None:
    made = config(category("legal", entry("high", 3.0), entry("low", 1.0)), routing=RoutingOptions(split="score"))
    assert decide(made, "legal", share=1.0).model == "low"


def test_a_split_entry_that_is_missing_gives_way_to_the_best_of_the_others() -> None:
    now = served(a={BASE: None, "high": BASE, "none": BASE})
    decision = decide(SPLIT, "legal", now, share=0.0)
    assert (decision.model, decision.reason) == ("none", Reason.ADAPTER_MISSING)


# --- edits of the chosen entry ---------------------------------------------------------------------------------


def test_reasoning_comes_from_the_entry_that_answers_not_from_the_first() -> None:
    made = config(
        category("legal", entry("plain", 0.5), entry("thinker", 1.0, use_reasoning=True, reasoning_effort="low"))
    )
    thinking = decide(made, "legal")
    assert thinking.edits.reasoning == ReasoningEdit("chat_template_kwargs", "enable_thinking", "low")
    plain = decide(made, "legal", served(a={"plain": BASE}))
    assert plain.edits.reasoning == ReasoningEdit("chat_template_kwargs", "enable_thinking", None)


@pytest.mark.parametrize("family", ["qwen3", "deepseek", "gpt-oss", "gpt"])
def test_an_adapter_inherits_its_bases_reasoning_family(family: str) -> None:
    made = config(
        category("legal", entry("legal-lora", use_reasoning=True)),
        base=Model(reasoning_family=family, loras=LORAS),
        default_reasoning_effort="high",
    )
    known = BUILTIN_FAMILIES[family]
    assert decide(made, "legal").edits.reasoning == ReasoningEdit(known.type, known.parameter, "high")


def test_the_configs_own_family_replaces_a_built_in_one() -> None:
    family = ReasoningFamily(type="chat_template_kwargs", parameter="think_harder")
    made = config(category("legal", entry("legal-lora", use_reasoning=True)), reasoning_families={"qwen3": family})
    assert decide(made, "legal").edits.reasoning == ReasoningEdit("chat_template_kwargs", "think_harder", "medium")


@pytest.mark.parametrize("base", [Model(loras=LORAS), Model(reasoning_family="unheard-of", loras=LORAS)])
def test_without_a_known_family_reasoning_is_left_as_it_came(base: Model) -> None:
    decision = decide(config(category("legal", entry("legal-lora", use_reasoning=True)), base=base), "legal")
    assert decision.edits.reasoning is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"system_prompt": "Be a lawyer."}, SystemPrompt("Be a lawyer.", "replace")),
        ({"system_prompt": "Be.", "system_prompt_mode": "insert"}, SystemPrompt("Be.", "insert")),
        ({"system_prompt": "Be.", "system_prompt_enabled": False}, None),
        ({}, None),
    ],
)
def test_the_system_prompt_is_the_categorys(fields: dict[str, Any], expected: SystemPrompt | None) -> None:
    made = config(category("legal", **fields))
    assert decide(made, "legal").edits.system_prompt == expected
    assert decide(made, "legal", served(a={BASE: None})).edits.system_prompt == expected


OTHER = Model(loras=(Lora(name="other-lora"),))


@pytest.mark.parametrize(
    ("entries", "model"),
    [
        pytest.param(
            [entry("first"), ModelScore(model="other", lora_name="other-lora", score=0.5)], BASE, id="its own"
        ),
        pytest.param(
            [ModelScore(model="other", lora_name="other-lora", score=1.0), entry(score=0.5)], "other", id="other"
        ),
        pytest.param([entry("first"), entry(score=0.5)], BASE, id="the last entry too"),
    ],
)
def test_where_nothing_is_served_the_base_of_the_first_entry_answers_for_a_missing_adapter(
    entries: list[ModelScore], model: str
) -> None:
    made = config(category("technical", *entries))
    made = replace(made, model_config={"other": OTHER, **made.model_config})
    decision = decide(made, "technical", served(a={"x": None, "y": None}))
    assert (decision.model, decision.base_model, decision.reason) == (model, model, Reason.ADAPTER_MISSING)


def test_a_model_that_a_client_named_is_no_adapter_of_our_choice() -> None:
    """So vLLM's 404 for it is the client's."""
    assert not Planner(config()).explicit("technical-lora", ANYTHING).adapter
    assert decide(config(), "technical").adapter
    assert not decide(config(), None).adapter


def test_the_base_that_answers_for_missing_adapters_reasons_as_the_first_of_them_would() -> None:
    made = config(category("technical", entry("one", use_reasoning=True), entry("two", 0.5)))
    edits = decide(made, "technical", served(a={BASE: None})).edits
    assert edits.reasoning is not None
    assert edits.reasoning.effort == "medium"


def test_plans_are_bounded_however_many_scopes_there_are() -> None:
    planner = Planner(config())
    for number in range(5000):
        planner.decide(chosen("legal"), 0.0, ANYTHING, scope=KeyScope(frozenset({"legal-lora", str(number)}), BASE))
    assert len(planner._plans) <= 4096


def test_a_rule_against_the_first_adapter_is_the_reason_also_where_nothing_else_is_served() -> None:
    made = config(category("technical", entry("one"), entry("two", 0.5)))
    barred = CategoryChoice("technical", 0.9, Reason.CLASSIFIED, never=(("one", "keep-out"),))
    decision = Planner(made).decide(barred, 0.0, served(a={BASE: None}))
    assert (decision.model, decision.reason, decision.rule) == (BASE, Reason.RULE, "keep-out")


# --- described categories --------------------------------------------------------------------------------------


def mixed(*described: str, **languages: frozenset[str]) -> Policy:
    """`legal` is covered by labels, the others are described; the threshold is 0.5."""
    made = config(category("legal"), *map(category, described), threshold=0.5)
    texts = {name: CategoryTexts(np.eye(2, dtype="f"), np.empty((0, 2), "f")) for name in described}
    return Policy(made, LABELS, head=fit(texts, np.eye(2), "", languages) if described else None)


def scores(law: float, *described: float) -> tuple[float, ...]:
    """The labels' probabilities, with so much for `law`; those of the described categories, and of nobody."""
    return (0.0, 0.0, 0.0, law, 1 - law, *described, 1 - sum(described))


def test_a_described_category_is_as_sure_as_it_is_likelier_than_nobody() -> None:
    """A near neighbor, here with as much, does not lower it."""
    found = mixed("sql", "dba").choose(scores(0.1, 0.45, 0.4))
    assert (found.category, found.reason) == ("sql", Reason.CLASSIFIED)
    assert found.confidence == pytest.approx(0.45 / 0.6)
    assert found.near == RunnerUp("dba", round(0.4 / 0.55, 4))


def test_the_likelier_wins_of_a_described_category_and_one_that_labels_cover() -> None:
    """What labels say counts for what belongs to no described category."""
    policy = mixed("sql")
    assert policy.choose(scores(0.9, 0.4)).category == "legal"  # 0.9 * 0.6 is more than 0.4
    assert policy.choose(scores(0.9, 0.6)).category == "sql"
    assert policy.choose(scores(0.9, 0.4)).confidence == pytest.approx(0.9)


def test_a_described_category_below_its_threshold_makes_room() -> None:
    found = mixed("sql").choose(scores(0.6, 0.45))
    assert found.category == "legal"
    assert found.confidence == pytest.approx(0.6)


def test_if_a_labels_category_that_wins_misses_its_threshold_the_fallback_answers() -> None:
    found = mixed("sql").choose(scores(0.48, 0.05))
    assert (found.category, found.reason) == (None, Reason.LOW_CONFIDENCE)
    assert found.missed == MissedThreshold("legal", 0.5)


def test_what_is_about_many_described_categories_alike_is_ambiguous() -> None:
    names = [f"adapter-{number}" for number in range(10)]
    found = mixed(*names).choose(scores(0.1, *[0.095] * 10))
    assert (found.category, found.reason) == (None, Reason.AMBIGUOUS)
    assert mixed(*names).choose(scores(0.1, 0.3, *[0.06] * 9)).category == "adapter-0"


def test_in_a_language_that_labels_do_not_know_only_described_categories_are_chosen() -> None:
    found = mixed("sql").choose_described((0.8, 0.2), "fr")
    assert found is not None
    assert (found.category, found.reason) == ("sql", Reason.CLASSIFIED)
    assert mixed("sql").choose_described((0.3, 0.7), "fr") is None
    assert mixed().choose_described((), "fr") is None


def test_a_category_with_examples_in_other_languages_is_not_chosen() -> None:
    policy = mixed("support", "sql", support=frozenset({"de", "en"}))
    assert policy.choose_described((0.8, 0.05, 0.15), "fr") is None
    german, french = policy.choose_described((0.8, 0.1, 0.1), "de"), policy.choose_described((0.5, 0.4, 0.1), "fr")
    assert [one and one.category for one in (german, french)] == ["support", "sql"]


def test_a_conversation_leaves_a_described_category_for_a_likelier_one_only() -> None:
    policy = mixed("sql", "poems")
    about = FollowUp("sql", "and a poem about it", together=0.1)
    assert policy.choose(scores(0.1, 0.7, 0.1), about).category == "sql"
    assert policy.may_end(scores(0.1, 0.02, 0.9), about)
    assert not policy.may_end(scores(0.1, 0.5, 0.4), about)


def test_without_described_categories_every_score_is_the_sum_of_labels_to_the_bit() -> None:
    values = tuple(np.random.default_rng(1).dirichlet(np.ones(len(LABELS))).tolist())
    assert mixed().scores(values) == {"legal": values[LABELS.index("law")]}
    assert mixed("sql").scores((*values, 0.3, 0.7)) == {"legal": values[LABELS.index("law")], "sql": pytest.approx(0.3)}
