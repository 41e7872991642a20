"""Debian roots with the service in them, for each suite, and the packages to install there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support import debian, needs, packages
from support.debian import Booted
from support.packages import Package

Boot = Callable[[Path], AbstractContextManager[Booted]]


@pytest.fixture(scope="module", params=debian.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    if reason := debian.missing():
        needs.lacking(f"NOT booted: {reason}")
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of built packages; the workers of a run have one parent."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "packages"


@pytest.fixture(scope="module")
def package(suite: str, built: Path) -> Package:
    """Of this checkout."""
    return packages.build(suite, packages.VERSION, built)


@pytest.fixture(scope="module")
def successor(suite: str, built: Path) -> Package:
    """Of the version that follows."""
    return packages.build(suite, packages.NEXT, built)


@pytest.fixture(scope="module")
def retrained(suite: str, built: Path) -> Package:
    """Of a later version, with another built-in encoder."""
    return packages.build(suite, packages.RETRAINED, built)


@pytest.fixture(scope="module")
def plain(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian without Pointsman."""
    root = tmp_path_factory.mktemp("debian") / "root"
    debian.make(suite, root)
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def packaged(suite: str, package: Package, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian in which the package was installed before it boots."""
    root = tmp_path_factory.mktemp("packaged") / "root"
    debian.make(suite, root)
    shutil.copy(package.file, root / "root")
    debian.enter(root, "dpkg", "--install", f"/root/{package.file.name}")
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def made(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian with the sources in /root/pointsman and what `make install` made of them."""
    root = tmp_path_factory.mktemp("made") / "root"
    debian.make(suite, root)
    debian.copy_source(root / "root/pointsman")
    debian.enter(root, "make", "-C", "/root/pointsman", "install")
    yield root
    shutil.rmtree(root)


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Boots a root; what is changed there is gone afterwards."""
    return lambda root: debian.booted(root, tmp_path / "scratch")
