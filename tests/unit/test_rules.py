"""Rules that decide before the classifier does: conditions, order, outcomes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api.decision_headers import decision_lines
from pointsman.classify.classifier import Classifier
from pointsman.config.client_keys import ClientKey
from pointsman.config.model import AdapterOptions, Options, RoutingOptions, Rule
from pointsman.formats import CHAT, MESSAGES, RESPONSES, Format
from pointsman.observability.record import Record, request_line
from pointsman.routing.decision import Counterfactual, Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.images import has_images
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.rules import RequestOrigin
from pointsman.routing.sender import Sender
from support.toy_config import BASE, category, config

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def request(*turns: Any, api: Format = CHAT, **fields: Any) -> ParsedRequest:
    messages = [
        turn if isinstance(turn, dict) else {"role": ("user", "assistant")[index % 2], "content": turn}
        for index, turn in enumerate(turns)
    ]
    return parse_request(api, json.dumps({"model": "MoM", api.prompt_field: messages, **fields}).encode())


def router_of(classifier: Classifier, *rules: Rule, **routing: Any) -> Router:
    return Router(config(routing=RoutingOptions(rules=rules, **routing)), classifier, ServedModels)


def to_legal(**conditions: Any) -> Rule:
    return Rule(name="legal first", category="legal", **conditions)


def outcome(routed: RoutedRequest) -> tuple[str, Reason, str | None]:
    return routed.decision.model, routed.decision.reason, routed.decision.rule


LEGAL = ("legal-lora", Reason.RULE, "legal first")
CLASSIFIED = ("technical-lora", Reason.CLASSIFIED, None)

# --- outcomes -------------------------------------------------------------------------------------------------------


async def test_a_rule_decides_without_the_classifier(classifier: Classifier) -> None:
    routed = await router_of(classifier, to_legal(keywords=("python",))).route(request("Fix my Python"))
    assert outcome(routed) == LEGAL
    assert (routed.decision.category, routed.decision.confidence) == ("legal", None)
    assert routed.classification is None


async def test_a_rule_names_an_adapter_or_the_default(classifier: Classifier) -> None:
    for rule, model in (
        (Rule(name="r", adapter="medical-lora"), "medical-lora"),
        (Rule(name="r", adapter=BASE), BASE),
        (Rule(name="r", default=True), BASE),
    ):
        routed = await router_of(classifier, rule).route(request("python"))
        assert outcome(routed) == (model, Reason.RULE, "r")
        assert json.loads(bytes(routed.edited.body))["model"] == model
        assert routed.decision.category is None


async def test_a_rule_bars_an_adapter_and_the_next_answers(classifier: Classifier) -> None:
    never = Rule(name="no lawyers", never="legal-lora", paths=("/v1/chat/completions",))
    router = router_of(classifier, never)
    at_chat = RequestOrigin({}, path="/v1/chat/completions")
    assert outcome(await router.route(request("landlord"), Sender(origin=at_chat))) == (BASE, Reason.RULE, "no lawyers")
    assert outcome(await router.route(request("landlord"))) == ("legal-lora", Reason.CLASSIFIED, None)
    assert outcome(await router.route(request("python"), Sender(origin=at_chat))) == CLASSIFIED


async def test_what_one_rule_bars_no_other_can_name(classifier: Classifier) -> None:
    rules = Rule(name="never", never="legal-lora"), Rule(name="always", adapter="legal-lora")
    assert outcome(await router_of(classifier, *rules).route(request("python"))) == (BASE, Reason.RULE, "always")


async def test_nor_does_a_barred_adapter_answer_as_the_default(classifier: Classifier) -> None:
    rules = (Rule(name="never", never="medical-lora"),)
    made = config(default_model="medical-lora", routing=RoutingOptions(rules=rules))
    routed = await Router(made, classifier, ServedModels).route(request("the weather"))
    assert (routed.decision.model, routed.decision.reason) == (BASE, Reason.RULE)


async def test_the_first_rule_that_matches_decides(classifier: Classifier) -> None:
    rules = (
        Rule(name="first", adapter="medical-lora", keywords=("blood",)),
        Rule(name="second", default=True, keywords=("blood", "python")),
    )
    router = router_of(classifier, *rules)
    assert outcome(await router.route(request("blood and python"))) == ("medical-lora", Reason.RULE, "first")
    assert outcome(await router.route(request("python"))) == (BASE, Reason.RULE, "second")
    assert outcome(await router.route(request("landlord"))) == ("legal-lora", Reason.CLASSIFIED, None)


async def test_a_model_that_the_client_names_is_not_ruled_over(classifier: Classifier) -> None:
    router = router_of(classifier, Rule(name="all", default=True))
    named = parse_request(CHAT, b'{"model": "legal-lora", "messages": []}')
    assert (await router.route(named)).decision.reason is Reason.EXPLICIT_MODEL


async def test_an_adapter_without_tools_is_passed_over_for_a_rule_too(classifier: Classifier) -> None:
    options = Options(
        routing=RoutingOptions(rules=(Rule(name="r", adapter="legal-lora"),)),
        adapters=AdapterOptions(tools={"legal-lora": False}),
    )
    routed = await Router(config(pointsman=options), classifier, ServedModels).route(request("python", tools=TOOLS))
    assert (routed.decision.model, routed.decision.reason) == (BASE, Reason.ADAPTER_WITHOUT_TOOLS)


async def test_a_rule_is_kept_from_its_model_in_shadow(classifier: Classifier) -> None:
    router = router_of(classifier, Rule(name="r", adapter="legal-lora"), mode="shadow")
    decision = (await router.route(request("python"))).decision
    assert (decision.model, decision.reason, decision.rule) == (BASE, Reason.SHADOW, "r")
    assert decision.would == Counterfactual("legal-lora", Reason.RULE)


async def test_planned_anew_a_ruled_request_keeps_what_rules_say(classifier: Classifier) -> None:
    """As where vLLM turns out not to serve the chosen adapter: the barred one answers no more than before."""
    made = config(
        category("technical"),
        category("legal"),
        routing=RoutingOptions(
            rules=(Rule(name="never", never="legal-lora"), Rule(name="law", category="legal", keywords=("python",)))
        ),
    )
    router, asked = Router(made, classifier, ServedModels), request("python")
    routed = await router.route(asked)
    assert outcome(router.again(asked, routed, ServedModels())) == outcome(routed) == (BASE, Reason.RULE, "never")


# --- conditions -----------------------------------------------------------------------------------------------------

HOME = RequestOrigin({b"x-team": b"legal-berlin", b"accept": b"*/*"}, "10.1.2.3", "/v1/chat/completions", "legal-bot")


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"headers": {"X-Team": "legal-berlin"}}, True),
        ({"headers": {"x-team": "legal-*"}}, True),
        ({"headers": {"x-team": "*"}}, True),
        ({"headers": {"x-team": "legal"}}, False),
        ({"headers": {"x-other": "*"}}, False),
        ({"headers": {"x-team": "*", "accept": "text/html"}}, False),
        ({"clients": ("10.0.0.0/8",)}, True),
        ({"clients": ("10.1.2.3", "fd00::/8")}, True),
        ({"clients": ("192.168.0.0/16", "::/0")}, False),
        ({"paths": ("/v1/messages", "/v1/chat/completions")}, True),
        ({"paths": ("/v1/messages",)}, False),
        ({"keys": ("legal-bot", "other")}, True),
        ({"keys": ("other",)}, False),
        ({"keywords": ("java", "python")}, True),
        ({"keywords": ("fix my", "zzz")}, True),
        ({"keywords": ("pyth",)}, False),
        ({"keywords": ("Python", "zzz"), "case_sensitive": True}, True),
        ({"keywords": ("python",), "case_sensitive": True}, False),
        ({"keywords": ("python", "fix"), "keywords_match": "all"}, True),
        ({"keywords": ("python", "zzz"), "keywords_match": "all"}, False),
        ({"keywords": ("java", "zzz"), "keywords_match": "none"}, True),
        ({"keywords": ("java", "fix"), "keywords_match": "none"}, False),
        ({"pattern": r"fix\s+my"}, True),
        ({"pattern": r"^my"}, False),
        ({"pattern": "Fix", "case_sensitive": True}, True),
        ({"pattern": "fix", "case_sensitive": True}, False),
        ({"min_chars": 13, "max_chars": 13}, True),
        ({"min_chars": 14}, False),
        ({"max_chars": 12}, False),
        ({"images": False}, True),
        ({"images": True}, False),
        ({"tools": False}, True),
        ({"tools": True}, False),
        ({"keywords": ("python",), "paths": ("/v1/messages",)}, False),
    ],
)
async def test_all_conditions_must_hold(classifier: Classifier, conditions: dict[str, Any], holds: bool) -> None:
    routed = await router_of(classifier, to_legal(**conditions)).route(request("Fix my Python"), Sender(origin=HOME))
    assert outcome(routed) == (LEGAL if holds else CLASSIFIED)


async def test_a_client_of_a_unix_socket_is_in_no_network(classifier: Classifier) -> None:
    rule = to_legal(clients=("0.0.0.0/0", "::/0"))
    assert (
        outcome(await router_of(classifier, rule).route(request("python"), Sender(origin=RequestOrigin({}))))
        == CLASSIFIED
    )


@pytest.mark.parametrize(
    ("api", "content", "images"),
    [
        (CHAT, [{"type": "text", "text": "python"}, IMAGE], True),
        (MESSAGES, [{"type": "image", "source": {}}, {"type": "text", "text": "python"}], True),
        (RESPONSES, [{"type": "input_text", "text": "python"}, {"type": "input_image", "image_url": "x"}], True),
        (CHAT, 'python "type":"image_url"', False),
        (CHAT, [{"type": "text", "text": 'python {"type":"image"}'}], False),
        (CHAT, "python", False),
    ],
)
async def test_images_are_found_in_each_format_and_not_in_what_is_said(
    classifier: Classifier, api: Format, content: Any, images: bool
) -> None:
    router = router_of(classifier, to_legal(images=True))
    routed = await router.route(request({"role": "user", "content": content}, api=api))
    assert outcome(routed) == (LEGAL if images else CLASSIFIED)


async def test_a_client_without_a_key_has_none_of_a_name(classifier: Classifier) -> None:
    router = router_of(classifier, to_legal(keys=("legal-bot",)))
    assert outcome(await router.route(request("python"), Sender(origin=RequestOrigin({})))) == CLASSIFIED


async def test_tools_are_a_condition(classifier: Classifier) -> None:
    router = router_of(classifier, to_legal(tools=True))
    assert outcome(await router.route(request("python", tools=TOOLS))) == LEGAL


class German:
    """Stands in for a classifier whose artifact declares languages: what it reads is in German."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.texts: list[str] = []
        self.clients: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    async def classify(self, text: str, *how: Any) -> Any:
        self.texts.append(text)
        self.clients.append(how[1])
        return dataclasses.replace(await self._classifier.classify(text, *how), language="de")


