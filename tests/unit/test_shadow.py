"""A second classifier reads what the first one has read, in a process of its own, and decides nothing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import helper

from pointsman.adapters.catalog import ServedModels
from pointsman.app import shadow_process
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig, prepare
from pointsman.app.shadow import ShadowClassifier
from pointsman.app.shadow_process import ShadowEnded, ShadowProcess
from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.classify.shadow import ShadowOptions
from pointsman.cli.check import check
from pointsman.config.model import Category, ClassifierOptions, Config, LogOptions
from pointsman.evaluation.main import main as evaluate
from pointsman.evaluation.replay import read_texts
from pointsman.formats import CHAT
from pointsman.improve.text_recording import keep_text
from pointsman.improve.texts_file import TextRecord, TextsFile
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record, request_line
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from pointsman.store import rotated_file
from support import toy_artifact
from support.config_files import LABELS, MINIMAL, category
from support.gate import Gate
from support.log import Memory
from support.process import eventually, shadow_processes
from support.toy_config import QUIET, config
from support.toy_config import category as toy_category

pytestmark = pytest.mark.heavy  # a shadow is a process of its own

Make = Callable[..., AbstractContextManager[Classifier]]

OTHER = dict(toy_artifact.WORDS) | {"landlord": "health", "weather": "law"}
"""The words of the second artifact, which takes what is about a landlord for a matter of health."""
SOON_SECONDS = 60.0


def second(folder: Path, words: dict[str, str] = OTHER, labels: tuple[str, ...] = LABELS, **manifest: Any) -> Path:
    contents = {MODEL: toy_artifact.model(labels, words), TOKENIZER: toy_artifact.tokenizer(words)}
    return toy_artifact.build_measured(folder, contents, labels=list(labels), **manifest)


@dataclass
class World:
    """A router with its classifier, and the one in its shadow."""

    router: Router
    shadow: ShadowClassifier
    log: Memory
    metrics: Metrics
    running: Callable[[], set[int]]

    async def route(self, text: str, model: str = "MoM") -> RoutedRequest:
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()
        return await self.router.route(parse_request(CHAT, body, self.router.finder))

    async def ask(self, text: str) -> Record:
        """Decide about a text, and offer it as the data port does."""
        record = Record("id", "/v1/chat/completions")
        record.decided(await self.route(text))
        assert record.routed is not None
        self.shadow.offer(self.router, record.routed, record)
        return record

    async def compared(self, count: int) -> dict[str, Any]:
        return await self.until(lambda report: report["compared"] == count)

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        await eventually(lambda: holds(self.shadow.report()), "the report says so", timeout_s=SOON_SECONDS)
        return self.shadow.report()

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def shadowed(folder: Path | None, more: tuple[Category, ...] = (), **options: Any) -> Config:
    classifier = ClassifierOptions(threads=1, shadow=None if folder is None else str(folder), **options)
    usual = (toy_category(name) for name in ("technical", "medical", "legal"))
    return replace(config(*usual, *more), pointsman=replace(QUIET, classifier=classifier))


def prepared_for(folder: Path, first: Classifier, **options: Any) -> PreparedConfig:
    manifest = artifact.read_manifest(folder)
    return PreparedConfig(shadowed(folder, **options), first, b"", (), shadow=artifact.Artifact(folder, manifest))


@pytest.fixture(autouse=True)
def as_fast_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its process would not come to run on a machine that other tests keep busy."""
    monkeypatch.setattr(shadow_process, "NICE_LOADING", 0)
    monkeypatch.setattr(shadow_process, "NICE", 0)


@pytest.fixture
def make_world(make_classifier: Make) -> Callable[..., Any]:
    @asynccontextmanager
    async def make(folder: Path, state: str = "running", **options: Any) -> AsyncIterator[World]:
        with make_classifier() as first:
            log, metrics = Memory(), Metrics(frozenset())
            prepared = prepared_for(folder, first, **options)
            shadow = ShadowClassifier(prepared, Log("info", log), metrics)
            world = World(Router(prepared.config, first, ServedModels), shadow, log, metrics, shadow_processes)
            task = asyncio.create_task(shadow._run())
            try:
                await world.until(lambda report: report["state"] == state)
                yield world
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert sorted(shadow_processes()) == [], "its process ends with it"

    return make


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return second(tmp_path_factory.mktemp("shadow") / "second")


