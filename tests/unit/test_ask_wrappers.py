"""What known clients put around an ask, and whether exactly that ask is found again, without any classifier.

The kinds are those of benchmarks/ask/wrappers that belong to development; `make bench-ask` measures the routes of all.
"""

from __future__ import annotations

from collections import Counter

import pytest
from ask.measure import spoken
from ask.routes import BY_NAME
from ask.wrapper import Wrapper, materials, wrappers

from pointsman.routing.ask import AskFinder, AskKind
from pointsman.routing.parsed_request import parse_request

ASKS = (
    "Why does my Python script eat more and more memory when it reads a large CSV file line by line?",
    "How can I make a Postgres index that serves both an equality and a range?\nI am on version 16, without downtime.",
)
# Of these the ask is found with more or less around it.
NEARLY = {
    "smolagents/new-task",
    "haystack/extractive_references",
    "sillytavern/completion_story",
    "gpt4all/localdocs",
    "email/chat_thread",
    "langchain/map_step",
}
# Of twenty documents of each form, these are taken for the person.
HEARD = Counter(heading=5, turns=4, template=3, label=2, label_and_answer=2, tag=2, json=1, alone=1)


@pytest.fixture(scope="module")
def passages() -> dict[str, str]:
    """A medical passage of each form: no ask is about that."""
    return {form: materials(form)["medical"][0] for form in ("code", "document", "log")} | {"none": ""}


def finds(kind: Wrapper, ask: str, passages: dict[str, str]) -> bool:
    """Whether exactly the ask is found, or that the request is a helper task."""
    found = parse_request(BY_NAME[kind.format], kind.filled(ask, passages[kind.material]), AskFinder()).ask
    if kind.expect == "default":
        return found.kind is AskKind.HELPER_TASK
    return found.text.split() == ask.split()


def test_of_each_known_wrapper_exactly_the_ask_is_found(passages: dict[str, str]) -> None:
    """Of one line, and in every second kind of two lines, too."""
    kinds = wrappers("known")
    assert len(kinds) > 200
    lost = {kind.id for kind in kinds if not finds(kind, ASKS[0], passages)}
    lost |= {kind.id for kind in kinds[::2] if not finds(kind, ASKS[1], passages)}
    assert lost <= NEARLY


@pytest.mark.parametrize(("group", "min_found"), [("others", 50), ("apps", 50)])
def test_of_most_others_too(group: str, min_found: int, passages: dict[str, str]) -> None:
    assert sum(finds(kind, ASKS[0], passages) for kind in wrappers(group)) >= min_found


def test_hardly_a_document_that_speaks_changes_the_ask() -> None:
    """Of 180: each form in which a document may speak for the person, with each thing that it may say."""
    rows = spoken(wrappers("known"))
    assert len(rows) == len({document.id for document, _, _ in rows}) == 180
    changed: Counter[str] = Counter()
    for document, kind, ask in rows:
        asked = parse_request(BY_NAME[kind.format], kind.filled(ask, document.text), AskFinder()).ask.text
        changed[document.form] += asked.split() != ask.split()
    assert changed <= HEARD
