"""Where a message has no ask of its own and no category, its line that asks tells what it is about."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.config.model import RoutingOptions
from pointsman.formats import CHAT
from pointsman.observability.record import Record, request_line
from pointsman.routing.ask import BUILTIN, AskFinder, AskKind
from pointsman.routing.decision import Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.router import RoutedRequest, Router
from support import toy_artifact
from support.toy_config import config

Make = Callable[..., AbstractContextManager[Classifier]]

SPANISH = "¿Qué puedo hacer si mi landlord no repara la calefacción? "
LINE = "Which reasons may a landlord give?"
TOLD = "It was a fair day, and the python came in at nine with all that had been sent. "


def message(line: str = LINE, material: str = TOLD) -> str:
    return f"zz 14 / step 2\n@@ seen\n{material}\n@@ typed\n{line}\n@@ done"


def asked(text: str, finder: AskFinder = BUILTIN) -> ParsedRequest:
    body = {"model": "MoM", "messages": [{"role": "user", "content": text}]}
    return parse_request(CHAT, json.dumps(body).encode(), finder)


def outcome(routed: RoutedRequest) -> tuple[str | None, bool]:
    return routed.decision.category, routed.reading.by_line


def test_a_message_that_stays_whole_has_its_line_that_asks() -> None:
    found = AskFinder().find([message()])
    assert (found.kind, found.text, found.line) == (AskKind.MESSAGE, message(), LINE)


def test_it_is_found_again_where_the_message_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without another search, also where none of the messages is an ask."""
    module, finder = sys.modules[AskFinder.__module__], AskFinder()
    known = asked(message(), finder).ask, finder.whole([message()])
    assert known[0].line == known[1].line == LINE
    monkeypatch.setattr(module, "asking_line", None)
    assert (asked(message(), finder).ask, finder.whole([message()])) == known


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{LINE}\n\nIt is about a flat.\nWhat does he have to prove?", id="the first line asks"),
        pytest.param(LINE, id="one line"),
        pytest.param("@@ typed\nThe landlord gave two reasons.\n@@ done", id="no line asks"),
    ],
)
def test_a_message_has_none_if(text: str) -> None:
    assert AskFinder().find([text]).line == ""


@pytest.mark.parametrize("mode", ["last_user", "all"])
def test_what_is_read_as_it_is_has_none(mode: str) -> None:
    assert AskFinder(mode).find([message()]).line == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "found"), [(3000, LINE), (60000, "")])
def test_it_is_looked_for_at_the_ends_of_a_message(before: int, found: str) -> None:
    text = f"@@ seen\n{'x y ' * (before // 4)}\n{LINE}\n{'x y ' * 2000}\n@@ done"
    assert AskFinder().whole([text]).line == found


async def test_a_line_tells_what_a_message_without_a_category_is_about(router: Router) -> None:
    routed = await router.route(asked(message()))
    assert outcome(routed) == ("legal", True)
    assert (routed.decision.reason, routed.text) == (Reason.CLASSIFIED, LINE)


OF_PYTHON = "Its python is in python and does what a python does in python. " * 6


async def test_it_decides_against_much_else_that_it_surely_is_none_of(router: Router) -> None:
    assert outcome(await router.route(asked(message(material=OF_PYTHON)))) == ("legal", True)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(message(material=OF_PYTHON[:250]), id="less than 300 characters besides"),
        pytest.param(f"I wrote this down.\n{message(material=OF_PYTHON)}", id="a person begins"),
        pytest.param(message("The landlord, as i said.", OF_PYTHON), id="the line hardly asks"),
        pytest.param(message("Which reasons may a python give?", OF_PYTHON), id="the line is about the same"),
    ],
)
async def test_the_message_decides_where_it_has_a_category(router: Router, text: str) -> None:
    assert outcome(await router.route(asked(text))) == ("technical", False)


@pytest.mark.parametrize(("threshold", "by_line"), [(0.98, True), (0.995, False)])
async def test_against_a_category_it_must_come_half_of_the_way_to_certainty(
    classifier: Classifier, threshold: float, by_line: bool
) -> None:
    """The word gives a score of 0.9956, which alone would do for both."""
    router = Router(config(routing=RoutingOptions(thresholds={"legal": threshold})), classifier, ServedModels)
    routed = await router.route(asked(message(material=OF_PYTHON)))
    assert routed.reading.by_line is by_line
    if by_line:
        assert routed.threshold == ((1 + threshold) / 2, "routing.thresholds"), "what counted is told"


async def test_it_may_be_in_another_language_than_the_rest(make_classifier: Make, tmp_path: Path) -> None:
    mail = f"Buenos días a todos, les mando la pregunta de un cliente de Londres.\n{LINE}\n{SPANISH * 3}"
    with make_classifier(toy_artifact.build_measured(tmp_path, languages=["en"])) as english:
        router = Router(config(), english, ServedModels)
        assert outcome(await router.route(asked(mail))) == ("legal", True)
        others = await router.route(asked(mail.replace(LINE, "¿Qué dice la ley sobre mi landlord?")))
    assert (others.decision.reason, others.reading.by_line) == (Reason.UNSUPPORTED_LANGUAGE, False)


async def test_a_line_without_a_category_decides_nothing(router: Router) -> None:
    routed = await router.route(asked(message("Which reasons may a captain give?", TOLD.replace("python", "ferry"))))
    assert outcome(routed) == (None, False)


async def test_it_is_told(router: Router) -> None:
    request = asked(message())
    routed = await router.route(request)
    description = describe(router, request, routed)
    assert (description["ask"]["line"], description["text"]["by_line"], description["text"]["by_material"]) == (
        LINE,
        True,
        False,
    )
    assert "by the line that asks" in render(description)
    line = request_line(Record("id", "/v1/chat/completions", routed=routed))
    assert line["by_line"] is True
    assert "landlord" not in str(line)