# --- the comparison ---------------------------------------------------------------------------------------------


async def test_it_reads_each_distinct_text_once_and_tells_where_the_two_differ(make_world: Any, folder: Path) -> None:
    """Also of one that the first had in its cache; what it would have decided is in the log's line."""
    async with make_world(folder) as world:
        await world.route("Fix my python")  # it was decided before there was a classifier in shadow
        texts = ("Fix my python", "My landlord", "My landlord", "blood pressure", "nothing of that")
        records = [await world.ask(text) for text in texts]
        report = await world.compared(4)
        pairs = dict(world.metrics.shadow_pairs.items())
        outcomes = {labels[0]: count for labels, count in world.metrics.shadow_texts.items()}

    assert records[1].routed.decision.model == "legal-lora"
    assert (report["artifact"], report["agreed"]["texts"], report["rerouted"]["texts"]) == ("second", 3, 1)
    assert report["pairs"] == [{"category": "legal", "shadow": "medical", "texts": 1}]
    assert report["confidence_difference"] == pytest.approx(0, abs=0.01)
    assert pairs == {("legal", "medical"): 1}
    assert outcomes == {"agreed": 3, "differed": 1}
    line = json.loads(msgspec.json.encode(request_line(records[1])))
    assert (line["selected_model"], line["category"]) == ("legal-lora", "legal")
    opinion = line["shadow"]
    assert (opinion["model"], opinion["category"], opinion["reason"]) == ("medical-lora", "medical", "classified")
    assert opinion["confidence"] > 0.9
    assert "shadow" not in json.loads(msgspec.json.encode(request_line(records[2]))), "this text was known"


async def test_what_it_decides_otherwise_is_kept_with_the_texts(make_world: Any, folder: Path, tmp_path: Path) -> None:
    """Once more, with its category, and of the share that is kept alone; nothing where the two agree."""
    path = tmp_path / "texts.jsonl"
    async with make_world(folder) as world:
        texts = TextsFile(LogOptions(texts_file=str(path)), Log("info", Memory()), lambda: None)
        for number, text in enumerate(("Fix my python", "My landlord", "the landlord and I")):
            record = Record(f"r{number}", "/v1/chat/completions")
            routed = await world.route(text)
            record.decided(routed)
            if number < 2:
                keep_text(texts, world.router, record, routed)
            world.shadow.offer(world.router, routed, record, texts)
        report = await world.compared(3)
        texts.close()

    assert report["pairs"] == [{"category": "legal", "shadow": "medical", "texts": 2}]
    found = [(row.text, row.category, row.shadow) for row in rotated_file.rows(path, TextRecord)]
    assert found == [
        ("Fix my python", "technical", None),
        ("My landlord", "legal", None),
        ("My landlord", "legal", "medical"),
    ]
    assert list(read_texts(path).values()) == ["Fix my python", "My landlord"]


async def test_what_the_first_one_did_not_read_is_not_read(make_world: Any, folder: Path) -> None:
    """As where the client names a model, or the whole text is a greeting that a rule answers."""
    async with make_world(folder) as world:
        body = json.dumps({"model": "legal-lora", "messages": [{"role": "user", "content": "landlord"}]}).encode()
        record = Record("id", "/v1/chat/completions")
        record.decided(await world.router.route(parse_request(CHAT, body, world.router.finder)))
        world.shadow.offer(world.router, record.routed, record)
        await world.ask("blood")
        report = await world.compared(1)

    assert report["pairs"] == []


async def test_a_language_that_only_one_of_them_declares_is_a_difference(make_world: Any, tmp_path: Path) -> None:
    other = second(tmp_path / "english", languages=["en"], format_version=3)
    async with make_world(other) as world:
        record = await world.ask("¿Puede mi landlord quedarse con la fianza de mi piso después de tantos años?")
        report = await world.compared(1)

    assert report["pairs"] == [{"category": "legal", "shadow": None, "texts": 1}]
    assert (record.shadow.reason, record.shadow.confidence) == ("unsupported_language", None)


