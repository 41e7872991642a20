"""Which package may import which: dependencies point downwards only, and there is no cycle."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "daemon/pointsman"

# Each floor may import from its own and from those before it; docs/architecture.md draws them.
FLOORS = (
    {"arguments", "columns", "errors", "files", "intervals", "lru", "eager", "daemon_thread", "long_body", "read_turns"}
    | {"assets", "formats", "http1", "store"},
    {"config"},
    {"classify", "migration", "server", "upstream"},
    {"adapters"},
    {"routing"},
    {"observability"},
    {"proxy", "improve", "experiments"},
    {"api", "evaluation"},
    {"app"},
    {"cli"},
)
OFFLINE = {"evaluation", "migration"}
# The commands of the process that serves; the parser reads options for all.
OF_SERVE = {f"pointsman.cli{name}" for name in ("", ".main", ".parser", ".serve", ".since")}
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in the file it does."""
    text = path.read_text("utf-8")
    yield from re.findall(r"^ *import (pointsman(?:\.\w+)*)", text, re.MULTILINE)
    # Ruff has each statement on lines of its own; to parse all files takes half a second.
    for module, names in re.findall(r"^ *from (pointsman(?:\.\w+)*) import (\([^)]+|.+)", text, re.MULTILINE):
        for name in re.findall(r"(\w+)(?: as \w+)?", re.sub("#.*", "", names)):
            inner = f"{module}.{name}"
            yield inner if is_module(inner) else module


def is_module(name: str) -> bool:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports() -> dict[str, set[str]]:
    return {name_of(path): set(imported(path)) - {"pointsman"} for path in PACKAGE.rglob("*.py")}


def on_floors() -> Iterator[tuple[str, str]]:
    """Each module that has a floor, with a module that it imports."""
    for module, names in imports().items():
        if module not in {"pointsman", "pointsman.__main__"}:
            yield from ((module, name) for name in sorted(names))


def floor_of(module: str) -> int:
    return HEIGHT[module.split(".")[1]]


def test_a_module_imports_nothing_from_a_higher_floor() -> None:
    assert [(module, name) for module, name in on_floors() if floor_of(name) > floor_of(module)] == []


def test_packages_of_one_floor_do_not_import_each_other() -> None:
    crossing = {
        (module, name)
        for module, name in on_floors()
        if floor_of(name) == floor_of(module) > 0 and name.split(".")[1] != module.split(".")[1]
    }
    assert crossing == set()


def test_there_is_no_import_cycle() -> None:
    left = {module: {name for name in names if name in imports()} - {module} for module, names in imports().items()}
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert sorted(left) == []


def offline(modules: set[str]) -> set[str]:
    """Those that only commands other than `serve` need."""
    return {name for name in modules if name.split(".")[1:2] and name.split(".")[1] in OFFLINE} | {
        name for name in modules if name.startswith("pointsman.cli") and name not in OF_SERVE
    }


def test_no_module_that_serves_imports_what_is_offline() -> None:
    """In no function either, which would load it while requests wait."""
    found: set[str] = set()
    left = {"pointsman.__main__", "pointsman.cli.serve"}
    while left:
        module = left.pop()
        found.add(module)
        left |= imports().get(module, set()) - found

    assert {"pointsman.app.serve", "pointsman.experiments.tally", "pointsman.improve.improver"} <= found
    assert offline(found) == set()


@pytest.mark.heavy
def test_the_process_that_serves_has_nothing_in_memory_that_is_offline(tmp_path: Path) -> None:
    """Whoever imports it, by whatever means: once it reads its config, all is imported."""
    code = "import sys; from pointsman.cli.main import main; main(['serve', '--config', 'none']); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stdout.split() if name.startswith("pointsman")}

    assert "pointsman.app.serve" in loaded
    assert offline(loaded) == set()


def reached(package: str, arrows: set[tuple[str, str]]) -> set[str]:
    """Return the packages to which a path of arrows leads."""
    heads = {head for tail, head in arrows if tail == package}
    return heads.union(*(reached(head, arrows) for head in heads))


def test_the_diagram_shows_the_imports_between_packages() -> None:
    """Each arrow is an import, no longer path implies it, and every import is an arrow or implied by a path of them."""
    page = (PACKAGE.parents[1] / "docs/architecture.md").read_text("utf-8")
    arrows = set(re.findall(r"^    (\w+) --> (\w+)$", page, re.MULTILINE))
    drawn = {name for arrow in arrows for name in arrow}
    packages = {(module.split(".")[1], name.split(".")[1]) for module, name in on_floors()}
    made = {(tail, head) for tail, head in packages if tail != head and {tail, head} <= drawn}

    assert set().union(*FLOORS[1:]) | {"http1"} == drawn
    assert arrows - made == set()
    assert [(tail, head) for tail, head in made if head not in reached(tail, arrows)] == []
    assert [arrow for arrow in arrows if arrow[1] in reached(arrow[0], arrows - {arrow})] == []
