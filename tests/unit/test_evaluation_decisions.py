"""Labelled requests are decided as the service decides them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify import artifact
from pointsman.classify.calibration import Calibration
from pointsman.classify.classifier import Classifier
from pointsman.config.model import RoutingOptions
from pointsman.evaluation.dataset import EvaluationRow
from pointsman.evaluation.decisions import RowDecisions, decide
from pointsman.evaluation.reader import ArtifactRunner, TextPredictions
from pointsman.formats import CHAT
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from support.config_files import LABELS
from support.toy_config import category, config

CONTEXT = "Use the context.\n<context>\nA landlord and the law of landlords.\n</context>\n\nQuestion: Is python slow?"
TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title summarizing the chat history.\n### Output:\nJSON format: "
    '{ "title": "your title" }\n### Chat History:\n<chat_history>\nUSER: python\n</chat_history>'
)


def user(*texts: str) -> list[dict[str, str]]:
    """What a user asks in turns, each but the last with an answer."""
    said = [message for text in texts for message in ({"role": "user", "content": text}, ANSWER)]
    return said[:-1]


ANSWER = {"role": "assistant", "content": "a"}


def decided(folder: Path, *rows: EvaluationRow, calibration: Calibration | None = None, **fields: Any) -> RowDecisions:
    made = artifact.load(folder)
    return decide(rows, config(**fields), made.manifest.labels, ArtifactRunner(made).read, calibration)


@pytest.mark.parametrize(
    ("text", "category", "read"),
    [
        pytest.param("Is python slow?", "technical", "Is python slow?", id="a bare ask"),
        pytest.param(CONTEXT, "technical", "Is python slow?", id="the ask in a wrapper"),
        pytest.param(TITLE, None, "", id="a front end's task"),
    ],
)
def test_the_ask_decides(toy_folder: Path, text: str, category: str | None, read: str) -> None:
    made = decided(toy_folder, EvaluationRow(1, text, None))
    assert (made.categories, made.texts) == ([category], [read])
    assert made.reading.probabilities.sum() == pytest.approx(1.0 if read else 0.0)


def test_a_chat_is_decided_by_its_newest_ask_and_what_that_follows(toy_folder: Path) -> None:
    chats = [
        user("python", "thanks"),
        user("python", "blood landlord"),
        user("python", "How high is my blood pressure?"),
    ]
    made = decided(toy_folder, *(EvaluationRow(line, "x", None, chat) for line, chat in enumerate(chats)))
    assert made.categories == ["technical", "technical", "medical"]


def test_a_follow_up_is_read_with_what_was_before_as_in_the_service(toy_folder: Path, classifier: Classifier) -> None:
    """Which is known only once the ask is."""
    made, options = artifact.load(toy_folder), config(category("technical"), category("general"), threshold=0.5)
    chats = [user("javascript", "Which python decorator caches generators of blood and weather?") for _ in range(2)]
    chats[0][1], chats[1][1] = [
        {"role": "assistant", "content": text} for text in ("Decorators wrap generators.", "Blood and blood and blood.")
    ]
    rows = [EvaluationRow(line, "x", None, chat) for line, chat in enumerate(chats)]
    read: list[str] = []

    def reading(texts: list[str]) -> TextPredictions:
        read.extend(texts)
        return ArtifactRunner(made).read(texts)

    found = decide(rows, options, made.manifest.labels, reading)
    assert found.categories == ["technical", "general"]
    assert len(set(read)) == len(read)
    assert [text.count("\n") for text in read].count(2) == len(rows)
    router = Router(options, classifier, ServedModels)
    serve = [router.route(parse_request(CHAT, row.body), remember=False) for row in rows]
    assert [asyncio.run(one).decision.category for one in serve] == found.categories


def test_the_thresholds_that_the_artifacts_rows_give_count(toy_folder: Path) -> None:
    """Of 80 rows for technical, those at 0.9999 are right, and those at 0.999 are not."""
    code, other = LABELS.index("computer science"), LABELS.index("other")
    said = np.zeros((80, len(LABELS)))
    said[:, code], said[:, other] = np.repeat([0.9999, 0.999], 40), np.repeat([0.0001, 0.001], 40)
    rows = Calibration(said, np.repeat([code, other], 40))
    made = decided(
        toy_folder,
        EvaluationRow(1, "Is python slow?", None),
        EvaluationRow(2, "My landlord", None),
        calibration=rows,
        routing=RoutingOptions(precision=0.95),
    )
    assert made.categories == [None, "legal"]


def test_the_options_of_the_config_count(toy_folder: Path) -> None:
    made = decided(
        toy_folder, EvaluationRow(1, "python landlord", None), EvaluationRow(2, TITLE, None), fallback="legal"
    )
    assert made.categories == ["legal", None]


def test_they_are_the_decisions_of_the_service(toy_folder: Path, classifier: Classifier) -> None:
    texts = ["python", "Hi", CONTEXT, TITLE, "python landlord", "my blood\n\nmy landlord", "ありがとう"]
    router = Router(config(), classifier, ServedModels)

    async def served() -> list[str | None]:
        bodies = [EvaluationRow(1, text, None).body for text in texts]
        return [(await router.route(parse_request(CHAT, body, router.finder))).decision.category for body in bodies]

    assert decided(toy_folder, *(EvaluationRow(1, text, None) for text in texts)).categories == asyncio.run(served())
