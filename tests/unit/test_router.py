"""From a request to a decision and a body, with a real classifier."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.api.classification import intent
from pointsman.api.decision_headers import decision_lines
from pointsman.classify.classifier import Classifier
from pointsman.config.model import AskOptions, RoutingOptions
from pointsman.errors import ClassifierError, Overloaded
from pointsman.formats import CHAT, COMPLETIONS, RESPONSES, Format
from pointsman.routing.decision import Reason
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.router import RoutedRequest, Router
from support import toy_artifact
from support.gate import Gate
from support.toy_config import BASE, A, B, category, config, entry

Make = Callable[..., AbstractContextManager[Classifier]]


@pytest.fixture
def hurried(make_classifier: Make) -> Iterator[tuple[Router, Gate]]:
    """A router whose classifier can be held, by `hold`."""
    with make_classifier() as classifier:
        gate = Gate(classifier)
        yield Router(config(fallback="legal"), classifier, ServedModels), gate
        gate.open()


def hold(router: Router, gate: Gate) -> None:
    """From now on a class comes too late."""
    gate.close()
    router.classifier.encoder._deadline = 0.05


def release(router: Router, gate: Gate) -> None:
    """From now on it has all the time that a busy machine takes."""
    gate.open()
    router.classifier.encoder._deadline = 10.0


def request(*turns: Any, model: str | None = "MoM", api: Format = CHAT, **fields: Any) -> ParsedRequest:
    """The user's and the assistant's turns alternate; a mapping is a message as it stands."""
    messages = [
        turn if isinstance(turn, dict) else {"role": ("user", "assistant")[position % 2], "content": turn}
        for position, turn in enumerate(turns)
    ]
    return parse_request(api, json.dumps({"model": model, "messages": messages} | fields).encode())


def known(routed: RoutedRequest) -> bool:
    """Whether something was remembered of the conversation."""
    return routed.recalled is not None and routed.recalled.remembered is not None


def outcome(routed: RoutedRequest) -> tuple[str | None, Reason]:
    return routed.decision.category, routed.decision.reason


TOOL = {"role": "tool", "tool_call_id": "c", "content": "landlord"}


@pytest.mark.parametrize("model", ["MoM", "auto", "", None])
async def test_a_request_for_the_auto_model_is_classified_and_rewritten(router: Router, model: str | None) -> None:
    routed = await router.route(request("Fix my Python", model=model))
    assert outcome(routed) == ("technical", Reason.CLASSIFIED)
    assert json.loads(bytes(routed.edited.body))["model"] == "technical-lora"
    assert routed.decision.confidence == pytest.approx(0.9956, abs=1e-3)


@pytest.mark.parametrize("model", ["legal-lora", BASE, "mom", "Auto", "unheard-of"])
async def test_any_other_name_is_explicit_and_nothing_is_read_or_edited(router: Router, model: str) -> None:
    asked = request("Fix my Python", model=model)
    routed = await router.route(asked)
    assert (routed.decision.model, routed.decision.reason) == (model, Reason.EXPLICIT_MODEL)
    assert routed.edited.body is asked.body
    assert routed.classification is None


async def test_the_configs_own_auto_name_takes_the_place_of_mom(classifier: Classifier) -> None:
    router = Router(config(auto_model_name="best"), classifier, ServedModels)
    assert (await router.route(request("python", model="best"))).decision.reason is Reason.CLASSIFIED
    assert (await router.route(request("python", model="MoM"))).decision.reason is Reason.EXPLICIT_MODEL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python landlord", (None, Reason.LOW_CONFIDENCE)),
        ("the weather", (None, Reason.NO_CATEGORY)),
        ("", (None, Reason.NO_TEXT)),
        (" \n\t", (None, Reason.NO_TEXT)),
    ],
)
async def test_what_fits_nowhere_goes_to_the_default_model(
    router: Router, text: str, expected: tuple[None, Reason]
) -> None:
    routed = await router.route(request(text))
    assert outcome(routed) == expected
    assert (routed.decision.model, json.loads(bytes(routed.edited.body))["model"]) == (BASE, BASE)


async def test_a_request_of_too_many_parts_goes_to_the_default_model_unread(classifier: Classifier) -> None:
    router = Router(config(fallback="legal"), classifier, ServedModels)
    asked = request(*["python"] * 4097)
    routed = await router.route(asked)
    assert outcome(routed) == (None, Reason.TOO_MANY_PARTS)
    assert (routed.decision.model, routed.edited.changed) == (BASE, ("model",))
    assert (await router.route(request(*["python"] * 4097, model="legal-lora"))).edited.body


async def test_a_helper_task_goes_to_the_default_model_and_leaves_the_conversation_alone(
    classifier: Classifier,
) -> None:
    router = Router(config(fallback="legal"), classifier, ServedModels)
    title = "Please generate a short title for our conversation about Python. No punctuation, no quotation marks."
    routed = await router.route(request("Fix my Python", "Done.", title))
    assert outcome(routed) == (None, Reason.HELPER_TASK)
    assert (routed.decision.model, routed.classification) == (BASE, None)


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        (["Fix my Python", "My landlord"], Reason.MIXED_PROMPTS),
        (["Fix my Python", "Fix your Python"], Reason.CLASSIFIED),
        (["Fix my Python", "the weather"], Reason.CLASSIFIED),
    ],
)
async def test_prompts_of_different_categories_go_to_the_default_model(
    router: Router, prompts: list[str], reason: Reason
) -> None:
    asked = parse_request(COMPLETIONS, json.dumps({"model": "MoM", "prompt": prompts}).encode())
    routed = await router.route(asked)
    assert routed.decision.reason is reason
    assert (routed.decision.model == BASE) is (reason is Reason.MIXED_PROMPTS)


async def test_candidates_of_different_categories_are_ambiguous(router: Router) -> None:
    asked = request("Fix my Python")
    ask = structs.replace(asked.ask, others=("My landlord",))
    assert outcome(await router.route(structs.replace(asked, ask=ask))) == (None, Reason.AMBIGUOUS)
    same = structs.replace(asked.ask, others=("My Python",))
    assert outcome(await router.route(structs.replace(asked, ask=same))) == ("technical", Reason.CLASSIFIED)


async def test_the_config_says_what_of_a_message_is_classified(classifier: Classifier) -> None:
    routing = RoutingOptions(ask=AskOptions(take=("Caller says:",), body_field="ask_here"))
    router = Router(config(routing=routing), classifier, ServedModels)
    assert "ask_here" in router.fields
    message = "Ticket notes:\nthe landlord of the flat, and the landlord's law\n\nCaller says: Fix my Python"
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": message}]}).encode()
    routed = await router.route(parse_request(CHAT, body, router.finder))
    assert (routed.ask.text, routed.decision.category) == ("Fix my Python", "technical")


async def test_without_text_the_fallback_category_answers(classifier: Classifier) -> None:
    routed = await Router(config(fallback="legal"), classifier, ServedModels).route(request(""))
    assert outcome(routed) == ("legal", Reason.NO_TEXT)
    assert routed.classification is None


async def test_a_missing_adapter_is_never_asked_for(classifier: Classifier) -> None:
    router = Router(config(), classifier, lambda: ServedModels({"a": (ModelCard(BASE), ModelCard("legal-lora", BASE))}))
    routed = await router.route(request("python"))
    assert outcome(routed) == ("technical", Reason.ADAPTER_MISSING)
    assert json.loads(bytes(routed.edited.body))["model"] == BASE


# --- languages -------------------------------------------------------------------------------------------------

SPANISH = "¿Qué puedo hacer si mi landlord no repara la calefacción?"


@pytest.fixture
def english(make_classifier: Make, tmp_path: Path) -> Iterator[Classifier]:
    """A classifier that is for English only."""
    with make_classifier(toy_artifact.build_measured(tmp_path, languages=["en"])) as classifier:
        yield classifier


@pytest.mark.parametrize(("fallback", "model"), [(None, BASE), ("technical", "technical-lora")])
async def test_a_text_in_another_language_goes_to_the_fallback(
    english: Classifier, fallback: str | None, model: str
) -> None:
    """However sure the classifier is: of such a text its probabilities say nothing."""
    router = Router(config(fallback=fallback), english, ServedModels)
    routed = await router.route(request(SPANISH))
    assert outcome(routed) == (fallback, Reason.UNSUPPORTED_LANGUAGE)
    assert (routed.decision.model, routed.decision.confidence) == (model, None)
    assert b"x-pointsman-language: es\r\n" in decision_lines(routed)
    assert b"language" not in decision_lines(await router.route(request("What can I do about my landlord?")))


async def test_a_turn_in_another_language_neither_keeps_nor_ends_a_conversation(english: Classifier) -> None:
    router = Router(config(), english, ServedModels)
    await router.route(request("my landlord"))
    turns = ["my landlord", "answer", SPANISH]
    assert outcome(await router.route(request(*turns))) == (None, Reason.UNSUPPORTED_LANGUAGE)
    assert outcome(await router.route(request(*turns, "answer", "and now?"))) == ("legal", Reason.STICKY)


async def test_no_step_of_a_turn_in_another_language_switches(english: Classifier) -> None:
    router = Router(config(fallback="technical"), english, ServedModels)
    await router.route(request("my landlord"))
    turns: list[Any] = ["my landlord", "answer", SPANISH]
    assert outcome(await router.route(request(*turns))) == ("technical", Reason.UNSUPPORTED_LANGUAGE)
    for _ in range(2):
        turns += [{"role": "assistant", "content": None}, TOOL]
        assert outcome(await router.route(request(*turns))) == ("technical", Reason.STICKY)
    thanks = {"role": "user", "content": "thanks"}
    assert outcome(await router.route(request(*turns, thanks))) == ("legal", Reason.STICKY)


@pytest.mark.parametrize("ask", ["kun je dat korter zeggen?", "покороче, пожалуйста", "もう少し短くお願いします"])
async def test_a_short_ask_in_another_language_keeps_the_conversations_category(english: Classifier, ask: str) -> None:
    """Whatever its words: most of these have no content, and of the others nothing is known."""
    router = Router(config(), english, ServedModels)
    assert outcome(await router.route(request(ask)))[0] is None
    await router.route(request("my landlord"))
    assert outcome(await router.route(request("my landlord", "answer", ask))) == ("legal", Reason.STICKY)


async def test_a_follow_up_without_content_is_recognised_before_its_language(english: Classifier) -> None:
    router = Router(config(), english, ServedModels)
    await router.route(request("my landlord"))
    routed = await router.route(request("my landlord", "answer", "muchas gracias, más corto por favor"))
    assert outcome(routed) == ("legal", Reason.STICKY)


async def test_the_classification_api_recommends_what_would_be_routed_to(english: Classifier) -> None:
    router = Router(config(), english, ServedModels)
    answers = [await intent(router, json.dumps({"text": text}).encode()) for text in ("my landlord", SPANISH)]
    assert [answer["recommended_model"] for answer in answers] == ["legal-lora", BASE]


# --- a classifier that fails -----------------------------------------------------------------------------------


async def test_a_class_that_comes_too_late_is_not_waited_for(hurried: tuple[Router, Gate]) -> None:
    router, gate = hurried
    hold(router, gate)
    assert outcome(await router.route(request("python"))) == ("legal", Reason.DEADLINE)


async def test_a_full_queue_is_said_to_be_the_reason(hurried: tuple[Router, Gate]) -> None:
    router, gate = hurried
    hold(router, gate)
    assert outcome(await router.route(request("python"))) == ("legal", Reason.DEADLINE)
    router.classifier.encoder._batcher._short.slowdown._taken = 1e6  # seconds: runs have become very slow
    assert outcome(await router.route(request("another"))) == ("legal", Reason.OVERLOADED)


async def test_a_classifier_that_stopped_is_said_to_be_the_reason(router: Router) -> None:
    router.classifier.encoder.close()
    assert outcome(await router.route(request("python"))) == (None, Reason.CLASSIFIER_ERROR)


async def test_when_the_classifier_fails_a_conversation_keeps_its_category(hurried: tuple[Router, Gate]) -> None:
    router, gate = hurried
    await router.route(request("python"))
    hold(router, gate)
    assert outcome(await router.route(request("python", "answer", "blood"))) == ("technical", Reason.DEADLINE)


@pytest.mark.parametrize("reason", [Reason.CLASSIFIER_ERROR, Reason.OVERLOADED])
async def test_so_it_does_where_the_text_was_not_even_queued(router: Router, reason: Reason) -> None:
    await router.route(request("python"))
    error = Overloaded("1 texts wait") if reason is Reason.OVERLOADED else ClassifierError("the classifier stopped")

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    router.classifier.encoder._batcher.submit = refuse  # type: ignore[method-assign]
    assert outcome(await router.route(request("python", "answer", "blood"))) == ("technical", reason)


async def test_what_answered_for_want_of_a_class_does_not_stick(hurried: tuple[Router, Gate]) -> None:
    router, gate = hurried
    hold(router, gate)
    assert outcome(await router.route(request("python"))) == ("legal", Reason.DEADLINE)
    release(router, gate)
    # Nothing is remembered: `python landlord` is unsure, but the earlier ask is not.
    routed = await router.route(request("python", "answer", "python landlord"))
    assert outcome(routed) == ("technical", Reason.STICKY)
    assert not known(routed)


async def test_when_the_classifier_fails_a_turn_goes_where_an_unsure_one_before_went(classifier: Classifier) -> None:
    """Though the fallback is another by now."""
    router = Router(config(fallback="legal"), classifier, ServedModels)
    assert outcome(await router.route(request("python landlord"))) == ("legal", Reason.LOW_CONFIDENCE)
    after = Router(config(fallback="medical"), classifier, ServedModels, router)
    classifier.encoder.close()
    turns = ["python landlord", "answer", "blood"]
    assert outcome(await after.route(request(*turns))) == ("legal", Reason.CLASSIFIER_ERROR)


# --- conversations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        pytest.param("python landlord", ("technical", Reason.STICKY), id="unsure"),
        pytest.param("thanks, and now?", ("technical", Reason.STICKY), id="about nothing"),
        pytest.param("more python", ("technical", Reason.CLASSIFIED), id="the same again"),
        pytest.param("high blood pressure", ("medical", Reason.CLASSIFIED), id="surely another"),
    ],
)
async def test_a_follow_up_turn_keeps_its_conversations_category(
    router: Router, turn: str, expected: tuple[str, Reason]
) -> None:
    await router.route(request("python"))
    assert outcome(await router.route(request("python", "answer", turn))) == expected


async def test_a_function_call_of_the_responses_api_keeps_the_last_decision(router: Router) -> None:
    def asked(*items: Any) -> ParsedRequest:
        first = {"role": "user", "content": "python"}
        return parse_request(RESPONSES, json.dumps({"model": "MoM", "input": [first, *items]}).encode())

    await router.route(asked())
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    routed = await router.route(asked(call, {"type": "function_call_output", "call_id": "c", "output": "5"}))
    assert outcome(routed) == ("technical", Reason.STICKY)
    assert routed.classification is None


async def test_a_tools_result_of_a_conversation_that_was_forgotten_is_classified_by_its_question(
    router: Router,
) -> None:
    routed = await router.route(request("python", "call", TOOL))
    assert outcome(routed) == ("technical", Reason.CLASSIFIED)


async def test_a_dry_run_leaves_no_trace(router: Router) -> None:
    await router.route(request("python"), remember=False)
    assert not known(await router.route(request("python", "answer", "python landlord")))


@pytest.mark.parametrize(
    "routing", [RoutingOptions(sticky=False), RoutingOptions(sticky_entries=1)], ids=["switched off", "bounded"]
)
async def test_no_more_turns_are_remembered_than_the_config_says(
    classifier: Classifier, routing: RoutingOptions
) -> None:
    router = Router(config(routing=routing), classifier, ServedModels)
    await router.route(request("python"))
    await router.route(request("blood"))
    assert not known(await router.route(request("python", "answer", "python landlord")))


async def test_another_config_keeps_what_conversations_stick_to(router: Router, classifier: Classifier) -> None:
    await router.route(request("python"))
    after = Router(config(threshold=0.7), classifier, ServedModels, router)
    routed = await after.route(request("python", "answer", "hello"))
    assert outcome(routed) == ("technical", Reason.STICKY)


@pytest.mark.parametrize("turn", ["hello", ""], ids=["classified", "without text"])
async def test_a_conversation_whose_category_is_gone_begins_anew(
    router: Router, classifier: Classifier, turn: str
) -> None:
    await router.route(request("python"))
    after = Router(config(category("medical"), fallback="medical"), classifier, ServedModels, router)
    routed = await after.route(request("python", "answer", turn))
    assert routed.decision.category == "medical"
    assert routed.decision.reason is not Reason.STICKY


# --- split -----------------------------------------------------------------------------------------------------


# --- an explicit model --------------------------------------------------------------------------------------------


async def test_an_explicit_model_goes_where_it_is_served_now(classifier: Classifier) -> None:
    """What was decided for its name holds until what is served changes."""
    served = ServedModels({"a": (ModelCard("own"),), "b": ()})
    router = Router(config(endpoints=(A, B)), classifier, lambda: served)
    for cards, endpoints in (
        ({"a": (ModelCard("own"),), "b": ()}, (A,)),
        ({"a": (), "b": (ModelCard("own"),)}, (B,)),
        ({"a": (ModelCard("own"),), "b": (ModelCard("own"),)}, (A, B)),
    ):
        served = ServedModels(cards)
        for _ in range(2):
            assert router.explicit(b"{}", "own").decision.endpoints == endpoints


# --- decided anew -------------------------------------------------------------------------------------------------


async def test_a_request_that_is_decided_anew_keeps_its_place_in_a_split(classifier: Classifier) -> None:
    """The same conversation goes to the same entry, on whichever endpoint."""
    split = category("technical", *(entry(f"{letter}-lora", 1.0) for letter in "abcdef"))
    router = Router(config(split, routing=RoutingOptions(split="score"), endpoints=(A, B)), classifier, ServedModels)
    for number in range(24):
        asked = request(f"python {number}")
        routed = await router.route(asked)
        model = routed.decision.model
        again = router.again(asked, routed, ServedModels().without("a", model))
        assert (again.decision.model, again.decision.endpoints) == (model, (B,))
        assert json.loads(bytes(again.edited.body))["model"] == model
        assert again.classification is routed.classification


async def test_one_that_is_decided_anew_still_tells_which_threshold_was_missed(router: Router) -> None:
    asked = request("python landlord")
    routed = await router.route(asked)
    assert routed.decision.missed is not None
    assert router.again(asked, routed, ServedModels()).decision.missed == routed.decision.missed