async def test_an_artifact_may_have_other_labels(make_world: Any, tmp_path: Path) -> None:
    other = second(tmp_path / "few", {"landlord": "law", "sky": "weather"}, ("weather", "law"))
    async with make_world(other) as world:
        for text in ("landlord", "sky"):
            await world.ask(text)
        report = await world.compared(2)

    assert report["agreed"]["texts"] == 2


async def test_half_a_surrogate_pair_is_read(make_world: Any, folder: Path) -> None:
    async with make_world(folder) as world:
        routed = await world.route("landlord")
        reading = msgspec.structs.replace(routed.reading, text="landlord \ud83d")
        routed = msgspec.structs.replace(routed, reading=reading)
        world.shadow.offer(world.router, routed, Record("id", "/"))
        assert (await world.compared(1))["failed"] == 0


# --- out of the way ---------------------------------------------------------------------------------------------


async def test_it_gives_way_to_the_first_and_what_finds_no_room_is_shed_and_counted(
    make_world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins no text while one waits for the first classifier; at most 64 wait for it, and no more are kept."""
    monkeypatch.setattr("pointsman.app.shadow.PAUSE_SECONDS", 0)
    async with make_world(folder) as world:
        known = [await world.route(f"landlord {number}") for number in range(80)]
        gate = Gate(world.router.classifier)
        gate.close()
        busy = [asyncio.create_task(world.route("python"))]
        await gate.entered()
        busy.append(asyncio.create_task(world.route("blood")))
        await eventually(lambda: world.router.classifier.encoder.queued == 1, "a text waits for the first")
        for number, routed in enumerate(known):
            world.shadow.offer(world.router, routed, Record(f"{number}", "/"))
        waiting = world.shadow.report()
        await eventually(lambda: not world.shadow._arrived.is_set(), "it has seen that there are texts")
        still = world.shadow.report()
        gate.open()
        await asyncio.gather(*busy)
        report = await world.compared(64)

    assert (waiting["waiting"], waiting["shed"]) == (64, 16)
    assert (still["waiting"], still["compared"]) == (64, 0)
    assert (report["waiting"], report["shed"]) == (0, 16)
    assert dict(world.metrics.shadow_texts.items())["shed",] == 16


async def test_its_process_has_the_lowest_priority_a_bound_on_memory_and_is_the_first_to_be_killed(
    make_world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_process, "NICE", 19)
    async with make_world(folder):
        (pid,) = shadow_processes()
        nice = os.getpriority(os.PRIO_PROCESS, pid)
        bound, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
        victim = await asyncio.to_thread(Path(f"/proc/{pid}/oom_score_adj").read_text)

    assert nice == 19
    assert 2**30 < bound < 2**30 + 2**20
    assert int(victim) == 1000


async def test_a_text_that_it_has_is_no_longer_than_what_the_first_one_reads(make_world: Any, folder: Path) -> None:
    async with make_world(folder) as world:
        await world.ask("landlord " * 100_000)
        (waits,) = world.shadow._waiting
        assert len(waits.text) <= 12 * 512 + 1
        await world.compared(1)


async def test_a_text_that_is_tried_has_a_second_opinion_and_counts_for_no_comparison(
    make_world: Any, folder: Path
) -> None:
    """As often as it is asked, and also of a text that was compared."""
    async with make_world(folder) as world:
        await world.ask("My landlord")
        await world.compared(1)
        for text, model in (("My landlord", "medical-lora"), ("Fix my python", "technical-lora")) * 2:
            routed = await world.route(text)
            assert (await world.shadow.opinion(world.router, routed)).model == model
        assert await world.shadow.opinion(world.router, await world.route("", "legal-lora")) is None
        report = world.shadow.report()

    assert (report["compared"], report["failed"], report["shed"]) == (1, 0, 0)


async def test_who_tries_a_text_waits_for_no_second_opinion_that_does_not_come(
    make_world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.app.shadow.ASKED_SECONDS", 0.1)
    async with make_world(folder) as world:
        (pid,) = shadow_processes()
        os.kill(pid, signal.SIGSTOP)
        routed = await world.route("landlord")
        for _ in range(70):
            asked = asyncio.create_task(world.shadow.opinion(world.router, routed))
        assert await asked is None
        assert world.shadow.report()["waiting"] <= 64
        os.kill(pid, signal.SIGKILL)
        await world.until(lambda report: report["state"] == "stopped")
        assert await world.shadow.opinion(world.router, routed) is None


# --- it may fail ------------------------------------------------------------------------------------------------


async def test_if_its_process_dies_that_is_told_once_and_texts_are_offered_to_nobody(
    make_world: Any, folder: Path
) -> None:
    async with make_world(folder) as world:
        (pid,) = shadow_processes()
        os.kill(pid, signal.SIGKILL)
        for text in ("landlord", "python", "blood"):
            await world.ask(text)
        report = await world.until(lambda report: report["state"] == "stopped")
        await world.ask("pressure")
        after = world.shadow.report()

    assert report["error"] == "ended by signal 9"
    assert (after["waiting"], after["compared"], after["shed"]) == (0, 0, 0)
    (line,) = [line for line in world.logged() if line["level"] == "warning"]
    assert line["event"] == "shadow"
    assert "changes no decision: ended by signal 9; reload the service" in line["message"]


async def test_one_whose_end_the_event_loop_has_noticed_before_it_is_asked_has_ended_as_well(folder: Path) -> None:
    """Uvloop then raises this when its pipe is written to."""

    def closed(_: bytes) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    process = await ShadowProcess.start(
        ShadowOptions(str(folder), 512, 0.5, language_gate=True, load_seconds=SOON_SECONDS)
    )
    (pid,) = shadow_processes()
    os.kill(pid, signal.SIGKILL)
    process._input.write = closed  # type: ignore[method-assign,assignment]
    with pytest.raises(ShadowEnded, match="ended by signal 9"):
        await process.ask("landlord")


async def test_a_process_that_hangs_is_killed(make_world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with make_world(folder) as world:
        monkeypatch.setattr(shadow_process, "TEXT_SECONDS", 0.2)
        (pid,) = shadow_processes()
        os.kill(pid, signal.SIGSTOP)
        await world.ask("landlord")
        report = await world.until(lambda report: report["state"] == "stopped")
        assert sorted(shadow_processes()) == []

    assert report["error"] == "did not answer within 0.2 s"


def greedy() -> bytes:
    """A graph that wants 3 GB for each text, and then forgets them."""
    nodes = [
        helper.make_node("Expand", ["voted", "much"], ["large"]),
        helper.make_node("ReduceMax", ["large", "first"], ["most"], keepdims=0),
        helper.make_node("Identity", ["most"], ["logits"]),
    ]
    much = np.array([60_000_000, 1, len(LABELS)])
    return toy_artifact.after_votes(nodes, {"much": much, "first": np.array([0])})


async def test_an_artifact_that_wants_more_memory_than_its_bound_is_not_loaded(make_world: Any, tmp_path: Path) -> None:
    wants = toy_artifact.build(tmp_path / "greedy", {MODEL: greedy()})
    async with make_world(wants, state="stopped") as world:
        report = world.shadow.report()
        assert (await world.route("landlord")).decision.model == "legal-lora"

    assert "greedy: does not run" in report["error"]
    assert "lloc" in report["error"], "it says that memory could not be allocated"


async def test_an_artifact_that_never_ends_is_not_loaded(make_world: Any, tmp_path: Path) -> None:
    endless = toy_artifact.build(tmp_path / "endless", {MODEL: toy_artifact.endless_model()})
    async with make_world(endless, state="stopped", load_timeout_ms=500) as world:
        assert "a run did not end within 0.5 s" in world.shadow.report()["error"]


async def test_a_text_that_fails_is_counted_and_the_next_one_is_read(make_world: Any, tmp_path: Path) -> None:
    """Of a text with the word `weather`, this graph returns infinity."""
    words = {"landlord": "law", "weather": "other"}
    votes = toy_artifact.after_votes(
        [
            helper.make_node("Mul", ["voted", "large"], ["huge"]),
            helper.make_node("Where", ["rest", "huge", "voted"], ["logits"]),
        ],
        {"large": np.array(1e38, "f"), "rest": np.array([label == "other" for label in LABELS])},
    )
    fails = toy_artifact.build(tmp_path / "fails", {MODEL: votes, TOKENIZER: toy_artifact.tokenizer()})
    assert words
    async with make_world(fails) as world:
        await world.ask("weather")
        await world.ask("landlord")
        report = await world.compared(1)

    assert (report["state"], report["failed"], report["agreed"]["texts"]) == ("running", 1, 1)


# --- reload -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(prepared: PreparedConfig) -> AsyncIterator[Generations]:
    generations = Generations(prepared, Log("info", Memory()))
    try:
        yield generations
    finally:
        await generations.close()


async def runs(generations: Generations) -> ShadowClassifier:
    shadow = generations.current.shadow
    assert shadow is not None
    await eventually(lambda: shadow.state == "running", "it runs", timeout_s=SOON_SECONDS)
    return shadow


async def offer(generations: Generations, text: str) -> None:
    """Decide about a text as the data port does, which then offers it."""
    backend = generations.current.backend
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
    routed = await backend.router.route(parse_request(CHAT, body, backend.router.finder))
    assert backend.compare is not None
    backend.compare(routed, Record("id", "/"))


async def test_a_reload_keeps_it_where_nothing_that_it_compares_has_changed(
    classifier: Classifier, folder: Path, tmp_path: Path
) -> None:
    """Another artifact, other categories or none at all end it, and its process at once."""
    prepared = prepared_for(folder, classifier)
    async with serving(prepared) as generations:
        first = await runs(generations)
        (pid,) = shadow_processes()
        other_log = replace(prepared.config.pointsman.log, level="debug")
        same = replace(prepared.config, pointsman=replace(prepared.config.pointsman, log=other_log))
        generations.swap(replace(prepared, config=same))
        assert generations.current.shadow is first
        assert sorted(shadow_processes()) == [pid]

        another = prepared_for(second(tmp_path / "third"), classifier)
        generations.swap(another)
        replaced = await runs(generations)
        assert (first.state, replaced.report()["artifact"]) == ("stopped", "third")
        await eventually(lambda: pid not in shadow_processes(), "the process of the first has ended")
        assert len(sorted(shadow_processes())) == 1

        few = replace(another.config, categories=another.config.categories[:1])
        generations.swap(replace(another, config=few))
        assert await runs(generations) is not replaced

        for changed in ({"thresholds": {"legal": 0.9}}, {"precision": 0.9}):
            former, routing = await runs(generations), replace(few.pointsman.routing, **changed)
            generations.swap(replace(another, config=replace(few, pointsman=replace(few.pointsman, routing=routing))))
            assert await runs(generations) is not former, changed

        generations.swap(PreparedConfig(shadowed(None), classifier, b"", ()))
        assert generations.current.shadow is None
        await eventually(lambda: not sorted(shadow_processes()), "none is left")


async def test_a_reload_starts_one_that_has_stopped(classifier: Classifier, folder: Path) -> None:
    prepared = prepared_for(folder, classifier)
    async with serving(prepared) as generations:
        first = await runs(generations)
        (pid,) = shadow_processes()
        os.kill(pid, signal.SIGKILL)
        await offer(generations, "landlord")
        await eventually(lambda: first.state == "stopped", "it has noticed", timeout_s=SOON_SECONDS)
        generations.swap(prepared)
        assert await runs(generations) is not first


async def test_a_fault_of_ours_ends_no_comparison(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged and counted as that of any background task, and the process begins anew."""
    async with serving(prepared_for(folder, classifier)) as generations:
        shadow = await runs(generations)
        (pid,) = shadow_processes()
        failing = [ZeroDivisionError("for this test")]
        compare = shadow._compare

        def once(*arguments: Any) -> None:
            if failing:
                raise failing.pop()
            compare(*arguments)

        monkeypatch.setattr(shadow, "_compare", once)
        await offer(generations, "landlord")
        await eventually(lambda: not shadow_processes() <= {pid}, "it begins anew", timeout_s=SOON_SECONDS)
        await runs(generations)
        await offer(generations, "python")
        await eventually(lambda: shadow.report()["compared"] == 1, "the next text is compared")
        counted = generations.metrics.task_failures.items()

    assert dict(counted) == {("shadow",): 1}


# --- the config -------------------------------------------------------------------------------------------------


def written(path: Path, shadow: str = "second", first: str = "first") -> Path:
    toy_artifact.build_measured(path / first)
    text = (
        f"{MINIMAL}classifier: {{category_model: {{model_id: {first}, threshold: 0.5}}}}\n"
        f"pointsman: {{classifier: {{threads: 1, shadow: {shadow}}}}}\n"
        "categories:\n" + category("law") + category("health") + category("general")
    )
    (path / "config.yaml").write_text(text)
    return path / "config.yaml"


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    return check(path, sys.stdout), capsys.readouterr().out


def test_check_loads_it_and_shows_its_thresholds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second(tmp_path / "second")
    code, report = checked(written(tmp_path), capsys)
    assert code == 0
    assert "classifier" not in "".join(line for line in report.splitlines() if line.startswith("warning"))

    toy_artifact.build(tmp_path / "second", {MODEL: toy_artifact.adding_model(float("nan"))})
    code, report = checked(written(tmp_path), capsys)
    assert code == 0
    assert "warning: " in report
    assert "pointsman.classifier.shadow" in report
    assert "the graph returns NaN or infinity: the service starts without a classifier in shadow" in report


def test_labels_without_a_category_and_categories_without_a_label_are_warned_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second(tmp_path / "second", {"landlord": "law", "sky": "weather"}, ("weather", "law"))
    path = written(tmp_path)
    path.write_text(path.read_text().replace("  - name: general", "  - name: math"))
    code, report = checked(path, capsys)

    assert code == 0
    assert "no category covers weather, labels of the classifier in shadow" in report
    assert "the classifier in shadow has no label for health, math: it never chooses them" in report


def test_a_category_may_list_labels_that_only_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So a category for a new label can be written down before the classifier that knows it decides."""
    second(tmp_path / "second", {"landlord": "law", "bread": "cooking"}, ("cooking", "law"))
    path = written(tmp_path)
    path.write_text(path.read_text() + category("kitchen", "mmlu_categories: [Cooking]"))
    code, report = checked(path, capsys)
    assert code == 0, report
    assert "kitchen" not in "".join(line for line in report.splitlines() if "warning" in line)

    path.write_text(path.read_text().replace("[Cooking]", "[Cookery]"))
    code, report = checked(path, capsys)
    assert code == 1
    assert 'the classifier has no label "Cookery"' in report


@pytest.mark.parametrize("name", ["first", "second"])
def test_either_of_the_two_can_be_evaluated_by_their_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    second(tmp_path / "second", {"landlord": "law", "bread": "cooking"}, ("cooking", "law"))
    path = written(tmp_path)
    listed = category("kitchen", "mmlu_categories: [cooking]") + category("care", "mmlu_categories: [psychology]")
    path.write_text(path.read_text() + listed)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "landlord", "label": "law"}\n{"text": "bread", "label": "kitchen"}\n')

    assert evaluate([str(tmp_path / name), str(rows), "--config", str(path)]) == 0, capsys.readouterr().err


async def test_a_text_of_a_category_that_only_it_can_choose_is_a_difference(make_world: Any, tmp_path: Path) -> None:
    other = second(tmp_path / "second", {"landlord": "law", "bread": "cooking"}, ("cooking", "law"))
    kitchen = toy_category("kitchen", labels=("cooking",))
    async with make_world(other, more=(kitchen,)) as world:
        await world.ask("bread")
        report = await world.compared(1)

    assert report["pairs"] == [{"category": None, "shadow": "kitchen", "texts": 1}]


def test_one_that_cannot_be_read_keeps_nothing_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, shadow="nowhere")
    prepared = prepare(path)
    try:
        assert prepared.shadow is None
        assert "nowhere: no such folder" in (prepared.shadow_error or "")
        (warning,) = prepared.warnings
        assert "the service starts without a classifier in shadow" in warning
    finally:
        prepared.classifier.encoder.close()
    assert checked(path, capsys)[0] == 0


def test_the_first_classifier_is_kept_whatever_is_in_its_shadow(tmp_path: Path) -> None:
    second(tmp_path / "second")
    path = written(tmp_path)
    before = prepare(path)
    try:
        path.write_text(path.read_text().replace("shadow: second", "shadow: builtin"))
        after = prepare(path, before)
        assert after.classifier is before.classifier
        assert after.shadow is not None
        assert after.shadow.folder.name == "builtin"
    finally:
        before.classifier.encoder.close()


def test_a_process_that_cannot_read_its_order_says_so_and_ends() -> None:
    command = [sys.executable, "-m", "pointsman.classify.shadow"]
    done = subprocess.run(command, input=b"nonsense\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]
