"""The log's lines and the metrics' labels."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pointsman.adapters.catalog import ServedModels
from pointsman.app import gauges
from pointsman.app.gauges import _classifier as watch_classifier
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Canary, CategoryRollout, Lora, Model, RoutingOptions
from pointsman.formats import CHAT
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record, request_line
from pointsman.routing.decision import Counterfactual, Reason
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.reading import UNREAD
from pointsman.routing.router import RoutedRequest, Router
from support.log import Memory
from support.playbook import Wire
from support.toy_config import BASE, category, config

Make = Callable[..., AbstractContextManager[Classifier]]
SECRET = "python xyzzy-secret"


LORAS = tuple(Lora(name=name) for name in ("technical-lora", "medical-lora", "legal-lora", "technical-v2"))
TRIED = {"technical": CategoryRollout(canary=Canary(adapter="technical-v2", percent=100))}


def asked(model: str, text: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()


async def route(classifier: Classifier, model: str = "MoM", text: str = SECRET) -> RoutedRequest:
    return await Router(config(), classifier, ServedModels).route(parse_request(CHAT, asked(model, text)))


def record(routed: RoutedRequest | None = None, upstream: float | None = None, **fields: Any) -> Record:
    given: dict[str, Any] = {"path": "/v1/chat/completions", "status": 200} | fields
    made = Record("id", **given)
    if routed is not None:
        made.decided(routed)
    if upstream is not None:
        made.phases["upstream"] = upstream
    return made


def line_of(done: Record) -> dict[str, Any]:
    """What the line of a request tells."""
    fields: dict[str, Any] = json.loads(msgspec.json.encode(request_line(done)))
    return fields


def lines(stream: Memory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- the log ---------------------------------------------------------------------------------------------------


def test_a_line_is_one_json_object_whatever_is_in_it() -> None:
    stream = Memory()
    Log("info", stream).write(
        "info", "event", text='two\nlines "quoted" \x00 é', reason=Reason.STICKY, names=("a", "b")
    )
    assert stream.getvalue().count("\n") == 1
    (line,) = lines(stream)
    assert line["text"] == 'two\nlines "quoted" \x00 é'
    assert (line["level"], line["event"], line["reason"], line["names"]) == ("info", "event", "sticky", ["a", "b"])


def test_a_line_has_its_time_with_its_zone() -> None:
    stream = Memory()
    Log("info", stream).write("info", "event")
    stamp = datetime.datetime.fromisoformat(lines(stream)[0]["ts"])
    assert stamp.utcoffset() == datetime.timedelta(0)
    assert abs(stamp.timestamp() - time.time()) < 60


def test_none_is_left_out_and_what_is_merely_false_is_not() -> None:
    stream = Memory()
    Log("info", stream).write("info", "event", none=None, zero=0, false=False, empty="")
    assert lines(stream)[0].keys() == {"ts", "level", "event", "zero", "false", "empty"}


@pytest.mark.parametrize(
    ("least", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_less_severe_than_the_level_is_not_written(least: str, written: list[str]) -> None:
    stream = Memory()
    log = Log(least, stream)
    log.write("debug", "event")
    log.write("info", "event")
    log.write("warning", "event")
    log.write("error", "event")
    assert [line["level"] for line in lines(stream)] == written


async def test_a_requests_line_tells_the_decision_and_never_the_prompt(classifier: Classifier) -> None:
    stream = Memory()
    done = record(await route(classifier), original_model="MoM", endpoint="a", tokens=(7, 3), upstream=0.5)
    log = Log("info", stream)
    log.soon(done)
    log.flush()
    assert "secret" not in stream.getvalue()
    (line,) = lines(stream)
    assert line["ms"].keys() == {"queue", "tokenize", "infer", "decide", "upstream", "total"}
    assert line["ms"]["upstream"] == 500.0
    assert (len(line["conversation"]), line["turn"]) == (12, 1)
    del line["ms"], line["ts"], line["conversation"], line["turn"]
    assert line == {
        "level": "info",
        "event": "routing_decision",
        "request_id": "id",
        "path": "/v1/chat/completions",
        "status": 200,
        "original_model": "MoM",
        "endpoint": "a",
        "selected_model": "technical-lora",
        "category": "technical",
        "confidence": pytest.approx(0.9956, abs=1e-3),
        "reason": "classified",
        "threshold": 0.6,
        "threshold_origin": "category_model.threshold",
        "reasoning": False,
        "edited": ["model", "chat_template_kwargs"],
        "text_hash": hashlib.blake2b(SECRET.encode(), digest_size=16).hexdigest(),
        "prompt_tokens": 7,
        "completion_tokens": 3,
    }


async def test_the_line_of_an_unsure_decision_says_which_threshold_was_missed(classifier: Classifier) -> None:
    fields = line_of(record(await route(classifier, text="python landlord")))
    assert (fields["reason"], fields["missed"]) == ("low_confidence", {"category": "technical", "threshold": 0.6})


async def test_the_line_names_threshold_and_what_is_near(classifier: Classifier) -> None:
    fields = line_of(record(await route(classifier, text="python landlord")))
    assert (fields["threshold"], fields["threshold_origin"]) == (0.6, "category_model.threshold")
    assert fields["near"] == {"category": "legal", "confidence": pytest.approx(0.499, abs=0.01)}


@pytest.mark.parametrize(("tools", "mode"), [([], "replace"), ([{"type": "function"}], "insert")])
async def test_the_line_tells_how_the_system_prompt_was_set(
    classifier: Classifier, tools: list[Any], mode: str
) -> None:
    made = config(category("technical", system_prompt="Ours."), category("legal"))
    body = {"model": "MoM", "messages": [{"role": "user", "content": "Fix my Python"}], "tools": tools}
    routed = await Router(made, classifier, ServedModels).route(parse_request(CHAT, json.dumps(body).encode()))
    assert line_of(record(routed))["system_prompt"] == mode


async def test_an_explicit_models_line_has_no_more_than_there_is_to_tell(classifier: Classifier) -> None:
    fields = line_of(record(await route(classifier, BASE), original_model=BASE))
    assert fields["ms"].keys() == {"decide", "total"}
    del fields["ts"], fields["level"], fields["event"]
    assert fields.keys() == {"request_id", "path", "status", "original_model", "selected_model", "reason", "ms"}


async def test_a_model_that_a_client_names_has_256_bytes_in_the_log(classifier: Classifier) -> None:
    fields = line_of(record(await route(classifier, "m" * 10_000), original_model="m" * 10_000))
    assert [len(fields[name].encode()) for name in ("original_model", "selected_model")] == [256, 256]


@pytest.mark.parametrize(("status", "phase"), [(499, "stream"), (200, None), (502, None)])
def test_only_a_client_that_left_has_a_phase_in_which_it_did(status: int, phase: str | None) -> None:
    assert line_of(record(status=status, phase="stream")).get("left_in") == phase


async def test_server_timing_is_in_milliseconds(classifier: Classifier) -> None:
    done = record(await route(classifier), upstream=0.25)
    parts = [part.split(";dur=") for part in done.server_timing().split(", ")]
    assert [name for name, _ in parts] == ["queue", "tokenize", "infer", "decide", "upstream"]
    assert dict(parts)["upstream"] == "250.000"
    assert record().server_timing() == ""


async def test_a_texts_hash_is_the_same_from_the_cache_and_tells_texts_apart(classifier: Classifier) -> None:
    texts = ("one", "one", "two")
    routed = [await route(classifier, text=text) for text in texts]
    hashes = [line_of(record(found))["text_hash"] for found in routed]

    assert [found.classification and found.classification.source for found in routed] == ["run", "hit", "run"]
    assert hashes[0] == hashes[1] != hashes[2]


# --- the metrics -----------------------------------------------------------------------------------------------


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Label values (in the order of their names) to value."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == name
    }


async def test_a_request_is_counted_once_in_each_metric(classifier: Classifier) -> None:
    metrics = Metrics(frozenset({BASE, "technical-lora"}))
    metrics.count(record(await route(classifier), tokens=(7, 3)))
    path = "/v1/chat/completions"
    assert samples(metrics, "pointsman_requests_total") == {(path, "200"): 1}
    assert samples(metrics, "pointsman_decisions_total") == {
        ("", "technical", "technical-lora", "classified", "200"): 1
    }
    assert samples(metrics, "pointsman_truncated_prompts_total") == {(): 0}
    assert samples(metrics, "pointsman_tokens_total") == {
        ("", "prompt", "technical-lora"): 7,
        ("", "completion", "technical-lora"): 3,
    }
    assert samples(metrics, "pointsman_request_seconds_count") == {(path,): 1}
    phases = samples(metrics, "pointsman_phase_seconds_count")
    assert phases == {("queue",): 1, ("tokenize",): 1, ("infer",): 1, ("decide",): 1}


def test_256_requests_are_counted_together() -> None:
    """One after the other they take less time; until then they wait without their bodies."""
    metrics = Metrics(frozenset())
    for _ in range(255):
        metrics.count(record())
    assert not list(metrics.requests.items())
    metrics.count(record())
    assert list(metrics.requests.items()) == [(("/v1/chat/completions", "200"), 256)]


async def test_requests_that_are_counted_together_count_as_those_that_are_not(classifier: Classifier) -> None:
    chosen, named = await route(classifier), await route(classifier, BASE)
    cut = await route(classifier, text="x " * 1000)
    unlike = [  # in one of what the series are told apart by
        msgspec.structs.replace(chosen, decision=msgspec.structs.replace(chosen.decision, **field))
        for field in (
            {"arm": "technical/stable"},
            {"category": "legal"},
            {"reason": Reason.LOW_CONFIDENCE},
            {"model": BASE},
            {"model": "unknown", "base_model": "unknown"},
            {"model": "unknown", "base_model": BASE},
            {"would": Counterfactual(BASE, Reason.SHADOW)},
        )
    ]
    ended = [
        *map(record, unlike),
        record(chosen),
        record(chosen, path="/v1/completions"),
        record(msgspec.structs.replace(chosen, reading=cut.reading)),
        record(msgspec.structs.replace(chosen, reading=UNREAD)),
        record(chosen, 0.25, tokens=(7, 3), first_byte=0.5, seconds=1.0, key="one"),
        record(chosen, 0.5, tokens=(1, 2), seconds=2.0, key="one"),
        record(chosen, seconds=0.5, key="two"),
        record(chosen, 0.125, tokens=(1, 1), seconds=4.0, status=500, key="one"),
        record(named, 1.0, tokens=(5, 6), first_byte=2.0, seconds=2.5),
        record(cut, seconds=0.25),
        record(status=400, seconds=0.125),
    ]
    together, apart = Metrics(frozenset({BASE, "technical-lora"})), Metrics(frozenset({BASE, "technical-lora"}))
    for one in ended:
        together.count(one)
        apart.count(one)
        apart.settle()

    def counted(metrics: Metrics) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        return {
            (sample.name, frozenset(sample.labels.items()), round(sample.value, 6))
            for family in text_string_to_metric_families(metrics.render().decode())
            for sample in family.samples
            if sample.name.startswith("pointsman_")
        }

    assert counted(together) == counted(apart)


async def test_a_request_that_has_ended_is_told_later_as_it_was_then_without_its_body(classifier: Classifier) -> None:
    done = record(await route(classifier))
    assert done.routed is not None
    assert done.routed.edited.body
    before = time.time()
    done.end()
    line, seconds = line_of(done), done.seconds
    assert before - 0.001 <= datetime.datetime.fromisoformat(line["ts"]).timestamp() <= time.time()
    assert line["ms"]["total"] == pytest.approx(seconds * 1000, abs=0.001) != 0
    assert "model" in line["edited"]
    assert not done.routed.edited.body
    done.ended = 0.0
    assert line_of(done)["ts"] == "1970-01-01T00:00:00.000+00:00"


async def test_lines_of_requests_wait_until_they_are_256() -> None:
    stream = Memory()
    log = Log("info", stream)
    for _ in range(255):
        log.soon(record())
    assert not lines(stream)
    log.soon(record())
    assert len(lines(stream)) == 256
    log.soon(record())
    log.write("info", "event")
    assert [line["event"] for line in lines(stream)[256:]] == ["request", "event"]


async def test_names_that_clients_invent_do_not_become_labels(classifier: Classifier) -> None:
    metrics = Metrics(frozenset({BASE}))
    for number in range(10):
        metrics.count(record(await route(classifier, f"invented-{number}"), tokens=(1, 1)))
    metrics.count(record(await route(classifier, BASE)))
    assert samples(metrics, "pointsman_decisions_total") == {
        ("", "", "other", "explicit_model", "200"): 10,
        ("", "", BASE, "explicit_model", "200"): 1,
    }
    assert samples(metrics, "pointsman_tokens_total") == {
        ("", "prompt", "other"): 10,
        ("", "completion", "other"): 10,
    }


@pytest.mark.parametrize(
    ("routing", "arm", "model"),
    [
        ({"categories": TRIED}, "canary", "technical-v2"),
        ({"mode": "percent", "percent": 0}, "holdback", BASE),
        ({}, "", "technical-lora"),
    ],
)
async def test_requests_first_bytes_and_tokens_are_counted_by_model_and_arm(
    classifier: Classifier, routing: dict[str, Any], arm: str, model: str
) -> None:
    made = config(routing=RoutingOptions(**routing), base=Model(loras=LORAS))
    routed = await Router(made, classifier, ServedModels).route(parse_request(CHAT, asked("MoM", SECRET)))
    metrics = Metrics(made.models)
    metrics.count(record(routed, tokens=(7, 3), first_byte=0.25))
    reason = str(routed.decision.reason)
    assert samples(metrics, "pointsman_decisions_total") == {(arm, "technical", model, reason, "200"): 1}
    assert samples(metrics, "pointsman_model_first_byte_seconds_sum") == {(arm, model): 0.25}
    tokens = {(arm, "prompt", model): 7, (arm, "completion", model): 3}
    assert samples(metrics, "pointsman_tokens_total") == tokens


async def test_names_that_clients_invent_are_no_models_of_a_first_byte(classifier: Classifier) -> None:
    metrics = Metrics(frozenset({BASE}))
    for number in range(10):
        metrics.count(record(await route(classifier, f"invented-{number}"), first_byte=0.25))
    assert samples(metrics, "pointsman_model_first_byte_seconds_count") == {("", "other"): 10}


async def test_a_text_that_was_cut_is_counted(classifier: Classifier) -> None:
    metrics = Metrics(frozenset())
    metrics.count(record(await route(classifier, text="x " * 1000)))
    assert samples(metrics, "pointsman_truncated_prompts_total") == {(): 1}


def test_a_watched_value_is_read_when_it_is_scraped() -> None:
    metrics, values = Metrics(frozenset()), iter((1.0, 2.0))
    metrics.watch("queue", "What waits.", lambda: next(values))
    assert [samples(metrics, "pointsman_queue") for _ in range(2)] == [{(): 1.0}, {(): 2.0}]


def test_lines_that_the_log_dropped_are_counted(wire: Wire) -> None:
    generations, wire.log.dropped = wire.generations, 7
    gauges.watch(generations.metrics, generations.log, generations.stored, lambda: generations.current)
    assert generations.metrics.registry.get_sample_value("pointsman_log_lines_dropped_total") == 7


async def test_what_the_scheduler_and_the_cache_did_is_counted(make_classifier: Make) -> None:
    metrics = Metrics(frozenset())
    with make_classifier(cache_entries=1) as classifier:
        watch_classifier(metrics, lambda: classifier.encoder)
        await asyncio.gather(*map(classifier.classify, ("python", "python")))
        for text in ("python", "blood"):
            await classifier.classify(text)
        names = ("runs", "run_texts", "run_tokens", "shed", "dropped")
        found = [samples(metrics, f"pointsman_classifier_{name}_total")[()] for name in names]
        cache = ("hits", "misses", "coalesced", "evictions")
        looked_up = [samples(metrics, f"pointsman_classifier_cache_{name}_total")[()] for name in cache]
    assert found == [2, 2, 3 + 3, 0, 0]
    assert looked_up == [1, 2, 1, 1]
    assert samples(metrics, "pointsman_classifier_queue") == {(): 0}


def test_two_services_in_one_process_do_not_share_metrics() -> None:
    one, two = Metrics(frozenset()), Metrics(frozenset())
    one.count(record())
    assert samples(two, "pointsman_requests_total") == {}
