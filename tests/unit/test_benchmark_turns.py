"""The sets of conversation turns are what their description says.

A failure names a row by its id, so that no test shows the texts that are kept apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]
ASK = Path(__file__).parents[2] / "benchmarks" / "ask"
DESCRIPTION = (ASK / "turns.md").read_text()
DOMAINS = ("technical", "medical", "legal", "everyday")
THIRD = "turns_third.jsonl"
SETS: dict[str, list[Row]] = {
    name: [json.loads(line) for line in (ASK / name).read_text().splitlines()]
    for name in ("turns.jsonl", "turns_held_out.jsonl", "turns_second.jsonl", THIRD)
}
PAIRS = [(one, other) for one in DOMAINS for other in DOMAINS if one != other]


def opener(row: Row) -> str:
    """Return the user's first message, which tells a conversation from the others."""
    return str(next(said["content"] for said in row["history"] if said["role"] == "user"))


def ask(row: Row) -> str:
    return str(row["ask"])


def sound(row: Row) -> bool:
    follows = row["kind"] == "follow_up"
    return (
        row["id"].startswith("f" if follows else "c")
        and row["kind"] in ("follow_up", "change")
        and {row["domain"], row["to"]} <= set(DOMAINS)
        and (row["domain"] == row["to"]) == follows
        and (follows or not row["content_free"])
        and 1 <= len(row["history"]) <= 8
        and all(said["role"] in ("system", "user", "assistant") and said["content"] for said in row["history"])
        and bool(row["ask"])
    )


def test_every_row_has_the_fields_that_its_kind_needs() -> None:
    assert [row["id"] for found in SETS.values() for row in found if not sound(row)] == []


def test_no_two_rows_have_one_id() -> None:
    count = Counter(row["id"] for found in SETS.values() for row in found)
    assert [id_ for id_, rows_ in count.items() if rows_ > 1] == []


def test_the_third_set_shares_no_opener_and_no_ask_with_another() -> None:
    """Else a choice made by one set would be judged by what it has seen."""
    others = [row for name, found in SETS.items() if name != THIRD for row in found]
    seen = {text(row).lower() for row in others for text in (opener, ask)}
    assert [row["id"] for row in SETS[THIRD] if {opener(row).lower(), ask(row).lower()} & seen] == []


def test_each_conversation_of_the_third_set_gives_two_follow_ups_and_two_changes() -> None:
    given = Counter((opener(row), row["kind"]) for row in SETS[THIRD])
    assert set(given.values()) == {2}


def span(counts: Counter[Any], keys: Any) -> str:
    """Return the least and the greatest count, or the one that all have."""
    found = sorted({counts[key] for key in keys})
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def of_kind(found: list[Row], kind: str) -> list[Row]:
    return [row for row in found if row["kind"] == kind]


def answered(found: list[Row], good: Callable[[str], bool]) -> int:
    """Count the rows with an answer that is `good`."""
    return sum(any(said["role"] == "assistant" and good(said["content"]) for said in row["history"]) for row in found)


def counted(found: list[Row]) -> dict[str, str]:
    """Return what the table of the description says of a set."""
    follow_ups, changes = of_kind(found, "follow_up"), of_kind(found, "change")
    free = [row for row in follow_ups if row["content_free"]]
    lengths = Counter((len(row["history"]) + 1) // 2 for row in found)
    return {
        "rows": str(len(found)),
        "conversations": str(len({opener(row) for row in found})),
        "follow-ups, changes": f"{len(follow_ups)}, {len(changes)}",
        "follow-ups in each domain": span(Counter(row["domain"] for row in follow_ups), DOMAINS),
        "changes away from each domain": span(Counter(row["domain"] for row in changes), DOMAINS),
        "changes into each domain": span(Counter(row["to"] for row in changes), DOMAINS),
        "changes in each of the twelve pairs": span(Counter((row["domain"], row["to"]) for row in changes), PAIRS),
        "content-free follow-ups": str(len(free)),
        "content-free in each domain": span(Counter(row["domain"] for row in free), DOMAINS),
        **{f"rows with {2 * n - 1} or {2 * n} messages of history": str(lengths[n]) for n in (1, 2, 3, 4)},
        "rows whose history ends with a user message": str(sum(row["history"][-1]["role"] == "user" for row in found)),
        "rows with a system message": str(sum(row["history"][0]["role"] == "system" for row in found)),
        "rows with an answer of 1 KB or more": str(answered(found, lambda text: len(text.encode()) >= 1024)),
        "rows with fenced code in an answer": str(answered(found, lambda text: "```" in text)),
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [("turns.jsonl", 1), ("turns_held_out.jsonl", 2), (THIRD, 3)],
)
def test_the_description_states_the_counts(name: str, column: int) -> None:
    table = DESCRIPTION[DESCRIPTION.index("| | `turns.jsonl`") :].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert cells[0][column] == f"`{name}`"
    stated = {line[0]: line[column] for line in cells}
    found = counted(SETS[name])
    assert found == {what: stated[what] for what in found}
