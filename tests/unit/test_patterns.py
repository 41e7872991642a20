"""No regular expression that reads a stranger's text can be made to backtrack without bound.

Each pattern of the packages that read requests and answers is fed its worst case: what it repeats, many times, and an
end that does not match. Four times the text may take eight times the CPU (in linear time it is 4, in quadratic 16).
"""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import pointsman
from pointsman.routing.ask import AskFinder
from support import attacks
from support.attacks import TAILS

ROOT = Path(pointsman.__file__).parent
PACKAGES = ("api", "classify", "http1", "observability", "proxy", "routing", "server", "upstream")
SIZES = (256, 1024, 4 * 1024, 16 * 1024)
GROWTH = 8
# Less than this is not judged by its growth, so that what interrupts a run counts for nothing.
FLOOR_SECONDS = 0.02
# What takes longer is not tried with more.
MAX_SECONDS = 0.5
# A few repeats of what is short take no time, where nothing is tried twice at each.
FEW, FEW_SECONDS = 22, 0.05
# What these search is cut before, by what the value says: they may be quadratic up to there.
CUT = {
    "routing.ask.prose._OBJECT": 250,  # the longest instruction
    "routing.follow_up._FIGURE": 160,  # the longest text without content
}
CUT_SECONDS = 0.005


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    names = [
        found.name
        for package in PACKAGES
        for found in pkgutil.walk_packages([str(ROOT / package)], f"pointsman.{package}.")
    ]
    return tuple([importlib.import_module(name) for name in names if "onnx" not in name and "openvino" not in name])


def in_value(value: Any, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, (dict, list, set, frozenset, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from in_value(item, depth - 1)


class Found(NamedTuple):
    """A pattern, with the first name that it has, and whether it is only ever tried at one place of a text."""

    name: str
    pattern: re.Pattern[Any]
    matches_only: bool


@functools.cache
def patterns() -> tuple[Found, ...]:
    """Each pattern once."""
    named: dict[re.Pattern[Any], list[tuple[ModuleType, str]]] = {}
    for module in modules():
        for name, value in vars(module).items():
            for pattern in in_value(value):
                named.setdefault(pattern, []).append((module, name))
    return tuple([_found(pattern, names) for pattern, names in named.items()])


def _found(pattern: re.Pattern[Any], names: list[tuple[ModuleType, str]]) -> Found:
    used = {use for module, name in names for use in _uses(module, name)}
    module, name = names[0]
    return Found(f"{module.__name__.removeprefix('pointsman.')}.{name}", pattern, used <= {"match", "fullmatch"})


def _uses(module: ModuleType, name: str) -> Iterator[str]:
    """The methods of a pattern that a module calls; empty for any other use."""
    nodes = list(ast.walk(tree_of(Path(str(module.__file__)))))
    methods = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield methods.get(id(node), "")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def seconds(work: Callable[[Any], object], text: Any, runs: int) -> float:
    """The least CPU time of some runs."""
    taken = []
    for _ in range(runs):
        began = time.thread_time()
        work(text)
        taken.append(time.thread_time() - began)
    return min(taken)


def fault(found: Found) -> str:
    """What makes a pattern slow, empty if nothing does."""
    pattern = found.pattern

    def work(text: Any) -> None:
        pattern.match(text)
        for _ in () if found.matches_only else pattern.finditer(text):
            pass

    for before, pump in attacks.attacks(pattern):
        for tail in TAILS:
            slow = slowness(Attack(work, before, pump, tail, isinstance(pattern.pattern, bytes)), CUT.get(found.name))
            if slow:
                return f"{before[:20]!r}, {pump!r} again and again, {tail!r}: {slow}"
    return ""


class Attack(NamedTuple):
    """A text of any size, and what is done with it."""

    work: Callable[[Any], object]
    before: str
    pump: str
    tail: str
    in_bytes: bool

    def seconds(self, repeats: int, runs: int = 1, cut: int | None = None) -> float:
        text = (self.before + self.pump * repeats + self.tail)[:cut]
        return seconds(self.work, text.encode() if self.in_bytes else text, runs)


def slowness(attack: Attack, cut: int | None) -> str:
    """Why an attack takes long, empty if it does not."""
    if attack.seconds(FEW) > FEW_SECONDS:
        return f"{FEW} times take long"
    if cut is not None:
        return "long even where it is cut" if attack.seconds(cut, 3, cut) > CUT_SECONDS else ""
    few, *more = [size // len(attack.pump) for size in SIZES]
    last = attack.seconds(few)
    for repeats in more:
        now = attack.seconds(repeats)
        if now > MAX_SECONDS:
            return f"{repeats} times take {now:.4f} s"
        if now > max(FLOOR_SECONDS, GROWTH * last):  # or was it interrupted?
            last, now = attack.seconds(repeats * few // more[0], 3), attack.seconds(repeats, 3)
            if now > max(FLOOR_SECONDS, GROWTH * last):
                return f"{repeats} times take {now:.4f} s, a quarter of that {last:.4f} s"
        last = now
    return ""


@pytest.mark.thorough
def test_no_pattern_takes_long_at_its_own_worst_case() -> None:
    faults = {found.name: slow for found in patterns() if (slow := fault(found))}
    assert faults == {}


def test_what_is_cut_before_is_still_there() -> None:
    assert CUT.keys() <= {found.name for found in patterns()}
    assert len(patterns()) > 80


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("pattern", "matches_only"),
    [
        (r"(a+)+$", True),
        (r"(?:a|a)*b", True),
        (r"a*a*a*b", True),
        (r"[-=*]{2,} ?(?P<name>[^\[\]]{2,80}?) ?[-=*_~#]{2,}:?\Z", True),
        (r":?\s*\n", False),
        (r"x\w*!", False),
        (r"\d{3}(?!\d* words)", False),
    ],
)
def test_a_pattern_that_backtracks_is_found_out(pattern: str, matches_only: bool) -> None:
    assert fault(Found("", re.compile(pattern), matches_only))


def test_all_patterns_are_compiled_where_this_test_finds_them() -> None:
    """At the top of a module, by `re.compile`."""
    hidden = []
    for path in sorted((ROOT / "routing").rglob("*.py")):
        tree = tree_of(path)
        at_top = {id(node) for statement in tree.body for node in _outside_functions(statement)}
        hidden += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and (node.func.attr != "compile" or id(node) not in at_top)
            and node.func.attr != "escape"
        ]
    assert hidden == []


def _outside_functions(statement: ast.stmt) -> Iterator[ast.AST]:
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield from ast.walk(statement)


@pytest.mark.parametrize("pattern", ["<" + "a*" * 28 + "b>", "*" * 30 + "a:", "# " + "*x" * 28])
def test_an_operators_name_of_a_label_is_looked_for_once(pattern: str) -> None:
    """`*` stands for anything, and is not tried again for each place."""
    finder = AskFinder(strip=[pattern], take=[pattern])
    text = f"<{'a' * 60}>\n{'ax' * 30}:\n# {'x' * 60}!\n" * 150
    assert seconds(lambda _: finder.find([text + "\nWhat is a tort?"]), None, 1) < 0.5
