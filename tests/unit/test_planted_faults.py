"""The faults of `make faults` fit the code as it is, and each names tests that could find it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from faults.planted import CLASSES, PlantedFault, faults, unmatched

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_has_one_place_in_a_file_of_ours(fault: PlantedFault) -> None:
    source = (ROOT / fault.file).read_text("utf-8")

    assert fault.planted(source) != source
    assert fault.tests
    assert [test for test in fault.tests if not (ROOT / test.partition("::")[0]).is_file()] == []


def test_each_class_has_ten_faults_and_no_two_have_one_name() -> None:
    found = faults()

    assert Counter(one.kind for one in found) == dict.fromkeys(CLASSES, 10)
    assert len({one.name for one in found}) == len(found)


def test_a_test_is_named_by_its_file_by_its_function_or_by_one_of_its_cases() -> None:
    collected = ["a.py::test_b[c]", "a.py::test_d"]

    assert unmatched(["a.py", "a.py::test_b", "a.py::test_b[c]", "a.py::test_d"], collected) == []
    assert unmatched(["b.py", "a.py::test", "a.py::test_b[d]"], collected) == ["b.py", "a.py::test", "a.py::test_b[d]"]