async def test_the_language_is_a_condition_once_it_is_known(classifier: Classifier) -> None:
    german: Any = German(classifier)
    assert outcome(await router_of(german, to_legal(languages=("de", "fr"))).route(request("python"))) == LEGAL
    assert outcome(await router_of(german, to_legal(languages=("fr",))).route(request("python"))) == CLASSIFIED


async def test_for_the_language_a_text_is_classified_as_its_clients(classifier: Classifier) -> None:
    german: Any = German(classifier)
    await router_of(german, to_legal(languages=("de",))).route(request("python"), Sender(key=ClientKey("ann", b"")))
    assert german.clients == ["ann"]


async def test_nothing_is_classified_for_the_language_where_another_condition_fails(classifier: Classifier) -> None:
    german: Any = German(classifier)
    rules = to_legal(languages=("de",), keywords=("zzz",)), Rule(name="rest", default=True)
    assert outcome(await router_of(german, *rules).route(request("python"))) == (BASE, Reason.RULE, "rest")
    assert german.texts == []


async def test_where_nobody_asked_there_is_nothing_to_find(classifier: Classifier) -> None:
    """A front end's helper task, or too many messages: what the client is counts all the same."""
    helper = request(
        "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n"
        '### Output:\nJSON format: { "title": "your concise title here" }\n'
        "### Chat History:\n<chat_history>\nUSER: landlord\n</chat_history>"
    )
    many = request(*["python"] * 4_098)
    by_text, by_client = to_legal(max_chars=10**6), to_legal(clients=("10.0.0.0/8",))
    for asked, reason in ((helper, Reason.HELPER_TASK), (many, Reason.TOO_MANY_PARTS)):
        assert outcome(await router_of(classifier, by_text).route(asked, Sender(origin=HOME))) == (BASE, reason, None)
        assert outcome(await router_of(classifier, by_client).route(asked, Sender(origin=HOME))) == LEGAL


