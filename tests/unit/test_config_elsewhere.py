"""An unknown key of the config that is known elsewhere names its place."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest

from pointsman.config.model import Config, Options
from pointsman.config.option import hints, mappings, without_none
from pointsman.config.semantic_router import ignored
from support.config_files import MINIMAL, REPOSITORY, plain, problems, the_problem

SCALARS = {str: "x", bool: True, int: 1, float: 0.5}


def sample(kind: Any) -> Any:
    """A value of a type."""
    kind = without_none(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return {name: sample(each) for name, each in hints(kind).items()}
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is tuple:
        return [sample(get_args(kind)[0])]
    if get_origin(kind) is Mapping:
        return {"x": sample(get_args(kind)[1])}
    return SCALARS[kind]


class Misplaced(NamedTuple):
    """A key below `here`, whose place is `parent`, and a value of it."""

    here: str
    name: str
    parent: str
    value: Any


def above(path: str) -> str:
    return path.removesuffix(".NAME").rpartition(".")[0]


def every_option() -> Iterator[object]:
    """Each option at the top level, and one level too high, unless there is such a key, too."""
    kinds = {path: kind for kind, path in mappings(Config)}
    for parent, kind in kinds.items():
        for here in {"", above(parent)} if parent else ():
            for name, each in hints(kind).items():
                if name not in hints(kinds[here]) and ignored(kinds[here], name) is None:
                    misplaced = Misplaced(here, name, parent, sample(each))
                    yield pytest.param(misplaced, id=f"{parent}.{name} at {here or 'the top'}")


def put(root: dict[str, Any], one: Misplaced) -> str:
    """Write a key where it does not belong; return its path."""
    table: Any = root
    shown = ""
    for part in one.here.split(".") if one.here else ():
        name, listed = part.removesuffix("[]"), part.endswith("[]")
        name = "base" if name == "NAME" else name
        table = table.setdefault(name, [{}] if listed else {})
        shown += f".{name}" + "[0]" * listed
        table = table[0] if listed else table
    table[one.name] = one.value
    return f"{shown}.{one.name}".removeprefix(".")


@pytest.mark.parametrize("one", list(every_option()))
def test_each_option_names_its_place_at_the_top_and_one_level_too_high(tmp_path: Path, one: Misplaced) -> None:
    """Of several that fit as well, the nearest three."""
    root = plain(MINIMAL)
    path = put(root, one)
    (problem,) = [found for found in problems(tmp_path, json.dumps(root)) if found.path == path]
    above_it = path.rpartition(".")[0]
    parent = f"`{above_it}{one.parent.removeprefix(one.here)}`" if above_it else f"`{one.parent}`"
    assert problem.message == "unknown key"
    assert problem.fix.startswith("move it under `")
    assert parent in problem.fix or problem.fix.count("`") == 6


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("access: {keys_file: keys.jsonl}", "move it under `pointsman`"),
        ("access:", "move it under `pointsman`"),
        ("routing: {mode: shadow}", "move it under `pointsman`"),
        ("pointsman: {auto_model_name: x}", "move it to the top level"),
        ("pointsman: {server: {keys_file: x}}", "move it under `pointsman.access`"),
        ("classifier: {threads: 2}", "move it under `pointsman.classifier`"),
        ("pointsman: {classifier: {category_model: {}}}", "move it under `classifier`"),
        ("mode: shadow", "move it under `pointsman.routing` or `pointsman.routing.categories.NAME`"),
        ("mode: ask", "move it under `pointsman.routing.ask`"),
        ("name: x", "move it under `vllm_endpoints[]`, `categories[]` or `model_config.NAME.loras[]`"),
        (
            "pointsman: {routing: {name: x}}",
            "move it under `pointsman.routing.rules[]`, `vllm_endpoints[]` or `categories[]`",
        ),
        ("loras: [{name: x}]", "move it under `model_config.NAME`"),
        (
            "categories: [{name: law, model: a, model_scores: [{model: base}]}]",
            "move it under `categories[0].model_scores[]`",
        ),
        ("providers: [cpu]", "move it under `pointsman.classifier`"),
        ("pointsman: {relay: {tls: {key_file: x}}}", "move it under `pointsman.server`"),
    ],
)
def test_a_key_is_told_where_it_belongs(tmp_path: Path, text: str, fix: str) -> None:
    """The places that its value fits best count, and of these the nearest."""
    assert the_problem(tmp_path, f"{MINIMAL}{text}\n").fix == fix


@pytest.mark.parametrize(
    "text",
    ["access: {color: red}", "access: [a]", "access: 1", "paths: x", "keys_file: {a: b}", "aliases: [a, {b: c}]"],
)
def test_a_key_with_another_value_is_just_unknown(tmp_path: Path, text: str) -> None:
    problem = the_problem(tmp_path, f"{MINIMAL}{text}\n")
    assert "the keys here are: " in problem.fix


def test_what_is_semantic_routers_newer_form_is_still_told(tmp_path: Path) -> None:
    for routing in ("{decisions: []}", "{}", "[]"):
        assert "newer form" in the_problem(tmp_path, f"{MINIMAL}routing: {routing}\n").message
    ours = f"{MINIMAL}routing: {{mode: shadow}}\n"
    for providers in ("{}", "[]", "[{name: a}]"):
        assert "newer form" in the_problem(tmp_path, f"{ours}providers: {providers}\n").message


def test_no_page_shows_a_key_without_what_is_above_it() -> None:
    ours = "|".join(name for name in hints(Options) if name not in hints(Config))
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    shown = re.compile(rf"`(?:{ours}): ?\{{")
    assert [page.name for page in pages if shown.search(page.read_text("utf-8"))] == []
