"""One encoder for all heads on it: the one that serves, the one in shadow, one that is tried, and one promoted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.app.candidates import Candidates
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig, prepare
from pointsman.app.shadow_process import ShadowProcess
from pointsman.classify import artifact
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.shadow import ShadowOptions
from pointsman.errors import ArtifactError, RequestError
from pointsman.formats import CHAT
from pointsman.observability.log import Log
from pointsman.observability.record import Record
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from support import toy_artifact
from support.config_files import LABELS, MINIMAL, category
from support.gate import Gate
from support.log import Memory
from support.process import shadow_processes
from support.toy_heads import base_in, exchanging, head_on


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The artifact `base`, and the head `health`, which takes what is about a landlord for a matter of health."""
    base = base_in(tmp_path / "base")
    answers = [{"text": "a", "probabilities": [1 / len(LABELS)] * len(LABELS)}]
    head_on(base, tmp_path / "health", exchanging("law", "health"), LABELS, known_answers=answers)
    return tmp_path


def written(folder: Path, first: str, shadow: str | None = None) -> Path:
    text = (
        f"{MINIMAL}classifier: {{category_model: {{model_id: {first}, threshold: 0.5}}}}\n"
        f"pointsman: {{classifier: {{threads: 1, deadline_ms: 10000, shadow: {shadow or 'null'}}}}}\n"
        "categories:\n" + category("law") + category("health") + category("general")
    )
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


@pytest.fixture
def prepared(folder: Path) -> Iterator[PreparedConfig]:
    """With `base` in service."""
    found = prepare(written(folder, "base"))
    yield found
    found.classifier.encoder.close()


async def route(router: Router, text: str) -> RoutedRequest:
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
    return await router.route(parse_request(CHAT, body, router.finder))


def folder_in(folder: Path) -> Callable[[str], Awaitable[Path]]:
    async def folder_of(name: str) -> Path:
        return folder / name

    return folder_of


async def category_of(prepared: PreparedConfig, text: str) -> str | None:
    return (await route(Router(prepared.config, prepared.classifier, ServedModels), text)).decision.category


@pytest.mark.parametrize(("first", "shadow"), [("base", "health"), ("health", "base"), ("health", "health")])
async def test_what_is_in_shadow_on_the_same_graph_is_read_in_the_same_run(
    folder: Path, first: str, shadow: str
) -> None:
    """Without a process, and at once, so that the log's line has its opinion; also of a text in the cache."""
    prepared = prepare(written(folder, first, shadow))
    gate, generations = Gate(prepared.classifier), Generations(prepared, Log("info", Memory()))
    backend, found = generations.current.backend, generations.current.shadow
    assert backend.compare is not None
    assert found is not None
    assert found.report()["state"] == "running"
    opinions = []
    for _ in range(2):
        record = Record("id", "/")
        routed = await route(backend.router, "landlord")
        backend.compare(routed, record)
        opinions.append(record.shadow)
    asked = await found.opinion(backend.router, routed)
    assert (gate.runs, sorted(shadow_processes())) == ([1], [])
    await generations.close()

    of = {"base": "law", "health": "health"}
    assert routed.decision.category == of[first]
    assert opinions[0] is not None
    assert opinions[0].category == of[shadow]
    assert opinions[1] is None, "it is compared once"
    assert asked is not None
    assert asked.category == of[shadow]
    assert found.report()["compared"] == 1


async def test_a_promoted_head_takes_over_the_encoder_and_its_cache_but_no_scores(
    folder: Path, prepared: PreparedConfig
) -> None:
    """Requests that began before it are still decided by the one before, in the same batch."""
    after = prepare(written(folder, "health"), prepared)
    assert after.classifier.encoder is prepared.classifier.encoder
    found = await asyncio.gather(*(category_of(one, "landlord") for one in (prepared, after) * 2))
    assert found == ["law", "health"] * 2
    assert prepare(written(folder, "health"), after).classifier is after.classifier
    back = prepare(written(folder, "base"), after)
    assert (await back.classifier.classify("landlord")).source == "hit"


