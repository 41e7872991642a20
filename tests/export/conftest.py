"""A checkpoint at the built-in's shape, and what `pointsman export` makes of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pointsman_export.export.libraries import quiet
from pointsman_export.export.main import main
from pointsman_export.export.texts import BUILT_IN
from support.checkpoint import FAMILY, TINY, make_checkpoint
from support.export import Export, Outcome, Source

with quiet():
    import pointsman_export.export.pipeline  # noqa: F401 - torch warns when it is imported: here, once for all tests

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete checkpoint; not to be changed."""
    folder = tmp_path_factory.mktemp("source") / "tiny"
    make_checkpoint(folder, BUILT_IN, TINY)
    return folder


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Makes a small checkpoint of an architecture of BERT's family; not to be changed."""
    made: dict[str, Path] = {}

    def of(torch_class: str) -> Path:
        if torch_class not in made:
            made[torch_class] = tmp_path_factory.mktemp("family") / torch_class
            make_checkpoint(made[torch_class], BUILT_IN, FAMILY[torch_class], torch_class)
        return made[torch_class]

    return of


@pytest.fixture(scope="session")
def exported(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of `tiny`; not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "tiny-onnx"
    assert main([str(tiny), "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of `tiny` to change."""
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.fixture
def bert(family: Source, tmp_path: Path) -> Path:
    """A copy of a small BERT to change."""
    return shutil.copytree(family("BertForSequenceClassification"), tmp_path / "bert")


@pytest.fixture
def export(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Export:
    """Runs the command into a folder that is not there yet, in a parent that is empty."""
    folder = tmp_path / "target" / "out"
    folder.parent.mkdir()

    def run(source: Path | str, *options: str) -> Outcome:
        capfd.readouterr()
        code = main([str(source), "-o", str(folder), *options])
        return Outcome(code, *capfd.readouterr(), folder)

    return run
