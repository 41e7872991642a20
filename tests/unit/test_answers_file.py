"""Which answers can be judged outlives the process; no damaged file holds it up, and none is judged twice."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from pointsman.observability.answers import Answer, Answers
from pointsman.observability.answers_file import AnswersFile

DAY = 86_400.0


def given(*names: str, age: float = 0.0) -> Answers:
    """Answers that a client got so long ago."""
    made, at = Answers(), time.time() - age
    answer = Answer("ann", at, "/v1/chat/completions", "law-v2", "law", "classified", "canary", "0a", rater="0b")
    made.restore([(name, answer) for name in names], at)
    return made


def save(folder: Path, answers: Answers) -> None:
    """As at the end of the service."""
    asyncio.run(AnswersFile(folder, answers).save())


def restored(folder: Path) -> Answers:
    """As at its next start."""
    made = Answers()
    assert AnswersFile(folder, made).load() is None
    return made


def test_an_answer_of_before_a_restart_can_be_judged(tmp_path: Path) -> None:
    """By who got it, and once in all."""
    answers = given("a", "b")
    judged = answers.find("b", "ann", time.time())
    assert judged is not None
    answers.judged("b", judged)
    save(tmp_path, answers)
    found = restored(tmp_path)
    assert found.entries(0.0) == answers.entries(0.0)
    assert [answer.judged for _, answer in found.entries(0.0)] == [False, True]
    assert found.find("a", "ben", time.time()) is None


def test_it_can_be_for_a_day_however_often_the_service_restarts(tmp_path: Path) -> None:
    save(tmp_path, given("fresh", age=DAY - 60))
    save(tmp_path, restored(tmp_path))
    file = tmp_path / "answers.json"
    content = json.loads(file.read_bytes())
    assert content["answers"][0][0] == "fresh"
    content["answers"][0][1][1] -= 120
    file.write_text(json.dumps(content))
    assert restored(tmp_path).entries(0.0) == []


@pytest.mark.parametrize("answers", [given(), given("old", age=DAY + 60)])
def test_where_nothing_can_be_judged_nothing_is_written(tmp_path: Path, answers: Answers) -> None:
    save(tmp_path, answers)
    assert list(tmp_path.iterdir()) == []


def test_after_a_crash_none_is_judged_twice(tmp_path: Path) -> None:
    """What is judged after a restart is not in the file that the end before wrote; so that is gone."""
    save(tmp_path, given("a"))
    assert len(restored(tmp_path).entries(0.0)) == 1
    assert restored(tmp_path).entries(0.0) == []


@pytest.mark.thorough
def test_as_many_answers_as_are_remembered_fit_into_the_file(tmp_path: Path) -> None:
    save(tmp_path, given(*(f"{number:064x}" for number in range(50_000))))
    assert len(restored(tmp_path).entries(0.0)) == 50_000


@pytest.mark.parametrize(
    "content", [b"x", b'{"version":2,"answers":[]}', b'{"version":1,"answers":[["a",["ann"]]]}', b" " * (2**26 + 1)]
)
def test_a_file_that_cannot_be_read_is_told_of_and_left_behind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answers.json").write_bytes(content)
    message = AnswersFile(tmp_path, Answers()).load()
    assert message is not None
    assert message.startswith(f"{tmp_path}/answers.json cannot be used (")
    assert restored(tmp_path).entries(0.0) == []
