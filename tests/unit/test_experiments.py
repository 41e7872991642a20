"""The experiments that run, as their requests end: the same figures and verdicts as `pointsman compare` has."""

from __future__ import annotations

import json
import math
import random
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Canary, CategoryRollout, Config, Lora, Model, RoutingOptions
from pointsman.config.overlay import CanaryOutcome, Overlay, laid_over, with_canary
from pointsman.experiments.comparison import read
from pointsman.experiments.prices import prices_of
from pointsman.experiments.running import Experiments, experiments_route
from pointsman.experiments.tally import Tally, frequent_labels
from pointsman.experiments.verdicts import verdicts
from pointsman.formats import CHAT
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.feedback_file import FeedbackFile, FeedbackLine
from pointsman.observability.log import Log
from pointsman.observability.record import Record, request_line
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from support.log import Memory
from support.playbook import OK, Wire, playing
from support.toy_config import config

LORAS = tuple(Lora(name=name) for name in ("technical-lora", "medical-lora", "legal-lora", "technical-v2", "v3"))
R = random.Random()  # noqa: S311 - no secret


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Without this, about one run in sixty had too few conversations on one side for a verdict."""
    R.seed(11)
    others = random.getstate()
    random.seed(11)  # a router draws the sides of its conversations from this
    yield
    random.setstate(others)


def made(**routing: Any) -> Config:
    return config(routing=RoutingOptions(**routing), base=Model(loras=LORAS))


def canary(percent: float = 50.0, adapter: str = "technical-v2") -> dict[str, CategoryRollout]:
    return {"technical": CategoryRollout(canary=Canary(adapter=adapter, percent=percent))}


async def send(router: Router, *turns: str) -> RoutedRequest:
    messages = [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]
    return await router.route(parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages}).encode()))


def ended(routed: RoutedRequest, **fields: Any) -> Record:
    given: dict[str, Any] = {"status": 200, "endpoint": "a", "tokens": (7, 3), "first_byte": 0.2} | fields
    record = Record("id", "/v1/chat/completions", **given)
    record.decided(routed)
    return record


async def conversations(router: Router, number: int, worse: str | None = None) -> list[Record]:
    """Requests that have ended; those of the arm `worse` fail and are slow more often."""
    found = []
    for each in range(number):
        turns = [f"python {each}"]
        for _ in range(R.choice((1, 2))):
            routed = await send(router, *turns)
            bad = routed.decision.arm == worse
            status = 502 if R.random() < (0.4 if bad else 0.05) else R.choice((200, 200, 200, 499))
            first = 0.2 * math.exp(R.gauss(0.8 if bad else 0.0, 0.5))
            found.append(ended(routed, status=status, first_byte=first, tokens=(7, R.randrange(300))))
            turns += ["an answer", "thanks"]
    return found


def followed(config: Config) -> Experiments:
    experiments = Experiments()
    experiments.follow(config, config.pointsman.routing)
    return experiments


def flat(figures: dict[str, Any]) -> dict[str, float]:
    """The numbers of a side's figures, with the names of where they are."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        found |= {f"{name}.{key}": one for key, one in flat(value).items()} if isinstance(value, dict) else {}
        found |= {name: float(value)} if isinstance(value, int | float) else {}
    return found


def compared(config: Config, records: list[Record], *names: str) -> tuple[Tally, Tally]:
    """As `pointsman compare` reads it from the log."""
    first, second = names
    return read([msgspec.json.encode(request_line(one)) for one in records], (first, second), prices_of(config))


@pytest.mark.parametrize(
    ("routing", "names"),
    [
        ({"categories": canary()}, ("canary", "stable")),
        pytest.param({"mode": "percent", "percent": 50}, ("routed", "holdback"), marks=pytest.mark.thorough),
        pytest.param(
            {"categories": {"technical": CategoryRollout(mode="percent", percent=50)}},
            ("routed", "holdback"),
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            {"mode": "percent", "percent": 50, "categories": canary()}, ("canary", "stable"), marks=pytest.mark.thorough
        ),
        pytest.param(
            {"mode": "percent", "percent": 50, "categories": canary()},
            ("routed", "holdback"),
            marks=pytest.mark.thorough,
        ),
    ],
)
async def test_the_figures_and_verdicts_are_those_of_the_log(
    classifier: Classifier, routing: dict[str, Any], names: tuple[str, str]
) -> None:
    config = made(**routing)
    records = await conversations(Router(config, classifier, ServedModels), 320, worse=names[1])
    experiments = followed(config)
    experiments.add(records)
    (experiment,) = [one for one in experiments.report()["experiments"] if one["sides"][0]["name"] == names[0]]
    sides = compared(config, records, *names)
    assert experiment["verdicts"] == verdicts(*sides, 3) != []
    for figures, side in zip(experiment["sides"], sides, strict=True):
        assert flat(figures) == pytest.approx(flat(side.figures(figures["labels"])), rel=1e-4)


