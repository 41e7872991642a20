"""A model writes rows of each category and of nobody, agrees with itself, and goes on where it was stopped."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from pointsman_export.teach.curriculum import Curriculum
from pointsman_export.teach.notebook import Notebook
from pointsman_export.teach.questions import About, Question
from pointsman_export.teach.served_model import GivesUp, Unanswered
from pointsman_export.teach.teacher import Lessons, Teacher

KNOWN = [About("sql", ("Writes SQL.",)), About("sea", ("Speaks as a captain.",))]
WORDS = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "reef")


class Model:
    """Writes new prompts that begin with their category's name, and knows them again; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self._number = 0

    async def answer(self, question: Question) -> str:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if "number" in question.schema["properties"]:
            self.asked["judged"] += 1
            return self.judged(question.chat)
        self.asked["written"] += 1
        data = json.loads(question.chat.splitlines()[1])
        return self.written(data["assistant"]["name"] if "assistant" in data else "nobody")

    def written(self, name: str) -> str:
        return json.dumps({"prompts": [self.prompt(name) for _ in range(10)]})

    def prompt(self, name: str) -> str:
        self._number += 1
        digits = [self._number // 9**place % 9 for place in range(4)]
        return f"{name} " + " ".join(WORDS[digit] for digit in digits)

    def judged(self, asked: str) -> str:
        message = json.loads(asked.split("data as well:\n")[1].splitlines()[0])
        return {"sql": "1", "sea": "2"}.get(message.split()[0], "none")


def teach(model: Model, notes: Path, rows: int = 20, parallel: int = 2, language=lambda _: None) -> Lessons:  # type: ignore[no-untyped-def]
    curriculum = Curriculum(KNOWN, {"sql": KNOWN[1:]}, [], language, rows, "base")
    return asyncio.run(Teacher(curriculum, model, Notebook(notes), parallel).teach())


def by_label(found: Lessons) -> Counter[str | None]:
    return Counter(row.label for row in found.rows)


def test_each_category_has_its_rows_and_nobody_twice_as_many(tmp_path: Path) -> None:
    found = teach(Model(), tmp_path / "notes")

    assert by_label(found) == {"sql": 20, "sea": 20, None: 40}
    assert {row.by for row in found.rows} == {"base"}
    assert found.trouble is None


def test_a_prompt_that_the_model_finds_to_be_of_another_category_is_dropped(tmp_path: Path) -> None:
    class Unsure(Model):
        def judged(self, asked: str) -> str:
            return "2"

    found = teach(Unsure(), tmp_path / "notes")

    assert by_label(found) == {"sea": 20}
    assert found.dropped["another category on a second look"] > 0


def test_no_category_has_more_rows_than_were_asked_for_whatever_a_model_says(tmp_path: Path) -> None:
    class Eager(Model):
        def written(self, name: str) -> str:
            return json.dumps({"prompts": [self.prompt(name) for _ in range(500)]})

    assert by_label(teach(Eager(), tmp_path / "notes", rows=7)) == {"sql": 7, "sea": 7, None: 14}


def test_a_model_that_repeats_itself_is_asked_three_times_as_often_at_most(tmp_path: Path) -> None:
    class Dull(Model):
        def written(self, name: str) -> str:
            return json.dumps({"prompts": [f"{name} again and again"] * 10})

    model = Dull()
    found = teach(model, tmp_path / "notes", rows=20)

    assert by_label(found) == {"sql": 1, "sea": 1, None: 1}
    assert model.asked["written"] == 3 * (2 + 2 + 4)


def test_what_has_no_answer_costs_its_rows_alone(tmp_path: Path) -> None:
    class Deaf(Model):
        async def answer(self, question: Question) -> str:
            if "number" not in question.schema["properties"] and '"assistant": {"name": "sql"' in question.chat:
                raise Unanswered("nothing for a minute")
            return await super().answer(question)

    assert by_label(teach(Deaf(), tmp_path / "notes")) == {"sea": 20, None: 40}


def test_if_the_model_gives_up_the_rows_so_far_are_taught_and_the_rest_later(tmp_path: Path) -> None:
    class Mortal(Model):
        async def answer(self, question: Question) -> str:
            if self.asked.total() >= 50:
                raise GivesUp("the server is gone")
            return await super().answer(question)

    first = teach(Mortal(), tmp_path / "notes")
    again = Model()
    second = teach(again, tmp_path / "notes")

    assert first.trouble == "the server is gone"
    assert 0 < len(first.rows) < 80
    assert by_label(second) == {"sql": 20, "sea": 20, None: 40}
    assert {row.text for row in first.rows} <= {row.text for row in second.rows}
    assert again.asked["judged"] <= 80 - 30


def test_a_question_that_has_an_answer_is_not_asked_again(tmp_path: Path) -> None:
    first = teach(Model(), tmp_path / "notes")
    again = Model()

    assert teach(again, tmp_path / "notes").rows == first.rows
    assert not again.asked


def test_a_line_that_a_crash_cut_off_is_asked_again(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    teach(Model(), notes)
    notes.write_bytes(notes.read_bytes()[:-20])
    again = Model()

    assert by_label(teach(again, notes)) == {"sql": 20, "sea": 20, None: 40}
    assert again.asked.total() == 1


def test_as_many_questions_as_allowed_are_asked_at_a_time(tmp_path: Path) -> None:
    model = Model()
    teach(model, tmp_path / "notes", parallel=2)

    assert model.most_at_once == 2


def test_prompts_in_a_language_that_few_share_are_dropped(tmp_path: Path) -> None:
    found = teach(Model(), tmp_path / "notes", language=lambda text: "zh" if "reef" in text else None)

    assert not [row for row in found.rows if "reef" in row.text]
    assert found.dropped["another language"] > 0
