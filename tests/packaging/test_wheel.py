"""What the wheel holds; the other tests run on the wheel as it is installed."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import pointsman

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOOK = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
COMPILED = [ROOT / "daemon" / module for module in HOOK["modules"]]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.namelist()


def test_the_source_roots_are_no_packages() -> None:
    """With an `__init__.py`, `import daemon` would find our folder in place of python-daemon."""
    assert [path for path in ("daemon/__init__.py", "export/__init__.py") if (ROOT / path).exists()] == []


def test_the_wheel_holds_the_two_packages_and_nothing_else(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"pointsman", "pointsman_export"}


@pytest.mark.parametrize("package", PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
def test_every_module_is_in_the_wheel(names: list[str], package: str) -> None:
    modules = {path.relative_to((ROOT / package).parent).as_posix() for path in (ROOT / package).rglob("*.py")}

    assert modules
    assert modules - set(names) == set()


def test_the_built_in_classifier_and_the_type_markers_are_in_the_wheel(names: list[str]) -> None:
    assets = "pointsman/assets/builtin/"
    expected = {assets + name for name in ("model.onnx", "tokenizer.json", "pointsman.json", "README.md")}

    assert expected | {"pointsman/py.typed", "pointsman_export/py.typed"} <= set(names)


def test_what_every_request_runs_through_is_compiled(names: list[str]) -> None:
    libraries = {name.partition(".")[0] for name in names if name.endswith(".so")}

    assert {path.relative_to(ROOT / "daemon").with_suffix("").as_posix() for path in COMPILED} <= libraries


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_no_class_that_is_compiled_has_keywords_or_is_read_by_msgspec(path: Path) -> None:
    """The compiler drops both without a word: `frozen=True` in a class's head, and the annotations of a Struct."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]

    assert [node.name for node in classes if node.keywords or "Struct" in map(_last_name, node.bases)] == []


def _last_name(base: ast.expr) -> str:
    return ast.unparse(base).rpartition(".")[2]


def test_without_a_compiler_the_wheel_is_pure(tmp_path: Path) -> None:
    environment = os.environ | {"CC": "/no/compiler"}
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, capture_output=True, env=environment)

    assert [file.name for file in tmp_path.iterdir()] == [f"pointsman-{pointsman.__version__}-py3-none-any.whl"]


def test_the_runtime_needs_neither_torch_nor_transformers() -> None:
    """They are the exporter's; a host that serves has no use for two gigabytes."""
    modules = "pointsman.cli, pointsman.server, pointsman.check, pointsman.classify.classifier"
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"torch", "transformers", "optimum", "onnx"}.isdisjoint(done.stdout.split())


def test_the_changelog_names_this_version() -> None:
    version = importlib.metadata.version("pointsman")

    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
