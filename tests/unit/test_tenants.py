"""Where clients have keys, none learns from an answer or its time what another has sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classification import Classification, Timing
from pointsman.classify.classifier import Classifier
from pointsman.config.client_keys import ClientKey
from pointsman.formats import CHAT
from pointsman.routing.ask import Ask, AskFinder
from pointsman.routing.history import HistoryReader
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.policy import Policy
from pointsman.routing.router import Router
from pointsman.routing.sender import Sender
from pointsman.routing.steps import Steps, finish
from support import playbook
from support.client_keys import bearer, line
from support.gate import Gate
from support.playbook import OK, Wire, playing
from support.toy_config import config

Make = Callable[..., AbstractContextManager[Classifier]]


# --- the classifier ---------------------------------------------------------------------------------------------


async def test_a_client_hits_what_it_has_sent_itself_and_nothing_else(classifier: Classifier) -> None:
    asked = [("ann", "python"), ("bob", "python"), ("", "python"), ("ann", "python"), ("bob", "python"), ("", "python")]

    found = [await classifier.classify(text, client=client) for client, text in asked]

    assert [one.source for one in found] == ["run"] * 3 + ["hit"] * 3
    assert len({one.probabilities for one in found}) == 1


async def test_a_clients_texts_share_a_run_in_flight_and_those_of_two_do_not(classifier: Classifier) -> None:
    gate = Gate(classifier)
    gate.close()
    clients = ("ann", "ann", "bob", "", "bob")
    asked = [asyncio.create_task(classifier.classify("python", client=client)) for client in clients]
    await gate.entered()
    gate.open()

    found = await asyncio.gather(*asked)

    assert [one.source for one in found] == ["run", "coalesced", "run", "run", "coalesced"]
    assert sum(gate.runs) == 3


async def test_the_names_of_clients_and_texts_are_not_confused(classifier: Classifier) -> None:
    asked = [("ann", "bob"), ("bob", "ann"), ("", "annbob"), ("annbob", ""), ("an", "nbob")]

    assert {(await classifier.classify(text, client=client)).source for client, text in asked} == {"run"}


async def test_a_text_that_is_cut_before_it_is_read_is_its_clients_too(make_classifier: Make) -> None:
    with make_classifier(max_tokens=8) as classifier:
        long, alike = ("python " * 20 + middle + "python " * 20 for middle in ("a" * 100, "b" * 100))
        asked = [("ann", long), ("bob", alike), ("bob", long), ("ann", alike)]

        sources = [(await classifier.classify(text, client=client)).source for client, text in asked]

        assert sources == ["run", "run", "hit", "hit"]


async def test_all_clients_together_have_one_bound(make_classifier: Make) -> None:
    with make_classifier(cache_entries=2) as classifier:
        for client in ("ann", "bob", "eve"):
            await classifier.classify("python", client=client)

        assert classifier.encoder.evicted == 1
        assert (await classifier.classify("python", client="ann")).source == "run"


# --- what else is remembered ------------------------------------------------------------------------------------


def messages(*said: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[index % 2], "content": text} for index, text in enumerate(said)]}


def asked(*said: str) -> ParsedRequest:
    return parse_request(CHAT, json.dumps({"model": "MoM"} | messages(*said)).encode())


def send(wire: Wire, path: str, body: dict[str, Any], key: str) -> None:
    """Send a request; vLLM answers it where it gets it."""
    data = json.dumps(body).encode()
    fields = ["Host: here", "Content-Type: application/json", f"Content-Length: {len(data)}", bearer(key)]
    before = wire.a.requests
    wire.client.sends("\r\n".join([f"POST {path} HTTP/1.1", *fields, "", ""]).encode() + data)
    if wire.a.requests > before:
        wire.upstream.sends(OK)
    assert wire.answer.status == 200, wire.answer


def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that are searched for an ask from now on."""
    found: list[str] = []
    search = AskFinder._search

    def noted(self: AskFinder, given: list[str], whole: str, span: Any) -> Steps[Ask]:
        found.append(whole)
        return search(self, given, whole, span)

    monkeypatch.setattr(AskFinder, "_search", noted)
    return found


