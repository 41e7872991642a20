"""A class name has one meaning."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("daemon/pointsman", "export/pointsman_export", "benchmarks", "training")


def test_no_two_classes_have_the_same_name() -> None:
    """A leading underscore makes no other name."""
    places = defaultdict(list)
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        # To parse all files takes a second.
        for name in re.findall(r"^ *class _*(\w+)[(:]", path.read_text("utf-8"), re.MULTILINE):
            places[name].append(str(path.relative_to(ROOT)))
    assert len(places) > 400
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
