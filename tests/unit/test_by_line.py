"""Where a message has no ask of its own and no category, its line that asks tells what it is about."""

from __future__ import annotations

import json

import pytest

from pointsman.adapters.catalog import Served
from pointsman.classify.classifier import Classifier
from pointsman.observability.record import Record, request_line
from pointsman.routing.ask import AskFinder, AskKind
from pointsman.routing.decision import Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.formats import CHAT, ParsedRequest
from pointsman.routing.router import Routed, Router
from support.rows import rows
from support.toy_config import config

LINE = "Which reasons may a landlord give?"
TOLD = "It was a fair day, and the python came in at nine with all that had been sent. "


def message(line: str = LINE, told: str = TOLD) -> str:
    return f"zz 14 / step 2\n@@ seen\n{told}\n@@ typed\n{line}\n@@ done"


def asked(text: str) -> ParsedRequest:
    return CHAT.parse(json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode())


@pytest.fixture
def router(classifier: Classifier) -> Router:
    return Router(config(), classifier, Served)


def outcome(routed: Routed) -> tuple[str | None, bool]:
    return routed.decision.category, routed.by_line


def test_a_message_that_stays_whole_has_its_line_that_asks() -> None:
    found = AskFinder().find([message()])
    assert (found.kind, found.text, found.line) == (AskKind.MESSAGE, message(), LINE)


def test_it_is_found_again_where_the_message_comes_again() -> None:
    finder = AskFinder()
    assert finder.find([message()]) == finder.find([message()])


@rows(
    "text",
    [
        pytest.param(f"{LINE}\n\nIt is about a flat.\nWhat does he have to prove?", id="the first line asks"),
        pytest.param(LINE, id="one line"),
        pytest.param("@@ typed\nThe landlord gave two reasons.\n@@ done", id="no line asks"),
    ],
)
def test_a_message_has_none_if(text: str) -> None:
    assert AskFinder().find([text]).line == ""


@rows("mode", ["last_user", "all"])
def test_what_is_read_as_it_is_has_none(mode: str) -> None:
    assert AskFinder(mode).find([message()]).line == ""  # type: ignore[arg-type]


@rows(("before", "found"), [(3000, LINE), (60000, "")])
def test_it_is_looked_for_at_the_ends_of_a_message(before: int, found: str) -> None:
    text = f"@@ seen\n{'x y ' * (before // 4)}\n{LINE}\n{'x y ' * 2000}\n@@ done"
    assert AskFinder().whole([text]).line == found


async def test_a_line_tells_what_a_message_without_a_category_is_about(router: Router) -> None:
    routed = await router.route(asked(message()))
    assert outcome(routed) == ("legal", True)
    assert (routed.decision.reason, routed.text) == (Reason.CLASSIFIED, LINE)


async def test_the_message_decides_where_it_has_a_category(router: Router) -> None:
    assert outcome(await router.route(asked(message(told="The python bug is in python. " * 9)))) == ("technical", False)


async def test_a_line_without_a_category_decides_nothing(router: Router) -> None:
    routed = await router.route(asked(message("Which reasons may a captain give?", TOLD.replace("python", "ferry"))))
    assert outcome(routed) == (None, False)


async def test_it_is_told(router: Router) -> None:
    request = asked(message())
    routed = await router.route(request)
    told = describe(router, request, routed)
    assert (told["ask"]["line"], told["text"]["by_line"], told["text"]["by_material"]) == (LINE, True, False)
    assert "by the line that asks" in render(told)
    line = request_line(Record("id", "/v1/chat/completions", routed=routed))
    assert line["by_line"] is True
    assert "landlord" not in str(line)
