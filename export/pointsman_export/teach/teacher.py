"""Ask a model for prompts of each category and of nobody, and show it each one again among all categories."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pointsman.improve.taught_file import TaughtRow
from pointsman_export.teach.answers import prompts_in
from pointsman_export.teach.curriculum import Curriculum
from pointsman_export.teach.judging import Judge, Respondent, Said, all_of
from pointsman_export.teach.notebook import AnswerNote, Notebook, question_key
from pointsman_export.teach.questions import (
    MANNERS,
    NOBODYS,
    PROMPTS,
    to_write,
    to_write_others,
)
from pointsman_export.teach.served_model import GivesUp, Unanswered
from pointsman_export.teach.sieve import Sieve, strange

MAX_BATCHES = 3
"""Respondent of a category, for each that would do if every prompt counted."""
NOBODYS_SHARE = 2
"""Prompts of nobody, for each of a category."""


@dataclass(slots=True)
class Lessons:
    """The rows of a teaching, how many prompts were dropped for which reason, and why it ended early, if it did."""

    rows: list[TaughtRow] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    trouble: str | None = None


@dataclass(slots=True)
class _Pupil:
    """A category, or nobody, with the prompts that it has so far; `asked` counts the answers."""

    name: str | None
    wanted: int
    kept: list[str] = field(default_factory=list)
    asked: int = 0

    def batches(self) -> int:
        """Return how many answers to ask for in the next round."""
        left = MAX_BATCHES * math.ceil(self.wanted / PROMPTS) - self.asked
        return max(0, min(left, math.ceil((self.wanted - len(self.kept)) / PROMPTS)))


class Teacher:
    """One teaching; `parallel` questions are asked at a time, `shown` gets the rows so far and those wanted."""

    def __init__(
        self,
        curriculum: Curriculum,
        model: Respondent,
        notebook: Notebook,
        parallel: int,
        shown: Callable[[int, int], None] = lambda _done, _wanted: None,
    ) -> None:
        self._curriculum = curriculum
        self._model = model
        self._notebook = notebook
        self._turn = asyncio.Semaphore(parallel)
        self._second_look = Judge(curriculum.known, model, notebook, self._turn, curriculum.by)
        self._shown = shown
        self._sieve = Sieve([*(text for one in curriculum.known for text in one.texts), *curriculum.examples])
        self._taught = Lessons(dropped=self._sieve.dropped)
        self._pupils = [_Pupil(one.name, curriculum.rows) for one in curriculum.known]
        self._pupils.append(_Pupil(None, NOBODYS_SHARE * curriculum.rows))

    async def teach(self) -> Lessons:
        """Ask until each category has its rows or its bound of answers; raises EvaluationError if notes fail.

        If the model gives up, the rows so far are what is taught.
        """
        try:
            while asked := [(pupil, batch) for pupil in self._pupils for batch in self._next(pupil)]:
                written = await all_of(self._written(pupil, batch) for pupil, batch in asked)
                prompts: dict[int, list[str]] = {}
                for (pupil, _), found in zip(asked, written, strict=True):
                    prompts.setdefault(id(pupil), []).extend(text for text in found if self._sieve.takes(text))
                for pupil in self._pupils:
                    await self._judge(pupil, prompts.get(id(pupil), []))
        except GivesUp as error:
            self._taught.trouble = str(error)
        rows = ((text, pupil.name) for pupil in self._pupils for text in pupil.kept)
        self._taught.rows = [TaughtRow(text, name, self._curriculum.by) for text, name in rows]
        return self._taught

    def _next(self, pupil: _Pupil) -> range:
        first, count = pupil.asked, pupil.batches()
        pupil.asked += count
        return range(first, first + count)

    async def _judge(self, pupil: _Pupil, prompts: list[str]) -> None:
        """Keep the prompts that the model finds to be of the category as well."""
        said = await all_of(self._second_look.category(text) for text in prompts)
        agreed = [text for text, one in zip(prompts, said, strict=True) if one == Said(pupil.name)]
        self._taught.dropped["another category on a second look"] += len(prompts) - len(agreed)
        found = [*pupil.kept, *agreed]
        odd = strange(map(self._curriculum.language, found))
        self._taught.dropped["another language"] += sum(odd)
        pupil.kept = [text for text, is_odd in zip(found, odd, strict=True) if not is_odd][: pupil.wanted]
        self._shown(sum(len(one.kept) for one in self._pupils), sum(one.wanted for one in self._pupils))

    async def _written(self, pupil: _Pupil, batch: int) -> list[str]:
        """Return the prompts of an answer; none if there is no answer."""
        asked = self._curriculum
        if pupil.name is None:
            question = to_write_others(asked.known, NOBODYS[batch % len(NOBODYS)])
        else:
            one = next(each for each in asked.known if each.name == pupil.name)
            question = to_write(one, asked.neighbors.get(one.name, ()), MANNERS[batch % len(MANNERS)])
        of = question_key(asked.by, question.chat, batch)
        if (note := self._notebook.get(of)) is not None:
            return note.prompts or []
        try:
            async with self._turn:
                found = prompts_in(await self._model.answer(question))
        except Unanswered:
            self._taught.dropped["no answer"] += PROMPTS
            return []
        self._notebook.add(AnswerNote(of, prompts=found))
        return found
