"""What the kernels of ONNX Runtime depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from pointsman.classify import cpu

Write = Callable[[str], object]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Replace /proc/cpuinfo."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "CPU_INFO", file)
    return file.write_text


def test_a_cpus_changing_clock_is_not_another_cpu(write: Write) -> None:
    found = set()
    for clock in ("1000", "3000"):
        write(f"processor\t: 0\nmodel name\t: One\ncpu MHz\t: {clock}\nflags\t: fpu vnni\n")
        found.add(cpu.identity())
    assert len(found) == 1


@pytest.mark.parametrize(
    "field",
    [
        *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
        *("CPU implementer", "CPU architecture", "CPU part", "Features"),
    ],
)
def test_each_field_by_which_kernels_are_chosen_makes_another_cpu(write: Write, field: str) -> None:
    found = set()
    for value in ("one", "two"):
        write(f"processor\t: 0\n{field}\t: {value}\n")
        found.add(cpu.identity())
    assert len(found) == 2


def test_a_cpu_that_cannot_be_read_is_one_cpu_and_one_in_another_encoding_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_info = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "CPU_INFO", cpu_info)
    assert cpu.identity() == ""
    cpu_info.write_bytes(b"model name\t: \xa9 One\n")
    assert len(cpu.identity()) == 64


@pytest.mark.parametrize(
    ("info", "there"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", True),
        ("flags\t\t: fpu avx2 avx_vnni\nbugs\t\t: none", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("flags\t\t: fpu avx2 my_avx_vnni", False),
        ("model name\t: avx_vnni\nflags\t\t: fpu", False),
        ("Features\t: fp asimd asimddp", False),
        ("flags\t\t: fpu\n\nprocessor\t: 1\nflags\t\t: avx_vnni", False),
        ("", False),
    ],
)
def test_vnni_is_there_where_the_first_processor_says_so(write: Write, info: str, there: bool) -> None:
    write(f"processor\t: 0\n{info}\n")
    assert cpu.has_vnni() is there


def test_vnni_is_not_taken_for_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "CPU_INFO", tmp_path / "missing")
    assert not cpu.has_vnni()


def test_no_more_than_the_first_processor_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may have hundreds."""

    def lines() -> Iterator[str]:
        yield from ("processor\t: 0\n", "flags\t: avx_vnni\n", "\n")
        raise AssertionError("the second processor was read")

    monkeypatch.setattr(cpu, "CPU_INFO", SimpleNamespace(open=lambda **_: nullcontext(lines())))
    assert cpu.has_vnni()
