"""What the text of a config file may not be, before any key is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.config.load import load
from pointsman.errors import ConfigError
from support.config_files import MINIMAL, loaded, problems, the_problem

FAULTS = [
    ("", None, "the file is empty", "vllm_endpoints"),
    ("# nothing\n---\n", None, "the file is empty", "config.yaml"),
    ("- a\n", 1, "expected a mapping of keys, found a list", "left margin"),
    ("just words\n", 1, 'found the text "just words"', "left margin"),
    ("a: 1\n\tb: 2\n", 2, "not YAML", "spaces, not tabs"),
    ("a: 1\nb: c: d\n", 2, "mapping values are not allowed here", "space after each colon"),
    ("a: 1\nb\nc: 2\n", 3, "could not find expected ':'", "space after each colon"),
    ("a: 1\nb: [\n", 3, "not YAML", "brackets"),
    ("a: 1\n---\nb: 2\n", 2, "a single document", "remove the line `---`"),
    ("a: *nowhere\n", 1, "undefined alias", "define the anchor"),
    ('a: 1\nb: "\x01"\n', 2, "a control character", "escape"),
    ("a: " + "[" * 1000, None, "nested too deeply", "write the values out"),
    ("a: " + "[\n" * 100_000, None, "nested too deeply", "write the values out"),
    ("a: &a [*a]\n", None, "nested too deeply", "write the values out"),
    ('a: "\\U00110000"\n', None, "stands for no character", "write the character itself"),
    ('a: "\\Uffffffff"\n', None, "stands for no character", "write the character itself"),
]


@pytest.mark.parametrize(("text", "line", "message", "fix"), FAULTS)
def test_a_text_that_is_no_mapping_is_one_problem(
    tmp_path: Path, text: str, line: int | None, message: str, fix: str
) -> None:
    """Each fault of the text is told with its line, what is wrong and how to fix it."""
    problem = the_problem(tmp_path, text)

    assert problem.line == line
    assert problem.path == ""
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.thorough
def test_aliases_cannot_unfold_to_more_than_a_bounded_number_of_values(tmp_path: Path) -> None:
    """A dozen lines of aliases inside aliases are refused, not unfolded to 10^11 values."""
    lines = ["b0: &b0 [x]"]
    lines += [f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 10)}]" for i in range(1, 12)]

    assert "aliases inside aliases" in the_problem(tmp_path, "\n".join(lines)).message


def test_a_key_given_twice_names_both_lines(tmp_path: Path) -> None:
    """PyYAML would silently take the last one."""
    problem = the_problem(tmp_path, MINIMAL + "default_model: other\n")

    assert (problem.path, problem.line) == ("default_model", 11)
    assert "given twice, first on line 10" in problem.message


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getcwd []", "!!binary aGk=", "!env HOME", "!!set {a}"])
def test_tags_are_refused(tmp_path: Path, tag: str) -> None:
    """No tag constructs anything; the refused value is not reported a second time."""
    problem = the_problem(tmp_path, MINIMAL + f"auto_model_name: {tag}\n")

    assert (problem.path, problem.line) == ("auto_model_name", 11)
    assert f"tag {tag.split()[0]} is not supported" in problem.message


@pytest.mark.parametrize(
    ("key", "found"),
    [("no", "`no`, which YAML reads as false"), ("7", "the number 7"), ("~", "nothing"), ("[a]", "a list")],
)
def test_names_must_be_text(tmp_path: Path, key: str, found: str) -> None:
    """YAML reads `no:` as false and `7:` as a number; such a name needs quotes."""
    problem = the_problem(tmp_path, MINIMAL.replace("  base:\n", f"  {key}: {{}}\n  base:\n"))

    assert (problem.path, problem.line) == ("model_config", 6)
    assert f"expected text as a key, found {found}" in problem.message
    assert "in quotes" in problem.fix


def test_anchors_and_merges_are_followed(tmp_path: Path) -> None:
    """An alias is the anchored value; a merged key gives way to the mapping's own."""
    text = MINIMAL + (
        "categories:\n"
        "  - &law\n"
        "    name: law\n"
        "    system_prompt: Be brief.\n"
        "    model_scores: &scores [{model: base, use_reasoning: false}]\n"
        "  - <<: *law\n"
        "    name: health\n"
        "  - {name: math, model_scores: *scores}\n"
    )

    law, health, math = loaded(tmp_path, text).config.categories

    assert (health.name, health.system_prompt, health.model_scores) == ("health", law.system_prompt, law.model_scores)
    assert (math.system_prompt, math.model_scores) == ("", law.model_scores)


def test_a_merge_of_something_else_is_a_problem(tmp_path: Path) -> None:
    """`<<` takes mappings."""
    text = MINIMAL.replace("  base:\n", "  base:\n    <<: [1]\n")

    assert "`<<` expects a mapping, found the number 1" in the_problem(tmp_path, text).message


def test_what_looks_like_a_date_is_text(tmp_path: Path) -> None:
    """A config has no dates, and a name may look like one."""
    assert loaded(tmp_path, MINIMAL + "auto_model_name: 2024-01-01\n").config.auto_model_name == "2024-01-01"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    assert loaded(tmp_path, "\ufeff" + MINIMAL).config.default_model == "base"


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    """The offending line is the one with the first wrong byte."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"a: 1\nb: \xe9\n")

    with pytest.raises(ConfigError, match=r"config\.yaml:2: not UTF-8; save the file as UTF-8"):
        load(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    """What cannot be read is a ConfigError like every other."""
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)


def test_problems_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Parser, builder and checks report into one list, sorted by line."""
    text = "auto_model_name: 7\n" + MINIMAL.replace("port: 8000", "port: 0") + "default_model: x\nsplit: 1\n"
    found = problems(tmp_path, text)

    assert [problem.line for problem in found] == [1, 5, 12, 13]
