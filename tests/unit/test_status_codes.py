"""docs/status-codes.md has each status that the code can answer with and each code of it, and no other."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path

import pytest

import pointsman
from pointsman.errors import HttpError

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "status-codes.md").read_text("utf-8")
SOURCE = Path(pointsman.__file__).parent
# Of the stand-in for vLLM that `make run` has.
STAND_IN = SOURCE / "cli" / "demo.py"
CODE = re.compile(r"[a-z]+(_[a-z]+)+|[A-Z]+_[A-Z]+")
USUAL = "invalid_request_error"
COMPUTED = {
    (422, "reload_failed", "invalid_config"),
    (500, "reload_failed", "internal_error"),
    (503, "not_ready", "internal_error"),
}
"""Of bodies that are no exception's."""

Answer = tuple[int, str, str]


def statuses(call: ast.Call) -> set[int]:
    """The statuses of errors among the arguments of a call."""
    found = set()
    for node in [*call.args, *(one.value for one in call.keywords if one.arg == "status")]:
        match node:
            case ast.Constant(value=int(value)):
                found.add(value)
            case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
                found.add(HTTPStatus[name].value)
    return {one for one in found if 400 <= one < 600}


def codes(call: ast.Call) -> set[str]:
    """What may be codes among the arguments of a call."""
    named = [one.value for one in call.keywords if one.arg == "code" and isinstance(one.value, ast.Constant)]
    given = [one for one in call.args if isinstance(one, ast.Constant) and CODE.fullmatch(str(one.value))]
    return {str(one.value) for one in (*named, *given)}


def raised(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Statuses and codes of errors that are written where they are made.

    Where a function is given one of the two, each call of it in the module says which, or a default does.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        yield from ((status, code) for status in statuses(call) for code in codes(call))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name != "__init__":
            inner = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            halves = [call for call in inner if bool(statuses(call)) != bool(codes(call)) and made(call)]
            defaults = {str(one.value) for one in function.args.defaults if isinstance(one, ast.Constant)}
            for half in halves:
                for call in (one for one in calls if name(one) == function.name):
                    others = codes(call) | {code for code in defaults if CODE.fullmatch(code)}
                    yield from ((status, code) for status in statuses(half) for code in others)
                    yield from ((status, code) for status in statuses(call) for code in codes(half))


def made(call: ast.Call) -> bool:
    """Whether a call makes an error: it is given both."""
    return {"status", "code"} <= {one.arg for one in call.keywords}


def name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found
    return ""


def kinds(kind: type[HttpError]) -> Iterator[type[HttpError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from kinds(one)


@cache
def answers() -> frozenset[Answer]:
    """Status, code and type of each error."""
    for module in pkgutil.walk_packages(pointsman.__path__, "pointsman."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    own = [kind for kind in kinds(HttpError) if kind.__module__.startswith("pointsman.") and kind.type != USUAL]
    stated = [kind for kind in kinds(HttpError) if {"status", "code"} & vars(kind).keys()]
    found = {(kind.status, kind.code, kind.type) for kind in (*own, *stated)} | COMPUTED
    for text in (file.read_text("utf-8") for file in SOURCE.rglob("*.py") if file != STAND_IN):
        if "status" in text and "code" in text:
            pairs = set(raised(ast.parse(text))) - {(status, code) for status, code, _ in COMPUTED}
            found |= {(status, code, USUAL) for status, code in pairs}
    return frozenset(found)


def listed() -> dict[Answer, str]:
    """The rows of the page."""
    rows = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        said, _, table = section.partition("| code |")
        common = re.search(r"[Tt]he type is `(\w+)`", said)
        for row in re.findall(r"^\| (`.*) \|$", table, re.MULTILINE):
            cell, _, rest = row.partition(" | ")
            own = re.search(r"Type `(\w+)`", rest)
            kind = own or common
            for code in re.findall(r"`(\w+)`", cell):
                rows[int(section[:3]), code, kind[1] if kind else USUAL] = rest
    return rows


def test_errors_are_found_however_they_are_made() -> None:
    """By a class, by a call, by a function that is given the status or the code, and in a computed body."""
    assert answers() >= {
        (401, "invalid_api_key", USUAL),
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (426, "upgrade_required", USUAL),
        (405, "method_not_allowed", USUAL),
        (401, "invalid_admin_token", USUAL),
        (404, "adapter_unavailable", USUAL),
        (409, "discard_failed", USUAL),
        (409, "no_artifact", USUAL),
        (503, "CLASSIFICATION_ERROR", "internal_error"),
        (505, "http_version_not_supported", USUAL),
    }


def test_the_page_has_each_answer_of_the_code_and_no_other() -> None:
    page = set(listed())
    assert sorted(answers() - page) == []
    assert sorted(page - answers()) == []


@pytest.mark.parametrize("row", listed(), ids=str)
def test_each_row_says_what_it_means_and_what_to_do_and_links_to_more(row: Answer) -> None:
    means, _, do = listed()[row].partition(" | ")

    assert means.endswith(".")
    assert do.endswith(".")
    assert "](" in means + do
