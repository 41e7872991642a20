"""A second adapter on trial for a category: its share, what commands decide, and that it rolls back by itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.api.canary import canary_routes
from pointsman.app.overlay import OverlayStore
from pointsman.classify.classifier import Classifier
from pointsman.cli.canary import render
from pointsman.config import overlay
from pointsman.config.client_keys import ClientKey, KeyScope
from pointsman.config.model import Canary, CategoryRollout, Config, Lora, Model, RoutingOptions
from pointsman.config.overlay import CanaryOutcome, Overlay, with_canary
from pointsman.experiments.canary_monitor import CanaryMonitor
from pointsman.formats import CHAT
from pointsman.observability.record import Record, request_line
from pointsman.routing.canaries import Arm
from pointsman.routing.decision import Reason
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.sender import Sender
from support.config_files import MINIMAL, category, loaded, problems
from support.metrics import Metrics
from support.playbook import OK, Wire, playing, with_length
from support.toy_config import BASE, config

LORAS = tuple(Lora(name=name) for name in ("technical-lora", "medical-lora", "legal-lora", "technical-v2"))


def routing_of(percent: float = 30.0, **routing: Any) -> RoutingOptions:
    canary = Canary(adapter="technical-v2", percent=percent)
    return RoutingOptions(categories={"technical": CategoryRollout(canary=canary)}, **routing)


def config_of(percent: float = 30.0, **routing: Any) -> Config:
    return config(routing=routing_of(percent, **routing), base=Model(loras=LORAS))


async def send(router: Router, *turns: str) -> RoutedRequest:
    messages = [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]
    return await router.route(parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages}).encode()))


# --- shares ---------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
async def test_a_canary_gets_its_share_of_the_categorys_conversations(classifier: Classifier) -> None:
    router = Router(config_of(), classifier, ServedModels)
    canary = 0
    for number in range(400):
        first = (await send(router, f"python {number}")).decision
        later = (await send(router, f"python {number}", "a", "thanks")).decision
        assert (first.model, first.arm) == (later.model, later.arm), "a conversation changed its arm"
        assert first.model == ("technical-v2" if first.arm is Arm.CANARY else "technical-lora")
        canary += first.arm is Arm.CANARY
    assert 80 <= canary <= 160  # 120 are expected, and 4.4 standard deviations allowed


async def test_other_categories_are_not_touched(classifier: Classifier) -> None:
    decision = (await send(Router(config_of(100), classifier, ServedModels), "landlord")).decision
    assert (decision.model, decision.arm) == ("legal-lora", None)


async def test_a_canary_that_is_not_served_leaves_the_stable_arms_models(classifier: Classifier) -> None:
    served = ServedModels({"a": (ModelCard(BASE), ModelCard("technical-lora", BASE))})
    decision = (await send(Router(config_of(100), classifier, lambda: served), "python")).decision
    assert (decision.model, decision.reason) == ("technical-lora", Reason.ADAPTER_MISSING)


async def test_what_the_rollout_withholds_is_on_no_arm(classifier: Classifier) -> None:
    decision = (await send(Router(config_of(100, mode="shadow"), classifier, ServedModels), "python")).decision
    assert (decision.model, decision.arm) == (BASE, None)
    assert decision.would is not None
    assert decision.would.model == "technical-v2"


async def test_those_who_share_a_first_turn_are_mixed_from_the_second_on(classifier: Classifier) -> None:
    """They may be on another arm there, so they say nothing of either."""
    router = Router(config_of(50), classifier, ServedModels)
    alone = await send(router, "python alone")
    alone = await send(router, "python alone", "a", "thanks")
    for _ in range(2):
        await send(router, "python")
    together = await send(router, "python", "a", "thanks")
    further = await send(router, "python", "a", "thanks", "b", "shorter, please")
    assert [routed.remembered is not None and routed.remembered.mixed for routed in (alone, together, further)] == [
        *(False, True, True)
    ]


@pytest.mark.parametrize(
    ("percent", "counts"),
    [
        pytest.param(0.0, None, id="no trial"),
        *((percent, {"canary": 0, "stable": 0}) for percent in (0.5, 99.5)),
        pytest.param(100.0, None, id="no stable arm"),
    ],
)
async def test_a_client_that_may_not_have_a_canary_is_on_no_arm(
    classifier: Classifier, percent: float, counts: dict[str, int] | None
) -> None:
    """Nor is it counted for the stable arm, where it would always be."""
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": "python"}]}).encode()
    limited = Sender(key=ClientKey("ann", b"", KeyScope(frozenset({BASE, "technical-lora"}), BASE)))
    made, monitor = config_of(percent), CanaryMonitor()
    routed = await Router(made, classifier, ServedModels).route(parse_request(CHAT, body), limited)
    assert (routed.decision.model, routed.decision.arm) == ("technical-lora", None)
    done = Record("id", "/v1/chat/completions", status=200, endpoint="a")
    done.decided(routed)
    monitor.follow(made, made.pointsman.routing)
    monitor.observe(done)
    assert monitor.counts("technical") == counts


async def test_the_log_names_the_arm(classifier: Classifier) -> None:
    done = Record("id", "/v1/chat/completions", status=200)
    done.decided(await send(Router(config_of(100), classifier, ServedModels), "python"))
    assert request_line(done)["arm"] == "canary"


# --- what is decided ------------------------------------------------------------------------------------------------


def decided(state: Any, adapter: str = "technical-v2") -> Overlay:
    return with_canary(Overlay(), "technical", CanaryOutcome(adapter=adapter, state=state, by="command", at=7))


@pytest.mark.parametrize(
    ("found", "model"),
    [
        (decided("promoted"), "technical-v2"),
        (decided("rolled_back"), "technical-lora"),
        (decided("rolled_back", "technical-v1"), "technical-v2"),
    ],
    ids=["promoted", "rolled back", "another canary"],
)
async def test_what_was_decided_holds_for_the_same_adapter(classifier: Classifier, found: Overlay, model: str) -> None:
    percent = 0 if found == decided("promoted") else 100
    router = Router(config_of(percent), classifier, ServedModels)
    router.use(found)
    assert {(await send(router, f"python {number}")).decision.model for number in range(30)} == {model}


def test_it_is_printed_as_the_config_would_have_it() -> None:
    assert overlay.as_yaml(decided("rolled_back")).split("\n")[2:] == [
        "    categories:",
        "      technical:",
        "        canary:",
        "          adapter: technical-v2",
        "          percent: 0",
        "",
    ]


def test_a_thousand_decisions_are_kept() -> None:
    found = Overlay()
    for number in range(1_100):
        one = CanaryOutcome(adapter="x", state="promoted", by="command", at=number)
        found = with_canary(found, f"category {number}", one)
    assert len(found.canaries) == 1_000
    assert "category 1099" in found.canaries
    assert "category 99" not in found.canaries


# --- by itself, and by command --------------------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[Wire]:
    with playing(breaker_failures=0) as made:
        made._options = replace(made._options, routing=routing_of(50))
        made.reload(base=Model(loras=LORAS))
        yield made


def rolled_back(wire: Wire) -> float:
    return Metrics(wire.generations.metrics.render().decode()).total("canary_rolled_back", category="technical")


BAD = with_length(b"{}", "500 Internal Server Error")


def asks(wire: Wire, number: int, bad: bytes) -> str:
    """Have a new client ask something new; returns the model that vLLM gets, and a canary answers `bad`."""
    wire.client = wire.connect(f"10.0.{number // 250}.{number % 250}")
    upstream = wire.ask("MoM", "/v1/chat/completions", f"Authorization: Bearer {number}")
    model = str(json.loads(upstream.written.rpartition(b"\r\n\r\n")[2])["model"])
    upstream.sends(bad if model == "technical-v2" else OK)
    wire.clock.advance(0.0)
    wire.client.abort()
    return model


def test_a_bad_canary_is_rolled_back_by_itself_and_stays_so(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a reload or a restart does not bring it back."""
    now = [1_000_000.0]
    monkeypatch.setattr("pointsman.observability.record.time.time", lambda: now[0])
    store = wire.clock.do(lambda: OverlayStore(tmp_path, wire.generations))
    models = []
    for number in range(400):
        now[0] += 2.0
        models.append(asks(wire, number, BAD))
    canaries = [number for number, model in enumerate(models) if model == "technical-v2"]
    assert 10 <= len(canaries) <= 30
    (canary,) = store.canaries()
    assert (canary["state"], canary["by"], canary["percent"]) == ("rolled_back", "service", 0)
    assert "conversations failed" in canary["why"]
    assert rolled_back(wire) == 1

    wire.reload(base=Model(loras=LORAS), threshold=0.5)
    assert {asks(wire, number, BAD) for number in range(400, 460)} == {"technical-lora"}
    found, trouble = overlay.read(tmp_path)
    assert (found.canaries["technical"].state, trouble) == ("rolled_back", None)