def test_a_head_that_answers_otherwise_than_when_it_was_made_is_refused(folder: Path, prepared: PreparedConfig) -> None:
    """Also in a reload, where the encoder serves on."""
    wrong = [{"text": "landlord", "probabilities": [1.0] + [0.0] * (len(LABELS) - 1)}]
    head_on(folder / "base", folder / "wrong", exchanging("law", "health"), LABELS, known_answers=wrong)
    path = written(folder, "wrong")
    for before in (None, prepared):
        with pytest.raises(ArtifactError, match="when it was exported"):
            prepare(path, before)
    assert prepared.classifier.encoder.healthy
    assert asyncio.run(category_of(prepared, "landlord")) == "law"


def test_a_head_is_proven_by_its_own_labels_and_weights(folder: Path, prepared: PreparedConfig) -> None:
    """Not by those of the encoder's artifact."""
    weights = np.zeros((2, len(LABELS)), np.float32)
    weights[1, LABELS.index("law")] = 1.0
    known = [{"text": "landlord", "probabilities": [0.0, 1.0]}]
    head = LinearHead(weights, np.zeros(2, np.float32), added=False)
    prepared.classifier.encoder.prove(
        artifact.load(head_on(folder / "base", folder / "two", head, ["tea", "rail"], known_answers=known))
    )


@pytest.mark.parametrize("fault", ["SHA-256", "when it was exported"])
def test_a_bad_head_in_shadow_keeps_nothing_from_starting(folder: Path, prepared: PreparedConfig, fault: str) -> None:
    if fault == "SHA-256":
        (folder / "health" / "head.bin").write_bytes(b"\0" * 4)
    else:
        manifest = (folder / "health" / "pointsman.json").read_text()
        (folder / "health" / "pointsman.json").write_text(manifest.replace('"text": "a"', '"text": "landlord"'))
    after = prepare(written(folder, "base", "health"), prepared)
    assert (after.shadow, after.classifier) == (None, prepared.classifier)
    assert fault in (after.shadow_error or "")
    assert fault in "".join(after.warnings)


async def test_an_encoder_without_labels_is_neither_in_shadow_of_a_head_on_it_nor_tried(tmp_path: Path) -> None:
    toy_artifact.encoder(tmp_path / "encoder")
    answers = [{"text": "a", "probabilities": [1 / len(LABELS)] * len(LABELS)}]
    head_on(tmp_path / "encoder", tmp_path / "head", exchanging("law", "health"), LABELS, known_answers=answers)
    prepared = prepare(written(tmp_path, "head", "encoder"))
    candidates, router = Candidates(folder_in(tmp_path)), Router(prepared.config, prepared.classifier, ServedModels)
    with pytest.raises(RequestError, match="has no labels to compare"):
        await candidates.judge("encoder", router, await route(router, "landlord"))
    prepared.classifier.encoder.close()
    assert prepared.shadow is None
    assert "has no labels to compare" in (prepared.shadow_error or "")


async def test_a_head_that_is_tried_is_read_in_a_run_of_the_encoder(folder: Path, prepared: PreparedConfig) -> None:
    candidates, router = Candidates(folder_in(folder)), Router(prepared.config, prepared.classifier, ServedModels)
    found = await candidates.judge("health", router, await route(router, "landlord"))
    assert sorted(shadow_processes()) == []
    await candidates.close()
    assert found["decision"].category == "health"
    assert next(iter(found["labels"])) == "health"
    assert found["thresholds"].keys() == {"law", "health", "general"}


async def test_a_head_on_another_encoder_is_loaded_by_a_process(folder: Path) -> None:
    options = ShadowOptions(str(folder / "health"), 64, 0.5, language_gate=True, load_seconds=60)
    process = await ShadowProcess.start(options)
    answer: Any = await process.ask("landlord")
    await process.close()
    assert (answer.error, list(process.labels)) == (None, list(LABELS))
    assert answer.probabilities[LABELS.index("health")] > 0.9
