"""Ask a model which category stored texts belong to; what a person said of one counts instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from pointsman.improve.labels_file import OUT_OF_SCOPE, LabelledText
from pointsman.improve.taught_file import LOCAL, TaughtRow
from pointsman.improve.texts_file import TextRecord
from pointsman_export.teach.judging import Judge, all_of
from pointsman_export.teach.served_model import GivesUp

MIN_OF_CLIENT = 20
"""A client's texts that count in any case."""


def fair(texts: Sequence[TextRecord]) -> list[TextRecord]:
    """Return the texts without those of a client beyond MIN_OF_CLIENT and an equal share; the latest, last, stay."""
    most = max(MIN_OF_CLIENT, -(-len(texts) // max(1, len({row.client for row in texts}))))
    known: Counter[str] = Counter()
    chosen = []
    for row in reversed(texts):
        known[row.client] += 1
        if known[row.client] <= most:
            chosen.append(row)
    return chosen[::-1]


def by_people(labels: Sequence[LabelledText], described: Collection[str]) -> dict[str, TaughtRow]:
    """Return by hash what people said of texts, where it is a described category or none."""
    return {
        one.hash: TaughtRow(one.text, None if one.label == OUT_OF_SCOPE else one.label)
        for one in labels
        if one.label == OUT_OF_SCOPE or one.label in described
    }


async def labelled(
    texts: Sequence[TextRecord],
    people: Mapping[str, TaughtRow],
    judge: Judge,
    shown: Callable[[int, int], None] = lambda _done, _wanted: None,
) -> tuple[list[TaughtRow], str | None]:
    """Return a row for each text that has an answer, and why it ended early, if it did; raises EvaluationError.

    `people` has rows by the hash of a text, which is then not asked about.
    """
    asked = [row for row in texts if row.hash not in people]
    found: list[TaughtRow] = list(people.values())
    done = 0

    async def ask(row: TextRecord) -> None:
        nonlocal done
        said = await judge.category(row.text)
        if said is not None:
            found.append(TaughtRow(row.text, said.name, judge.by, row.client or LOCAL))
        done += 1
        shown(done, len(asked))

    try:
        await all_of(map(ask, asked))
    except GivesUp as error:
        return found, str(error)
    return found, None
