"""Stored texts are labeled by the model where no person has labeled them, and no client outweighs the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from pointsman.improve.labels_file import OUT_OF_SCOPE, LabelledText
from pointsman.improve.taught_file import TaughtRow
from pointsman.improve.texts_file import TextRecord
from pointsman_export.teach.judging import Judge
from pointsman_export.teach.labelling import by_people, fair, labelled
from pointsman_export.teach.notebook import Notebook
from pointsman_export.teach.questions import About, Question
from pointsman_export.teach.rows import merged, write_rows
from pointsman_export.teach.served_model import GivesUp

KNOWN = [About("sql", ("Writes SQL.",)), About("sea", ("Speaks as a captain.",))]
TEXTS = [TextRecord(f"h{i}", f"sum by month {i}", client="ann") for i in range(3)]


class Model:
    def __init__(self, says: str = "1", most: int = 100) -> None:
        self.asked: list[str] = []
        self._says = says
        self._most = most

    async def answer(self, question: Question) -> str:
        if len(self.asked) >= self._most:
            raise GivesUp("the server is gone")
        self.asked.append(question.chat)
        return self._says


def label(model: Model, notes: Path, people: dict[str, TaughtRow] | None = None) -> tuple[list[TaughtRow], str | None]:
    async def work() -> tuple[list[TaughtRow], str | None]:
        judge = Judge(KNOWN, model, Notebook(notes), asyncio.Semaphore(2), "base")
        return await labelled(TEXTS, people or {}, judge)

    return asyncio.run(work())


def test_each_text_is_asked_about_alone_and_its_row_names_model_and_client(tmp_path: Path) -> None:
    model = Model()
    found, trouble = label(model, tmp_path / "notes")

    assert sorted(found, key=lambda row: row.text) == [TaughtRow(one.text, "sql", "base", "ann") for one in TEXTS]
    assert trouble is None
    assert all(sum(one.text in asked for one in TEXTS) == 1 for asked in model.asked)


def test_what_belongs_to_none_is_nobody_s_and_what_has_no_answer_is_left_out(tmp_path: Path) -> None:
    assert {row.label for row in label(Model("none"), tmp_path / "a")[0]} == {None}
    assert label(Model("I do not know"), tmp_path / "b")[0] == []


def test_a_person_s_label_wins_and_the_model_is_not_asked(tmp_path: Path) -> None:
    labels = [LabelledText("h0", "sum by month 0", "sea"), LabelledText("h1", "sum by month 1", OUT_OF_SCOPE)]
    labels.append(LabelledText("h2", "sum by month 2", "of no described category"))
    model = Model()
    found, _ = label(model, tmp_path / "notes", by_people(labels, ["sql", "sea"]))

    assert {row.text[-1]: (row.label, row.by) for row in found} == {
        "0": ("sea", ""),
        "1": (None, ""),
        "2": ("sql", "base"),
    }
    assert len(model.asked) == 1


def test_if_the_model_gives_up_the_labels_so_far_count_and_the_rest_later(tmp_path: Path) -> None:
    found, trouble = label(Model(most=2), tmp_path / "notes")
    again = Model()

    assert (len(found), trouble) == (2, "the server is gone")
    assert len(label(again, tmp_path / "notes")[0]) == 3
    assert len(again.asked) == 1


def test_of_one_client_at_most_20_texts_or_an_equal_share_count_the_latest_ones() -> None:
    ann = [TextRecord(f"a{i}", f"a {i}", client="ann") for i in range(100)]
    bob = [TextRecord("b", "b", client="bob")]

    found = fair([*ann, *bob])

    assert Counter(row.client for row in found) == {"ann": 51, "bob": 1}
    assert [row.text for row in found if row.client == "ann"][-1] == "a 99"
    assert len(fair(ann[:20])) == 20
    many = [TextRecord(f"{i}", f"{i}", client=str(i)) for i in range(30)]
    assert Counter(row.client for row in fair([*ann[:25], *many]))["ann"] == 20


def test_new_rows_replace_those_of_their_kind_and_never_a_person_s(tmp_path: Path) -> None:
    file = tmp_path / "taught.jsonl"
    person, written, stored = TaughtRow("p", "sql"), TaughtRow("w", "sql", "base"), TaughtRow("s", "sql", "base", "ann")
    write_rows(file, [person, written, stored])

    fresh = TaughtRow("new", "sea", "base")
    assert merged(file, [fresh], stored=False) == [person, stored, fresh]
    assert merged(file, [fresh], stored=True) == [person, written, fresh]
    assert merged(tmp_path / "none", [fresh], stored=True) == [fresh]
