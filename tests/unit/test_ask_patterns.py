"""Which patterns of names the config takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.config.load import load
from pointsman.config.routing import name_in
from pointsman.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("<a_b>", "a_b"),
        ("[Case *]", "Case *"),
        ("Caller says:", "Caller says"),
        ("## Old mail", "Old mail"),
        ("備考：", "備考"),
    ],
)
def test_a_pattern_is_the_name_of_a_tag_a_label_or_a_heading(pattern: str, name: str) -> None:
    assert name_in(pattern) == name


@pytest.mark.parametrize(
    "pattern", ["", "a", "<>", "<*>", "<a", "(a+)+:b", "<a>b</a>", "a" * 61 + ":", "a\nb:", "a: b:"]
)
def test_anything_else_is_refused(pattern: str) -> None:
    assert name_in(pattern) is None


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ("strip: ['.*context.*']", "pointsman.routing.ask.strip[0]"),
        ("take: ['<ok>', 'no name']", "pointsman.routing.ask.take[1]"),
        ("body_field: messages", "pointsman.routing.ask.body_field"),
    ],
)
def test_check_says_which_pattern_is_none_and_what_to_write(tmp_path: Path, options: str, path: str) -> None:
    file = tmp_path / "config.yaml"
    sample = (ROOT / "config" / "config.yaml").read_text()
    file.write_text(f"{sample}\npointsman:\n  routing:\n    ask:\n      {options}\n")
    with pytest.raises(ConfigError) as refused:
        load(file)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert problem.fix