GONE = b'{"error": {"message": "The model `technical-v2` does not exist."}}'


def test_a_canary_that_vllm_has_lost_costs_no_client_an_answer_and_is_rolled_back(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stable arm's model answers in its place, until ten conversations of each arm are enough."""
    now = [1_000_000.0]
    monkeypatch.setattr("pointsman.observability.record.time.time", lambda: now[0])
    store = wire.clock.do(lambda: OverlayStore(tmp_path, wire.generations))
    gone = with_length(GONE, "404 Not Found", "Content-Type: application/json")
    lost = 0
    for number in range(400):
        now[0] += 2.0
        wire.client = wire.connect(f"10.0.{number // 250}.{number % 250}")
        wire.ask("MoM", "/v1/chat/completions", f"Authorization: Bearer {number}")
        while b'"technical-v2"' in wire.upstream.written.rpartition(b"\r\n\r\n")[2]:
            wire.upstream.sends(gone)
            lost += 1
        wire.upstream.sends(OK)
        assert wire.answer.status == 200
        wire.clock.advance(0.0)
        wire.client.abort()
    (canary,) = store.canaries()
    assert (canary["state"], canary["by"]) == ("rolled_back", "service")
    assert lost <= 2, "each endpoint is asked once for what it has lost"
    missed = [line for line in wire.outcomes() if line.get("arm") == "canary"]
    assert {line["reason"] for line in missed} == {"adapter_missing"}
    assert 10 <= len(missed) <= 30


def test_a_good_canary_stays(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("pointsman.observability.record.time.time", lambda: now[0])
    store = wire.clock.do(lambda: OverlayStore(tmp_path, wire.generations))
    for number in range(200):
        now[0] += 2.0
        asks(wire, number, OK)
    (canary,) = store.canaries()
    assert canary["state"] == "trial"
    assert rolled_back(wire) == 0
    assert min(canary["conversations"].values()) >= 50


def test_a_restart_of_a_running_trial_and_another_stable_arm_begin_it_anew(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("pointsman.observability.record.time.time", lambda: now[0])
    store = wire.clock.do(lambda: OverlayStore(None, wire.generations))
    restart: Any = canary_routes(store)[-1]
    numbers = itertools.count()

    def conversations(asked: int) -> int:
        for _ in range(asked):
            now[0] += 2.0
            asks(wire, next(numbers), OK)
        return sum(store.canaries()[0]["conversations"].values())

    assert conversations(20) == 20
    wire.clock.run_until_complete(restart.handler(Asked("technical")))
    assert conversations(10) == 10
    config = wire.generations.current.config
    other = [replace(one, model_scores=one.model_scores[::-1] + one.model_scores[:1]) for one in config.categories]
    monitor, routing = wire.generations.canary_monitor, wire.generations.current.backend.router.routing
    monitor.follow(config, routing)
    assert conversations(10) == 20
    monitor.follow(replace(config, categories=tuple(other)), routing)
    assert conversations(0) == 0


class Asked:
    def __init__(self, category: str) -> None:
        self._body = json.dumps({"category": category}).encode()

    async def read(self, _: float) -> bytes:
        return self._body


def test_commands_promote_roll_back_and_try_again(wire: Wire, tmp_path: Path) -> None:
    store = wire.clock.do(lambda: OverlayStore(None, wire.generations))
    listing, promote, rollback, restart = canary_routes(store)

    def canary(route: Any, category: str = "technical") -> Any:
        return json.loads(wire.clock.run_until_complete(route.handler(Asked(category))).body)

    assert canary(listing)["canaries"][0]["percent"] == 50
    for route, percent, state in ((promote, 100, "promoted"), (rollback, 0, "rolled_back"), (restart, 50, "trial")):
        (one,) = canary(route)["canaries"]
        assert (one["percent"], one["state"]) == (percent, state)
        assert rolled_back(wire) == 0, "an alert about what a command did"
    assert canary(promote, "legal")["error"]["code"] == "no_canary"
    assert "those with one: technical" in canary(promote, "legal")["error"]["message"]


def test_a_line_tells_all_of_a_canary() -> None:
    canary: dict[str, Any] = {"category": "law", "adapter": "law-v2", "percent": 0, "state": "rolled_back"}
    canary |= {"by": "service", "why": "it failed", "conversations": None}
    assert render(canary) == "law: law-v2 gets 0 % of the conversations (rolled back by the service): it failed"
    canary |= {"percent": 5, "state": "trial", "why": None, "conversations": {"canary": 3, "stable": 70}}
    assert render(canary) == "law: law-v2 gets 5 % of the conversations; counted: 3 canary, 70 stable"


# --- the config -----------------------------------------------------------------------------------------------------

TOP = MINIMAL + "categories:\n" + category("law")


def with_law(canary: str) -> str:
    return TOP + f"pointsman: {{routing: {{categories: {{law: {{canary: {canary}}}}}}}}}\n"


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("{adapter: law-lor, percent: 5}", "adapter", 'no adapter is named "law-lor"'),
        ("{adapter: law-lora}", "percent", "the key is missing"),
        ("{adapter: law-lora, percent: 101}", "percent", "from 0 to 100"),
        ("{adapter: law-lora, percent: 5, max_first_byte: 0.5}", "max_first_byte", "a number of 1 or more"),
    ],
)
def test_a_canary_that_cannot_run_is_refused(tmp_path: Path, text: str, where: str, message: str) -> None:
    (problem,) = problems(tmp_path, with_law(text))
    assert problem.path == f"pointsman.routing.categories.law.canary.{where}"
    assert message in problem.message


def test_an_adapter_is_not_on_both_arms(tmp_path: Path) -> None:
    entry = "      - model: base\n"
    text = with_law("{adapter: law-lora, percent: 5}").replace(entry, entry + "        lora_name: law-lora\n")
    (problem,) = problems(tmp_path, text)
    assert "both arms" in problem.message


def test_a_good_canary_loads(tmp_path: Path) -> None:
    found = loaded(tmp_path, with_law("{adapter: law-lora, percent: 5}")).config
    assert found.pointsman.routing.categories["law"].canary == Canary(adapter="law-lora", percent=5)


async def test_a_canary_beside_a_percentage_stays_on_its_own_arm(classifier: Classifier) -> None:
    rollout = CategoryRollout(mode="percent", percent=99, canary=Canary(adapter="technical-v2", percent=50))
    made = config(routing=RoutingOptions(categories={"technical": rollout}), base=Model(loras=LORAS))
    router = Router(made, classifier, ServedModels)
    arms = {(await send(router, f"python {number}")).decision.arm for number in range(100)}
    assert {Arm.CANARY, Arm.STABLE} <= arms <= {Arm.CANARY, Arm.STABLE, Arm.HOLDBACK}