async def test_of_a_long_ask_both_ends_are_looked_at(classifier: Classifier) -> None:
    router = router_of(classifier, to_legal(keywords=("needle",)))
    hay = "hay " * 2_000
    assert (await router.route(request("needle " + hay))).decision.reason is Reason.RULE
    assert (await router.route(request(hay + "needle"))).decision.reason is Reason.RULE
    assert (await router.route(request(hay + "needle " + hay))).decision.reason is not Reason.RULE


# --- conversations --------------------------------------------------------------------------------------------------


async def test_a_category_that_a_rule_chose_is_the_conversations(classifier: Classifier) -> None:
    router = router_of(classifier, to_legal(keywords=("contract",)))
    await router.route(request("a contract in python"))
    later = await router.route(request("a contract in python", "a", "thanks"))
    assert (later.decision.model, later.decision.reason) == ("legal-lora", Reason.STICKY)


async def test_a_rule_that_names_a_model_leaves_the_conversations_category(classifier: Classifier) -> None:
    router = router_of(classifier, Rule(name="r", adapter="medical-lora", keywords=("now",)))
    await router.route(request("python"))
    now = await router.route(request("python", "a", "and now"))
    later = await router.route(request("python", "a", "and now", "b", "thanks"))
    assert (now.decision.model, later.decision.model) == ("medical-lora", "technical-lora")