def test_an_ask_is_searched_for_anew_for_each_client(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = AskFinder()
    searched = searches(monkeypatch)
    body = json.dumps(messages("Why?")).encode()

    asks = [parse_request(CHAT, body, finder.of(client)).ask for client in ("ann", "bob", "", "ann", "bob", "")]

    assert searched == ["Why?"] * 3
    assert len(set(asks)) == 1


def test_a_message_without_an_ask_is_looked_at_anew_for_each_client() -> None:
    finder = AskFinder()
    for client in ("ann", "bob", "", "ann", "bob", ""):
        finder.of(client).whole(["Why?"])

    assert len(finder.memory.asks) == 3


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/route"])
def test_so_it_is_on_every_path(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing(keys=line("ann") + line("bob")) as wire, monkeypatch.context() as patch:
        searched = searches(patch)
        for key in ("ann", "bob", "ann", "bob"):
            send(wire, path, {"model": "MoM"} | messages("Why?"), key)

        assert searched == ["Why?"] * 2


def test_a_message_that_was_read_lately_is_known_to_its_client() -> None:
    finder, content = AskFinder(), b'"Why?"'
    finder.of("ann").remember(content, b"", finder.find(["Why?"]))

    assert [finder.of(client).recall(content, b"") is None for client in ("ann", "bob", "")] == [False, True, True]


def test_what_earlier_messages_say_is_read_anew_for_each_client(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = AskFinder()
    reader = HistoryReader(finder)
    request = asked("What is a heap?", "A tree.", "Why?")
    searched = searches(monkeypatch)

    for client in ("ann", "bob", "", "ann", "bob", ""):
        history = finish(reader.read(request.messages, request.ask, request.asked, client))
        assert [turn.ask for turn in history.turns] == ["Why?", "What is a heap?"]

    assert searched == ["What is a heap?"] * 3
    assert len(finder.memory.digests) == 3 * 3


def test_the_policy_of_clients_with_keys_decides_the_same_and_remembers_nothing() -> None:
    policy = Policy(config(), ("technical", "medical", "legal"))
    known = policy._known_choice.cache_info  # type: ignore[attr-defined]

    chosen = [one.choose((0.9, 0.1, 0.0)) for one in (policy.forgetful, policy.forgetful)]

    assert known().currsize == 0
    assert chosen == [policy.choose((0.9, 0.1, 0.0))] * 2
    assert known().currsize == 1


@pytest.mark.parametrize("said", [("python",), ("python", "A language.", "and python")])
async def test_routing_for_a_client_uses_nothing_that_another_has_left(classifier: Classifier, said: Any) -> None:
    router = Router(config(), classifier, ServedModels)
    for name in ("ann", "bob"):
        routed = await router.route(asked(*said), Sender(key=ClientKey(name, b"")), remember=False)
        assert routed.decision.category == "technical"

    assert len(router.finder.memory.digests) == 2 * len(said)
    assert router.policy._known_choice.cache_info().currsize == 0  # type: ignore[attr-defined]


async def test_what_is_read_of_a_change_of_subject_is_its_clients(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ask with what was before it, too."""
    clients: list[tuple[str, str]] = []
    classify = classifier.classify

    async def noted(text: str, deadline: Any = None, client: str = "", *_: Any) -> Classification:
        clients.append((client, text))
        return await classify(text, deadline, client)

    monkeypatch.setattr(classifier, "classify", noted)
    router, key = Router(config(), classifier, ServedModels), ClientKey("ann", b"")
    await router.route(asked("python python"), Sender(key=key))
    routed = await router.route(asked("python python", "A language.", "landlord landlord landlord"), Sender(key=key))

    assert routed.follow_up is not None
    assert routed.follow_up.together is not None
    assert [client for client, _ in clients] == ["ann"] * 3


# --- every path that classifies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "min_classified"),
    [
        pytest.param("/v1/chat/completions", messages("What is a heap?"), 1, id="chat"),
        pytest.param(
            "/v1/chat/completions",
            messages("What is a heap?", "A tree.", "And what does a torn meniscus feel like?"),
            2,
            id="a follow-up with what was before",
        ),
        pytest.param(
            "/v1/chat/completions",
            messages("Hello, the week was long and warm.\nHow do I undo a commit in git?"),
            2,
            id="beside the ask",
        ),
        pytest.param("/v1/completions", {"prompt": ["What is a heap?", "Why do I cough?"]}, 2, id="two prompts"),
        pytest.param("/v1/responses", {"input": "What is a heap?"}, 1, id="responses"),
        pytest.param("/v1/messages", messages("What is a heap?"), 1, id="messages"),
        pytest.param("/v1/messages/count_tokens", messages("What is a heap?"), 1, id="counting"),
        pytest.param("/v1/route", messages("What is a heap?", "A tree.", "Where does it grow?"), 2, id="the dry run"),
        pytest.param("/api/v1/classify/intent", {"text": "What is a heap?"}, 1, id="an intent"),
        pytest.param("/api/v1/classify/batch", {"texts": ["What is a heap?", "Why?"]}, 2, id="a batch"),
    ],
)
@pytest.mark.parametrize("keyed", [True, False])
def test_every_text_is_classified_as_its_clients(
    path: str, body: dict[str, Any], min_classified: int, keyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the key, and as nobody's where there are no keys."""
    classified = []

    async def classify(_: Any, text: str, __: float | None, client: str = "", *___: Any) -> Classification:
        classified.append(client)
        return Classification((0.4, 0.3, 0.3), 5, False, Timing(), "run", "5ca1ab1e")

    monkeypatch.setattr(playbook._Sure, "classify", classify)
    with playing(keys=line("ann") if keyed else None) as wire:
        send(wire, path, {"model": "MoM"} | body if path.startswith("/v1") else body, "ann")
    assert len(classified) >= min_classified
    assert set(classified) == {"ann" if keyed else ""}
