"""A decision in full, as `POST /v1/route` and `pointsman explain` tell it, and what the router keeps."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from pointsman.adapters.catalog import ServedModels
from pointsman.api.decision_headers import decision_lines
from pointsman.classify.classification import Timing
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config, RoutingOptions
from pointsman.formats import CHAT
from pointsman.routing.decision import Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.router import Router
from support.toy_config import BASE, A, B, category, config, entry


def request(text: str, model: str | None = "MoM") -> ParsedRequest:
    return parse_request(CHAT, json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode())


async def explained(classifier: Classifier, asked: ParsedRequest, made: Config | None = None) -> dict[str, Any]:
    router = Router(made or config(endpoints=(A, B)), classifier, ServedModels)
    return describe(router, asked, await router.route(asked))


async def test_a_decision_is_told_with_all_that_led_to_it(classifier: Classifier) -> None:
    explanation = await explained(classifier, request("Fix my Python"))

    confidence = explanation["decision"].pop("confidence")
    assert explanation["decision"] == {
        "model": "technical-lora",
        "base_model": BASE,
        "endpoints": ["a", "b"],
        "category": "technical",
        "threshold": 0.6,
        "threshold_origin": "category_model.threshold",
        "reason": "classified",
        "missed": None,
        "near": None,
        "rule": None,
        "would": None,
        "reasoning": False,
        "system_prompt": None,
        "tools": False,
    }
    assert round(confidence, 6) == explanation["categories"]["technical"]
    assert list(explanation["categories"]) == ["technical", "medical", "legal"]
    assert sum(explanation["labels"].values()) == pytest.approx(1, abs=1e-5)
    assert next(iter(explanation["labels"])) == "computer science"
    assert list(explanation["labels"].values()) == sorted(explanation["labels"].values(), reverse=True)
    assert all(score == round(score, 6) for score in explanation["labels"].values())
    assert explanation["text"] == {
        "by_material": False,
        "by_line": False,
        "artifact": classifier.name,
        "tokens": 5,
        "truncated": False,
        "source": "run",
        "language": None,
        "supported_language": True,
    }
    assert list(explanation["timing_ms"]) == ["queue", "tokenize", "infer", "decide"]
    assert all(0 <= milliseconds < 10_000 for milliseconds in explanation["timing_ms"].values())


async def test_each_categorys_threshold_is_told(classifier: Classifier) -> None:
    made = config(routing=RoutingOptions(thresholds={"legal": 0.9}))
    assert (await explained(classifier, request("Fix my Python"), made))["thresholds"] == {
        "technical": 0.6,
        "medical": 0.6,
        "legal": 0.9,
    }
    assert (await explained(classifier, request("Hi", "legal-lora")))["thresholds"] == {}


async def test_the_message_is_told_in_which_the_steps_are(classifier: Classifier) -> None:
    text = "<context>\n\U0001f642 fever\n</context>\n\nQuestion: Fix my Python?"
    explanation = (await explained(classifier, request(text)))["ask"]
    assert explanation["message"] == text
    assert (
        [text[step["start"] : step["end"]] for step in explanation["steps"]][-1]
        == explanation["text"]
        == "Fix my Python?"
    )


async def test_a_message_of_more_than_64_kib_is_not_told(classifier: Classifier) -> None:
    for length, whole in ((65_000, True), (65_536, False)):
        explanation = (await explained(classifier, request("x" * length)))["ask"]["message"]
        assert (explanation == "x" * length) is whole
        assert whole or explanation is None


async def test_an_edit_is_told_with_both_sides(classifier: Classifier) -> None:
    explanation = await explained(classifier, request("Fix my Python"))

    assert explanation["edits"] == [
        {"field": "model", "from": '"MoM"', "to": '"technical-lora"'},
        {"field": "chat_template_kwargs", "from": None, "to": '{"enable_thinking":false}'},
    ]


async def test_of_a_long_edit_both_ends_are_told(classifier: Classifier) -> None:
    """Else the answer would be twice as long as the conversation."""
    made = config(category("technical", system_prompt="Ours."), category("legal"))
    explanation = await explained(classifier, request("Fix my Python " + "é" * 10**6), made)

    (edit,) = [one for one in explanation["edits"] if one["field"] == "messages"]
    assert edit["to"].startswith('[{"role":"system","content":"Ours."},{"role": "user"')
    assert edit["to"].endswith('"}]')
    assert max(len(edit[side].encode()) for side in ("from", "to")) < 5000
    (line,) = [line for line in render(explanation).splitlines() if line.startswith("  messages: ")]
    assert len(line) < 1000
    assert "Ours." in line


async def test_a_long_edit_is_not_copied_for_it(classifier: Classifier) -> None:
    made = config(category("technical", system_prompt="Ours."), category("legal"))
    asked = request("Fix my Python " + "a" * 8_000_000)
    router = Router(made, classifier, ServedModels)
    routed = await router.route(asked)
    tracemalloc.start()
    describe(router, asked, routed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


async def test_a_threshold_that_was_missed_is_told_with_its_category(classifier: Classifier) -> None:
    """Though another category, or none, is the decision's."""
    made = config(fallback="medical", routing=RoutingOptions(thresholds={"technical": 0.9}))
    explanation = await explained(classifier, request("python landlord"), made)

    decision = explanation["decision"]
    assert (decision["category"], decision["reason"]) == ("medical", "low_confidence")
    assert (decision["threshold"], decision["missed"]) == (0.9, {"category": "technical", "threshold": 0.9})
    reason = f"reason     low_confidence (confidence {decision['confidence']:.3f}, threshold 0.9 of technical"
    assert f"{reason} by routing.thresholds)" in render(explanation)


