"""How modules of the exporter and of the training may import one another, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"pointsman_export": ROOT / "export" / "pointsman_export", "training": ROOT / "training"}


def modules(folder: Path) -> dict[str, Path]:
    """The file of every module in a package."""
    paths = {path.relative_to(folder.parent).with_suffix(""): path for path in folder.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


def imported(path: Path) -> Iterator[str]:
    """The names that a module imports, inside functions and for type checking too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(folder: Path) -> dict[str, set[str]]:
    """The modules of the package that each of its modules imports; a name stands for the module that it is in."""
    known = modules(folder)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted = [one if one in known else one.rpartition(".")[0] for one in imported(path)]
        found[name] = {one for one in wanted if one in known and one != name}
    return found


@pytest.mark.parametrize("package", FOLDERS)
def test_there_is_no_cycle(package: str) -> None:
    graph = imports(FOLDERS[package])

    assert len(graph) > 5
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(("part", "barred"), [("common", ["export", "fit"]), ("export", ["fit"]), ("fit", ["export"])])
def test_the_commands_share_only_what_is_common(part: str, barred: list[str]) -> None:
    """`export` and `fit` import from `common`, and not from one another."""
    prefixes = tuple(f"pointsman_export.{other}." for other in barred)
    found = {
        (name, one)
        for name, path in modules(FOLDERS["pointsman_export"]).items()
        if name.startswith(f"pointsman_export.{part}.")
        for one in imported(path)
        if f"{one}.".startswith(prefixes)
    }

    assert found == set()


def test_the_training_takes_one_module_of_the_wheel() -> None:
    """The class whose weights it writes and `export` reads: nothing else that is installed changes what it trains.

    Only what changes a finished artifact, or routes as the service does, runs where the wheel is installed.
    """
    shared = "pointsman_export.export.mean_bert"
    finish = {"training.constants", "training.ordinary", "training.provenance"}
    trains = {name: path for name, path in modules(FOLDERS["training"]).items() if name not in finish}
    names = {one for path in trains.values() for one in imported(path)}

    assert {name for name in names if "pointsman" in name and not f"{name}.".startswith(f"{shared}.")} == set()
