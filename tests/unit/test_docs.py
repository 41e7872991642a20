"""What the code can say to an operator, the docs explain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pointsman
from pointsman.config.semantic_router import NEWER
from pointsman.routing.decision import Reason

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = Path(pointsman.__file__).parent
# Of the stand-in for vLLM that `make run` has.
STAND_IN = SOURCE / "cli" / "demo.py"
# To parse all files takes half a second.
MAY_TELL = re.compile(
    r"\bcode=|^ +(code|reason)\b.*=|refus(al|ed)\b|count_refused|upstream_errors|record_retry", re.MULTILINE
)


def words_in(tree: ast.AST) -> Iterator[str]:
    """The error codes of a module, and the reasons that it counts."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                yield code
            case ast.ClassDef(body=body):
                yield from (found for statement in body for found in assigned(statement))
            case ast.Call(func=ast.Name(id="refusal"), args=[_, _, ast.Constant(value=str(code))]):
                yield code
            case ast.Call(func=ast.Attribute(attr="count_refused"), args=[ast.Constant(value=str(reason))]):
                yield reason
            case ast.Call(
                func=ast.Attribute(attr="add", value=ast.Attribute(attr=counter) | ast.Name(id=counter)),
                args=[*_, ast.Constant(value=str(reason))],
            ) if counter in {"refused", "upstream_errors"}:
                yield reason
            case ast.Call(func=ast.Attribute(attr="record_retry"), args=arguments):
                yield from (str(each.value) for each in arguments if isinstance(each, ast.Constant))


def assigned(statement: ast.stmt) -> Iterator[str]:
    """The `code` or `reason` of a class of errors."""
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id="code" | "reason")], value=ast.Constant(value=str(code)))
            | ast.AnnAssign(target=ast.Name(id="code" | "reason"), value=ast.Constant(value=str(code)))
        ):
            yield code


@cache
def all_words() -> set[str]:
    texts = [file.read_text("utf-8") for file in SOURCE.rglob("*.py") if file != STAND_IN]
    return {word for text in texts if MAY_TELL.search(text) for word in words_in(ast.parse(text))} | set(Reason)


def test_the_reasons_and_codes_are_found() -> None:
    """A sample of each way in which the code writes them."""
    assert all_words() >= {
        *("adapter_missing", "deadline", "invalid_json", "overloaded", "internal_error", "not_found"),
        *("method_not_allowed", "malformed_request", "in_flight", "client", "connections", "body_timeout"),
        *("in_stream", "reused", "connect", "adapter", "not_ready", "http_version_not_supported"),
    }


def test_each_reason_and_code_has_a_line_that_says_what_to_do() -> None:
    """Reasons of decisions in the contract, other reasons in the handbook, and codes on the page of statuses."""
    decisions = sections("behaviour.md")["The decision"]
    others = sections("operations.md")["What to do for each reason"]
    text = decisions + others + (DOCS / "status-codes.md").read_text("utf-8")
    explained = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))

    assert [word for word in sorted(all_words()) if f"`{word}`" not in explained] == []


@pytest.mark.parametrize("section", NEWER)
def test_each_section_of_the_newer_form_is_in_the_migration_notes(section: str) -> None:
    assert f"`{section}`" in (DOCS / "migration.md").read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """GitHub's names of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [*sorted(DOCS.parent.glob("*.md")), DOCS.parent / "training/README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_docs_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            broken.append(link)

    assert broken == []


TESTS = Path(__file__).parents[1]


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by their headings."""
    _, *found = re.split(r"^## ", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)
    return {heading: text for heading, _, text in (section.partition("\n") for section in found)}


RULES = sections("rules.md")


@cache
def defined(file: Path) -> set[str]:
    """Return the tests of a file; none if there is no such file."""
    text = file.read_text("utf-8") if file.exists() else ""
    return set(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))


def test_each_section_of_the_contract_has_its_rules() -> None:
    assert list(RULES) == list(sections("behaviour.md"))


@pytest.mark.parametrize("section", RULES)
def test_each_section_of_the_rules_names_tests_that_exist(section: str) -> None:
    rules = [row for row in RULES[section].splitlines() if row.startswith("| ")][2:]
    named = [re.findall(r"`(\w+/\w+\.py)::(\w+)`", rule.rpartition(" | ")[2]) for rule in rules]

    assert rules
    assert all(named), "a rule without a test"
    assert [each for tests in named for each in tests if each[1] not in defined(TESTS / each[0])] == []


def test_the_reasons_are_those_of_the_contract() -> None:
    """Dashboards and clients read them, so a name changes in both places or in none."""
    table = sections("behaviour.md")["The decision"].partition("| `x-pointsman-reason` |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \| \w", table, re.MULTILINE)) == sorted(Reason)