def test_a_service_of_a_former_release_names_no_origin() -> None:
    decision = {name: value for name, value in DESCRIPTION["decision"].items() if name != "threshold_origin"}
    assert "reason     classified (confidence 0.988, threshold 0.6)" in render(DESCRIPTION | {"decision": decision})


async def test_where_no_threshold_counted_none_is_shown(classifier: Classifier) -> None:
    """As for what is in another language."""
    explanation = await explained(classifier, request(""))
    assert explanation["decision"]["threshold_origin"] is None
    assert "threshold" not in render(explanation).splitlines()[2]


async def test_a_second_category_with_half_of_the_score_is_told_as_near(classifier: Classifier) -> None:
    explanation = await explained(classifier, request("python landlord"))
    assert explanation["decision"]["near"] == {
        "category": "legal",
        "confidence": pytest.approx(explanation["categories"]["legal"], abs=1e-4),
    }
    assert f"near       legal ({explanation['categories']['legal']:.2f})" in render(explanation)


async def test_each_categorys_threshold_is_told_with_where_it_is_from(classifier: Classifier) -> None:
    made = config(routing=RoutingOptions(thresholds={"legal": 0.8}))
    explanation = await explained(classifier, request("Fix my Python"), made)
    assert explanation["thresholds"] == {"technical": 0.6, "medical": 0.6, "legal": 0.8}
    assert explanation["threshold_origins"]["legal"] == "routing.thresholds"
    assert explanation["threshold_origins"]["medical"] == "category_model.threshold"


async def test_without_a_class_there_are_no_scores(classifier: Classifier) -> None:
    explanation = await explained(classifier, request("anything", model="legal-lora"))

    assert (explanation["categories"], explanation["labels"], explanation["edits"], explanation["text"]) == (
        {},
        {},
        [],
        None,
    )
    assert list(explanation["timing_ms"]) == ["decide"]


DESCRIPTION: dict[str, Any] = {
    "decision": {
        "model": "law-lora",
        "base_model": "base",
        "endpoints": ["a", "b"],
        "category": "law",
        "confidence": 0.98765,
        "threshold": 0.6,
        "threshold_origin": "category_model.threshold",
        "reason": "classified",
        "missed": None,
        "reasoning": True,
        "system_prompt": "insert",
        "tools": True,
    },
    "ask": {
        "kind": "ask",
        "text": "What is\na tort?",
        "others": [],
        "steps": [{"what": "material", "start": 0, "end": 40}, {"what": "taken", "start": 42, "end": 57}],
    },
    "conversation": None,
    "categories": {"law": 0.98765, "health": 0.01},
    "labels": {"law": 0.5},
    "edits": [{"field": "model", "from": '"MoM"', "to": '"law-lora"'}, {"field": "x", "from": None, "to": "1"}],
    "text": None,
    "timing_ms": {"queue": 0.125, "decide": 12.0},
}


