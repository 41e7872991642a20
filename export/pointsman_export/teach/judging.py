"""Ask a model which of all categories a text belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from pointsman_export.teach.answers import number_in
from pointsman_export.teach.notebook import AnswerNote, Notebook, question_key
from pointsman_export.teach.questions import About, Question, to_judge
from pointsman_export.teach.served_model import Unanswered

T = TypeVar("T")


class Respondent(Protocol):
    """A model, or what stands for one."""

    async def answer(self, question: Question) -> str:
        """Return the answer; raises Unanswered or GivesUp."""
        ...


class Said(NamedTuple):
    """The category that a text is said to be of, None for nobody's."""

    name: str | None


class Judge:
    """A model that is asked about texts, each once; `turn` bounds the questions at a time."""

    def __init__(
        self, known: Sequence[About], model: Respondent, notebook: Notebook, turn: asyncio.Semaphore, by: str
    ) -> None:
        self.by = by
        self._known = known
        self._model = model
        self._notebook = notebook
        self._turn = turn

    async def category(self, text: str) -> Said | None:
        """Return what the model says of a text; None without an answer. Raises GivesUp and EvaluationError."""
        question = to_judge(text, self._known)
        of = question_key(self.by, question.chat)
        if (note := self._notebook.get(of)) is not None:
            return Said(note.judged)
        try:
            async with self._turn:
                number = number_in(await self._model.answer(question), len(self._known))
        except Unanswered:
            return None
        if number is None:
            return None
        said = Said(self._known[number - 1].name if number else None)
        self._notebook.add(AnswerNote(of, judged=said.name))
        return said


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of some work in its order; if one part fails, the rest is given up."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
