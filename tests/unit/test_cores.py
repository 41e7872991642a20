"""How many cores a process may use, and how many of them the classifier takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pointsman.classify import cores as module
from pointsman.classify.cores import default_threads, usable_cores


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixteen cores by affinity, and an empty tree of cgroups, in which this process is at `a/b`."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(module, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(module, "OWN_CGROUP", tmp_path / "own")
    (tmp_path / "cgroup" / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").write_text("4:memory:/elsewhere\n0::/a/b\n")
    return tmp_path


def test_without_a_quota_it_is_the_affinity(host: Path) -> None:
    (host / "cgroup" / "a" / "cpu.max").write_text("max 100000\n")
    assert usable_cores() == 16


@pytest.mark.parametrize(
    ("quota", "cores"), [("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 1), ("9900000 100000", 16)]
)
def test_a_quota_counts_in_whole_cores(host: Path, quota: str, cores: int) -> None:
    (host / "cgroup" / "a" / "b" / "cpu.max").write_text(quota)
    assert usable_cores() == cores


def test_the_least_quota_of_all_groups_above_counts(host: Path) -> None:
    (host / "cgroup" / "a" / "b" / "cpu.max").write_text("800000 100000")
    (host / "cgroup" / "a" / "cpu.max").write_text("300000 100000")
    (host / "cgroup" / "cpu.max").write_text("500000 100000")
    assert usable_cores() == 3


def test_in_a_container_whose_group_is_not_mounted_the_root_counts(host: Path) -> None:
    (host / "own").write_text("0::/system.slice/docker-1234.scope\n")
    (host / "cgroup" / "cpu.max").write_text("200000 100000")
    assert usable_cores() == 2


def test_the_quota_is_read_where_linux_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/cpu.max": "200000 100000"}

    def read_text(path: Path, *_: Any) -> str:
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(Path, "read_text", read_text)
    assert usable_cores() == 2


@pytest.mark.parametrize("content", ["", "many few", "1 2 3", "100000 0"])
def test_a_quota_that_is_none_counts_nothing(host: Path, content: str) -> None:
    (host / "cgroup" / "a" / "b" / "cpu.max").write_text(content)
    assert usable_cores() == 16


def test_without_cgroups_it_is_the_affinity(host: Path) -> None:
    (host / "own").unlink()
    assert usable_cores() == 16


@pytest.mark.parametrize(
    ("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 2), (8, 2), (12, 3), (16, 4), (32, 8), (36, 8), (256, 8)]
)
def test_the_classifier_takes_a_quarter_at_least_two_and_at_most_eight(cores: int, threads: int) -> None:
    assert default_threads(cores) == threads
