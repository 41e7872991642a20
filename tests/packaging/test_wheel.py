"""What the wheel holds; the other tests run on the wheel as it is installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import pointsman
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The files in it."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_source_roots_are_no_packages() -> None:
    """With an `__init__.py`, `import daemon` would find our folder in place of python-daemon."""
    assert [path for path in ("daemon/__init__.py", "export/__init__.py") if (ROOT / path).exists()] == []


def test_the_wheel_holds_the_two_packages_and_nothing_else(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"pointsman", "pointsman_export"}


@pytest.mark.parametrize("package", PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
def test_every_file_is_in_the_wheel(names: list[str], package: str) -> None:
    """Word lists and assets as well as modules."""
    paths = [path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = {path.relative_to((ROOT / package).parent).as_posix() for path in paths}

    assert files
    assert files - set(names) == set()


def test_the_built_in_classifier_and_the_type_markers_are_in_the_wheel(names: list[str]) -> None:
    assets = "pointsman/assets/builtin/"
    expected = {
        assets + name
        for name in ("calibration.bin", "model.onnx", "ordinary.bin", "pointsman.json", "README.md", "tokenizer.json")
    }

    assert expected | {"pointsman/py.typed", "pointsman_export/py.typed"} <= set(names)


def test_the_wheel_says_what_its_classifier_was_made_from(wheel: Path, names: list[str]) -> None:
    """The encoder, the vocabulary, and each source that the training's README has in a column of what it reads."""
    (name,) = [name for name in names if name.endswith(".dist-info/licenses/NOTICE")]
    with zipfile.ZipFile(wheel) as archive:
        notice = archive.read(name).decode()
    table = (ROOT / "training" / "README.md").read_text("utf-8").partition("| source | from | licence | train |")[2]
    rows = [row.strip("|").split("|") for row in table.partition("\n\n")[0].splitlines()[2:]]
    read = {row[1].partition("<")[2].partition(">")[0] for row in rows if row[3].strip() or row[5].strip()}

    assert len(read) > 8
    assert {address for address in read if address not in notice} == set()
    assert "all-MiniLM-L6-v2" in notice
    assert "github.com/google-research/bert" in notice


def test_the_page_is_in_the_wheel(names: list[str]) -> None:
    folder = ROOT / "daemon/pointsman/api/page/static"
    files = {f"pointsman/api/page/static/{path.name}" for path in folder.iterdir()}

    assert "pointsman/api/page/static/index.html" in files
    assert files - set(names) == set()


def test_the_wheel_is_pure(wheel: Path) -> None:
    """One wheel for every supported Python and platform, whatever the host that builds it has."""
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_has_at_most_25_megabytes(wheel: Path) -> None:
    """Nearly all of it is the built-in classifier."""
    assert wheel.stat().st_size <= 25_000_000


def test_the_runtime_needs_neither_torch_nor_transformers() -> None:
    """They are the exporter's; a host that serves has no use for two gigabytes."""
    modules = "pointsman.cli.main, pointsman.app.serve, pointsman.cli.check, pointsman.classify.classifier"
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"torch", "transformers", "optimum", "onnx"}.isdisjoint(done.stdout.split())
    assert "aiohttp" not in done.stdout.split(), "it is for commands that call a service, and takes 13 MB"


def test_the_changelog_names_this_version() -> None:
    release = Version(pointsman.__version__).base_version

    assert f"## [{release}]" in (ROOT / "CHANGELOG.md").read_text()