def test_a_terminal_shows_it_in_columns() -> None:
    assert render(DESCRIPTION).splitlines() == [
        "model      law-lora (adapter of base)",
        "category   law",
        "reason     classified (confidence 0.988, threshold 0.6 by category_model.threshold)",
        "endpoints  a, b",
        "tools      the request carries tools",
        "prompt     insert",
        "reasoning  on",
        "ask        ask: What is a tort?",
        "  material           characters 0 to 40",
        "  taken              characters 42 to 57",
        "categories",
        "  law                 0.988 ########################################",
        "  health              0.010",
        "labels",
        "  law                 0.500 ####################",
        "edits",
        '  model: "MoM" -> "law-lora"',
        "  x: (absent) -> 1",
        "time (ms)",
        "  queue      0.125",
        "  decide     12.000",
    ]


def test_a_terminal_is_not_told_what_to_do_by_a_request() -> None:
    """Of a request that somebody else sent: an escape sequence may write to the clipboard."""
    odd = "\x1b]52;c;cm0=\x07 \x9b2J\u202e\x00"
    ask, edit = DESCRIPTION["ask"] | {"text": odd}, {"field": "x", "from": f'{{\n"{odd}"}}', "to": odd}
    shown = render(DESCRIPTION | {"ask": ask, "edits": [edit], "decision": DESCRIPTION["decision"] | {"model": odd}})
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "ask        ask: ?]52;c;cm0=? ?2J??" in shown
    assert '  x: { "?]52;' in shown


def test_a_terminal_shows_a_dash_for_what_there_is_not() -> None:
    decision = DESCRIPTION["decision"] | {"model": "base", "category": None, "confidence": None}

    lines = render(DESCRIPTION | {"decision": decision}).splitlines()

    assert lines[:2] == ["model      base", "category   -"]
    assert "(confidence -, threshold 0.6 by " in lines[2]


@pytest.mark.parametrize(("supported", "line"), [(True, "language   en"), (False, "language   en (not declared)")])
def test_a_terminal_shows_the_language_if_it_is_certain(supported: bool, line: str) -> None:
    text = {"language": "en", "supported_language": supported}

    assert line in render(DESCRIPTION | {"text": text}).splitlines()
    assert render(DESCRIPTION | {"text": text | {"language": None}}) == render(DESCRIPTION)


def test_a_terminal_shows_what_was_remembered_in_a_line() -> None:
    conversation = {"outcome": "kept", "why": "it goes on", "category": "law"}
    lines = render(DESCRIPTION | {"conversation": conversation}).splitlines()
    assert "remembered law (kept: it goes on)" in lines
    lines = render(DESCRIPTION | {"conversation": conversation | {"category": None}}).splitlines()
    assert "remembered - (kept: it goes on)" in lines


# --- the conversation ------------------------------------------------------------------------------------------------


def turns(*said: str) -> ParsedRequest:
    messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(said)]
    return parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages}).encode())


LAW, CODE = "my landlord keeps the deposit, is this lawful?", "Fix my Python"


@pytest.mark.parametrize(
    ("last", "outcome", "why", "next_category"),
    [
        (("thanks",), "kept", "the ask has no subject of its own", "legal"),
        ((LAW + " And the rent?",), "kept", "the ask is about it", "legal"),
        ((), "kept", "the request goes on with a turn", "legal"),
        ((CODE,), "released", "the ask is surely about something else", "technical"),
    ],
)
async def test_it_is_told_what_was_remembered_and_what_becomes_of_it(
    classifier: Classifier, last: tuple[str, ...], outcome: str, why: str, next_category: str
) -> None:
    router = Router(config(endpoints=(A, B)), classifier, ServedModels)
    assert (await router.route(turns(LAW))).decision.category == "legal"
    asked = turns(LAW, "No.", *last)
    explanation = describe(router, asked, await router.route(asked, remember=False))
    assert (explanation["conversation"].pop("together") is not None) is (outcome == "released")
    assert explanation["conversation"] == {
        "outcome": outcome,
        "why": why,
        "turns": 1 + len(last),
        "known": True,
        "category": "legal",
        "next_category": next_category,
    }


