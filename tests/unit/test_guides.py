"""The guides in docs/guides, and how `.ci/follow_guides` compares them with what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.guide import START, Command, difference, steps

ROOT = Path(__file__).parents[2]
ALL = sorted((ROOT / "docs" / "guides").glob("*.md"))
TRIED = [page for page in ALL if f"$ {START}\n" in page.read_text("utf-8")]


def test_there_are_guides_and_the_readme_leads_to_each() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert {"first-day", "roll-out", "add-an-adapter", "add-a-category", "compare-adapters"} <= {
        guide.stem for guide in TRIED
    }
    assert [guide.name for guide in ALL if f"(docs/guides/{guide.name})" not in readme] == []


@pytest.mark.parametrize("guide", TRIED, ids=lambda guide: guide.stem)
def test_a_guide_begins_with_a_service_that_is_ready(guide: Path) -> None:
    """And with `pointsman` on the PATH: `make run` installs it first, which takes a minute."""
    started, ready, path = steps(guide)[:3]
    assert started == Command(START)
    assert isinstance(ready, Command)
    assert ready.typed.startswith("until curl -sf")
    assert path == Command("PATH=$PWD/.venv/bin:$PATH")


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("one 7 ms, 0.891\nlast\n", True),
        ("one 8.5 ms,  0.88\nbetween\n\nothers\nlast\n", True),
        ("one 7 ms, 0.86\nlast\n", False),
        ("one 7 s, 0.891\nlast\n", False),
        ("two 7 ms, 0.891\nlast\n", False),
        ("one 7 ms, 0.891\nlast\nmore\n", False),
        ("one 7 ms, 0.891\n", False),
    ],
)
def test_what_a_command_prints_in_another_way_than_its_guide_says_is_found(printed: str, same: bool) -> None:
    """What varies may differ, a score a little, and anything may stand for `...`."""
    step = Command("one", ("one 1 ms, 0.89", "...", "last"), r"[\d.]+ ms")
    assert (difference(step, printed) is None) is same


def test_other_numbers_count() -> None:
    assert difference(Command("one", ("4 of 5",)), "4 of 6\n")