@pytest.mark.parametrize(
    "names", [("canary", "stable"), pytest.param(("routed", "holdback"), marks=pytest.mark.thorough)]
)
async def test_what_clients_say_is_counted_by_side_as_the_file_of_feedback_has_it(
    classifier: Classifier, tmp_path: Path, names: tuple[str, str]
) -> None:
    """Good and bad, scores by conversation, labels, and the verdict; with the lines that the service writes."""
    config = made(mode="percent", percent=50, categories=canary())
    records = await conversations(Router(config, classifier, ServedModels), 300)
    experiments, answers = followed(config), Answers()
    path = tmp_path / "said.jsonl"
    feedback = FeedbackFile(path, Log("info", Memory()), answers, experiments.rate)
    good = bad = 0
    for number, record in enumerate(records):
        record.issued, record.request_id, record.ended = True, f"r{number}", time.time()
        answers.remember(record, "ann", f"{number % 3}")
        answer = answers.find(f"r{number}", "ann", time.time())
        if answer is None:
            continue
        arm = str(record.routed and record.routed.decision.arm)
        score = R.choice((0.0, 0.2)) if arm == names[1] else R.choice((0.9, 1.0, None))
        label = R.choice((None, "good", "bad", "odd"))
        assert feedback.keep(f"r{number}", answer, time.time(), score=score, label=label)
        if names[0] in (arm, "routed") and arm != "holdback":
            disliked = label == "bad" or (score is not None and score < 0.5)
            bad += disliked
            good += not disliked and (label == "good" or score is not None)
    feedback.close()
    (experiment,) = [one for one in experiments.report()["experiments"] if one["sides"][0]["name"] == names[0]]
    sides = read(path.read_bytes().splitlines(), names, {})
    assert verdicts(*sides, 3) == experiment["verdicts"] == [f"{names[0]} is scored higher than {names[1]}"]
    assert (experiment["sides"][0]["good"], experiment["sides"][0]["bad"]) == (good, bad)
    for figures, side in zip(experiment["sides"], sides, strict=True):
        of_log = side.figures(frequent_labels(*sides))
        assert (figures["score"], figures["labels"]) == (of_log["score"], of_log["labels"])


async def test_feedback_on_answers_of_another_experiment_counts_for_none(classifier: Classifier) -> None:
    config = made(categories=canary())
    experiments = followed(config)
    answer = Answer("ann", time.time() - 60, "/", "technical-v2", "technical", "classified", "canary", "00")
    said = FeedbackLine(event="feedback", score=0.0)
    experiments.rate(answer, said)  # from before
    for arm, draw in ((None, "00"), ("canary", None)):
        experiments.rate(answer._replace(at=time.time(), arm=arm, draw=draw), said)
    experiments.rate(answer._replace(at=time.time()), said)
    (experiment,) = experiments.report()["experiments"]
    assert [(side["bad"], side["score"]) for side in experiment["sides"]] == [(1, None), (0, None)]
    experiments.follow(config, replace(config.pointsman.routing, categories=canary(0.0)))
    experiments.rate(answer._replace(at=time.time() + 1), said)
    (experiment,) = experiments.report()["experiments"]
    assert experiment["sides"][0]["bad"] == 1, "it has ended"