async def test_a_conversation_that_is_not_known_here_is_told_from_a_first_turn(classifier: Classifier) -> None:
    made = config(endpoints=(A, B))
    first = await explained(classifier, turns(LAW), made)
    assert first["conversation"] == {
        "outcome": "first",
        "why": "it is a first turn",
        "turns": 1,
        "known": False,
        "category": None,
        "next_category": "legal",
        "together": None,
    }
    later = await explained(classifier, turns(LAW, "No.", "thanks"), made)
    assert (later["conversation"]["outcome"], later["conversation"]["known"]) == ("unknown", False)
    routing = replace(made.pointsman, routing=replace(made.pointsman.routing, sticky=False))
    off = await explained(classifier, turns(LAW, "No.", "thanks"), replace(made, pointsman=routing))
    assert (off["conversation"]["outcome"], off["conversation"]["why"]) == ("off", "routing.sticky is off")


async def test_a_model_that_the_client_named_has_no_conversation(classifier: Classifier) -> None:
    assert (await explained(classifier, request("x", model="legal-lora")))["conversation"] is None


# --- what the router keeps -----------------------------------------------------------------------------------------


async def test_no_more_than_1024_names_are_kept(classifier: Classifier) -> None:
    """Clients choose the names, so there must be a bound."""
    now = ServedModels()
    router = Router(config(), classifier, lambda: now)
    first = router.explicit(b"{}", "0").decision
    for number in range(1, 1024):
        router.explicit(b"{}", str(number))
    assert router.explicit(b"{}", "0").decision is first

    router.explicit(b"{}", "1024")
    assert router.explicit(b"{}", "0").decision is not first


async def test_of_a_name_of_more_than_256_characters_the_beginning_is_kept(classifier: Classifier) -> None:
    routed = Router(config(), classifier, ServedModels).explicit(b"{}", "m" * 10_000)
    assert (routed.decision.model, routed.edited.body) == ("m" * 256, b"{}")
    assert b"x-vsr-selected-model: " + b"m" * 256 + b"\r\n" in decision_lines(routed)


async def test_a_choice_can_be_decided_anew_where_less_is_served(classifier: Classifier) -> None:
    law = category("legal", entry("legal-lora", 1.0), entry("technical-lora", 0.5))
    router = Router(config(law, category("technical")), classifier, ServedModels)
    asked = request("my landlord")
    first = await router.route(asked)
    assert first.decision.model == "legal-lora"

    second = router.again(asked, first, ServedModels().without("a", "legal-lora"))

    assert (second.decision.model, second.decision.reason) == ("technical-lora", Reason.ADAPTER_MISSING)
    assert (second.decision.category, second.decision.confidence) == ("legal", first.decision.confidence)
    assert json.loads(bytes(second.edited.body))["model"] == "technical-lora"
    assert second.classification is first.classification
    assert second.decide == first.decide


async def test_times_are_in_milliseconds_with_three_digits(classifier: Classifier) -> None:
    router = Router(config(), classifier, ServedModels)
    asked = request("Fix my Python")
    routed = await router.route(asked)
    assert routed.classification is not None
    timing = Timing(queue=0.25, tokenize=1.5, infer=2.0001234)
    timed = structs.replace(routed.reading, classification=replace(routed.classification, timing=timing))
    routed = structs.replace(routed, reading=timed, decide=0.125)

    assert describe(router, asked, routed)["timing_ms"] == {
        "queue": 250.0,
        "tokenize": 1500.0,
        "infer": 2000.123,
        "decide": 125.0,
    }