async def test_no_step_of_a_turn_leaves_its_rule(classifier: Classifier) -> None:
    router = router_of(classifier, Rule(name="r", adapter="medical-lora", keywords=("python",)))
    step = {"role": "tool", "tool_call_id": "c", "content": "landlord"}
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": {}}]}
    await router.route(request("python"))
    assert outcome(await router.route(request("python", call, step))) == ("medical-lora", Reason.RULE, "r")


# --- what is told ---------------------------------------------------------------------------------------------------


async def test_the_name_of_the_rule_is_told(classifier: Classifier) -> None:
    router, asked = router_of(classifier, to_legal()), request("python")
    routed = await router.route(asked)
    assert b"x-pointsman-reason: rule\r\n" in decision_lines(routed)
    assert b"x-pointsman-rule: legal first\r\n" in decision_lines(routed)
    done = Record("id", "/v1/chat/completions", status=200)
    done.decided(routed)
    assert request_line(done)["rule"] == "legal first"
    assert "rule       legal first" in render(describe(router, asked, routed))


def test_without_rules_there_is_nothing_to_ask(classifier: Classifier) -> None:
    """So that a request pays nothing for them."""
    assert router_of(classifier).rules is None


def test_of_more_than_a_mebibyte_of_messages_no_older_one_is_searched_for_images() -> None:
    image = [{"type": "image_url", "image_url": {"url": "x"}}]
    text = [{"type": "text", "text": "x" * 70_000}]
    old, new = ([{"role": "user", "content": content} for content in (image, *[text] * count)] for count in (20, 2))
    assert has_images(parse_request(CHAT, json.dumps({"messages": new}).encode()).messages)
    assert not has_images(parse_request(CHAT, json.dumps({"messages": old}).encode()).messages)