@pytest.mark.parametrize(
    ("authors", "min_authors", "certain"),
    [
        pytest.param(1, 3, False, id="one author"),
        pytest.param(2, 3, False, id="two"),
        pytest.param(3, 3, True, id="three"),
        pytest.param(1, 1, True, id="one, where the config says so"),
    ],
)
def test_feedback_decides_where_it_is_of_enough_authors(authors: int, min_authors: int, certain: bool) -> None:
    """150 pieces of it, by the service's count as by that of its file."""
    experiments = followed(made(categories=canary(), verdict_authors=min_authors))
    for number in range(150):
        arm = ("canary", "stable")[number % 2]
        author = f"{number // 2 % authors}"
        answer = Answer("ann", time.time(), "/", "technical-v2", "technical", "classified", arm, f"{number}")
        experiments.rate(answer._replace(rater=author), FeedbackLine(event="feedback", score=float(arm == "stable")))
    (experiment,) = experiments.report()["experiments"]
    assert experiment["verdicts"] == (["stable is scored higher than canary"] if certain else [])
    assert [side["authors"] for side in experiment["sides"]] == [authors, authors]


def test_of_many_authors_some_are_told_apart_and_the_others_are_one() -> None:
    tally = Tally("canary", 1_000, 100, 10)
    for number in range(5_000):
        tally.rate(f"{number}", 1.0, None, f"{number}")
    assert sorted(tally.scored()) == [(1.0, 1)] * 9 + [(4_991.0, 4_991)]


def test_a_later_score_in_a_conversation_changes_its_mean_and_counts_for_its_author() -> None:
    tally = Tally("canary", 1_000, 100, 10)
    for author, score in (("ann", 1.0), ("ann", 0.0), ("ben", 1.0), ("ben", None)):
        tally.rate("0a", score, "odd" if score is None else None, author)
    assert tally.scored() == [(0.5, 1), (1.0, 1)]


def test_the_ratio_of_the_first_bytes_is_told_with_its_bounds() -> None:
    experiments = followed(made(categories=canary()))
    (found,) = experiments._found.values()
    for side, usual in zip(found.sides, (100.0, 200.0), strict=True):
        for number in range(100):
            side.add(f"{number}", failed=False, first_byte=usual + number % 2, tokens=1, cost=0.0)
    (experiment,) = experiments.report()["experiments"]
    ratio = experiment["first_byte_ratio"]
    assert 0.4 < ratio["low"] < ratio["value"] < ratio["high"] < 0.6


async def test_the_labels_most_frequent_on_both_sides_together_are_told_of_both() -> None:
    """Also one that a side has not, as it is a share of 0 there; as `pointsman compare` does."""
    experiments = followed(made(categories=canary()))
    (found,) = experiments._found.values()
    for side, labels in zip(found.sides, ("aaabbbcccdddeeeffg", "gggg"), strict=True):
        for number, label in enumerate(labels):
            side.rate(f"{number}", None, label, "ann")
    (experiment,) = experiments.report()["experiments"]
    first, second = ({name: one["value"] for name, one in side["labels"].items()} for side in experiment["sides"])
    assert first == {"g": 1 / 18} | dict.fromkeys("abcd", 3 / 18)
    assert second == {"g": 1.0} | dict.fromkeys("abcd", 0.0)


def test_labels_that_clients_make_up_take_no_memory() -> None:
    tally = Tally("canary", 1_000, 100, 100)
    for number in range(5_000):
        tally.rate(f"{number}", 0.5, f"label-{number}", "ann")
    assert len(tally.labels) == 21
    assert tally.labelled("*") == (4_980, 5_000)
    assert tally.scored() == [(2_500.0, 5_000)]
    assert len(tally._rated) == 100


def test_a_label_that_one_side_has_counted_among_others_is_shown_of_neither() -> None:
    first, second = (Tally(name, 1_000, 100, 100) for name in ("stable", "canary"))
    for number in range(25):
        second.rate(f"{number}", None, f"label-{number}", "ann")
    for number in range(40):
        for side in (first, second):
            side.rate(f"useful-{number}", None, "useful", "ann")
    assert "useful" not in frequent_labels(first, second)
    assert "useful" in frequent_labels(first, first)


async def test_a_category_with_a_mode_of_its_own_is_no_part_of_the_share_of_all(classifier: Classifier) -> None:
    config = made(
        mode="percent",
        percent=50,
        categories={"technical": CategoryRollout(mode="on", canary=Canary(adapter="technical-v2", percent=50.0))},
    )
    experiments = followed(config)
    experiments.add(await conversations(Router(config, classifier, ServedModels), 20))
    requests = {
        one["kind"]: sum(side["requests"] for side in one["sides"]) for one in experiments.report()["experiments"]
    }
    assert requests["share"] == 0 < requests["canary"]


async def test_what_is_part_of_no_experiment_is_not_counted(classifier: Classifier) -> None:
    config = made(categories=canary())
    router = Router(config, classifier, ServedModels)
    python, law = await send(router, "python"), await send(router, "landlord")
    assert python.remembered is not None
    shared = msgspec.structs.replace(python, remembered=msgspec.structs.replace(python.remembered, mixed=True))
    experiments = followed(config)
    experiments.add([ended(law), ended(shared), ended(python, endpoint=None), ended(python, status=499)])
    experiments.add([Record("id", "other", status=404)])
    (experiment,) = experiments.report()["experiments"]
    assert [side["requests"] for side in experiment["sides"]] == [0, 0]
    assert (experiment["verdicts"], experiment["first_byte_ratio"]) == ([], None)


def requests_of(experiments: Experiments) -> list[int]:
    return [sum(side["requests"] for side in one["sides"]) for one in experiments.report()["experiments"]]


async def test_another_canary_or_share_begins_anew_and_the_same_goes_on(classifier: Classifier) -> None:
    config = made(categories=canary())
    records = await conversations(Router(config, classifier, ServedModels), 5)
    counted = sum(one.status != 499 for one in records)
    experiments = followed(config)
    experiments.add(records)
    experiments.follow(config, config.pointsman.routing)
    assert requests_of(experiments) == [counted]
    for other in (canary(20.0), canary(50.0, "v3")):
        experiments.add(records)
        changed = made(categories=other)
        experiments.follow(changed, changed.pointsman.routing)
        assert requests_of(experiments) == [0]
    none = made()
    experiments.follow(none, none.pointsman.routing)
    assert experiments.report()["experiments"] == []


@pytest.mark.parametrize("state", ["promoted", "rolled_back"])
async def test_a_canary_that_was_decided_on_keeps_its_result_until_it_is_tried_again(
    classifier: Classifier, state: Any
) -> None:
    config = made(categories=canary())
    records = await conversations(Router(config, classifier, ServedModels), 5)
    counted = sum(one.status != 499 for one in records)
    experiments = followed(config)
    experiments.add(records)
    decided = CanaryOutcome(adapter="technical-v2", state=state, by="command", at=0)
    experiments.follow(config, laid_over(config.pointsman.routing, with_canary(Overlay(), "technical", decided)))
    experiments.add(records)
    (experiment,) = experiments.report()["experiments"]
    assert experiment["started"] <= experiment["ended"]
    assert requests_of(experiments) == [counted]
    experiments.follow(config, config.pointsman.routing)
    assert requests_of(experiments) == [0]


def test_the_service_follows_a_reload_and_counts_what_ends() -> None:
    with playing() as wire:
        wire._options = replace(wire._options, routing=RoutingOptions(categories=canary()))
        wire.reload(base=Model(loras=LORAS))
        for _ in range(2):
            wire.ask("MoM").sends(OK)
        response = wire.clock.run_until_complete(_answered(wire))
    experiment = json.loads(response.body)
    assert sum(side["requests"] for side in experiment["experiments"][0]["sides"]) == 2
    assert experiment["withheld"] == []


def test_what_the_rollout_withholds_is_told_by_reason_category_and_model() -> None:
    with playing() as wire:
        wire._options = replace(wire._options, routing=RoutingOptions(mode="shadow"))
        wire.reload(base=Model(loras=LORAS))
        wire.ask("MoM").sends(OK)
        response = wire.clock.run_until_complete(_answered(wire))
    assert json.loads(response.body)["withheld"] == [
        {"reason": "shadow", "category": "technical", "model": "technical-lora", "requests": 1}
    ]


async def _answered(wire: Wire) -> Any:
    unused: Any = None
    return await experiments_route(wire.generations.experiments, wire.generations.metrics).handler(unused)


@pytest.mark.thorough
def test_of_many_conversations_the_last_are_known_and_all_are_counted() -> None:
    tally = Tally("canary", 1_000, 100, 100)
    tracemalloc.start()
    try:
        for number in range(20_000):
            tally.add(f"technical {number:012x}", failed=number % 4 == 0, first_byte=100.0, tokens=1, cost=0.0)
            if number == 2_000:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after < 1.2 * before < 1_000 * 500
    assert tally.failures() == (5_000, 20_000)
    tally.add(f"technical {19_999:012x}", failed=True, first_byte=100.0, tokens=1, cost=0.0)
    assert tally.failures() == (5_001, 20_000), "a conversation that is known counts twice"
