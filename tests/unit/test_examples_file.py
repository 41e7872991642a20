"""The examples of a category may be in a file of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pointsman.app.source import ConfigSource
from pointsman.config.load import load_text
from pointsman.errors import CannotStart, ConfigError, Problem
from support.config_files import LABELS, MINIMAL, category, loaded, problems, the_problem, write, write_manifest

CATEGORIES = MINIMAL + "categories:\n"
LINE = 13


def of_file(name: str, *lines: str) -> str:
    return CATEGORIES + category("sql", f"examples_file: {name}", *lines)


def the_problem_with(folder: Path, name: str, content: bytes) -> Problem:
    (folder / name).write_bytes(content)
    found = the_problem(folder, of_file(name))
    assert (found.path, found.line) == ("categories[0].examples_file", LINE)
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sql.txt", "\ufeffsum by month\r\n\r\n  {join} the two\u2028tables \r\n"),
        ("sql.jsonl", '{"text": "sum by month"}\n\n{"text": "{join} the two\u2028tables", "label": "sql"}'),
    ],
)
def test_a_file_has_a_prompt_on_each_line_or_rows_as_for_fit(tmp_path: Path, name: str, content: str) -> None:
    """Relative to the config's folder, after the examples in the config; empty lines are none."""
    (tmp_path / name).write_text(content, newline="")
    (found,) = loaded(tmp_path, of_file(name, "examples: [first]")).config.categories
    assert found.examples == ("first", "sum by month", "{join} the two\u2028tables")
    assert found.examples_file == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"good\n" + b"x" * 100_000, "a.txt:2: the example has 100,000 characters, at most 10,000 are read"),
        ("a.jsonl", b'{"text": "good"}\n{"text": " "}', "a.jsonl:2: the example is empty"),
        ("a.jsonl", b'{"text": "good"}\n["bad"]', "a.jsonl:2: Expected `object`, got `array`"),
        ("a.jsonl", b"good prompt", "a.jsonl:1: JSON is malformed"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: "),
        ("a.txt", b"good\nb\xe4d", "a.txt:2: not UTF-8"),
        ("a.txt", b"\n \n", "a.txt has no example"),
        ("a.txt", b"x\n" * (1 << 19) + b"x", "a.txt cannot be read (it is larger than 1,048,576 bytes)"),
        ("a.json", b'["good"]', "a.json ends neither in .txt nor in .jsonl"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    found = the_problem_with(tmp_path, name, content)
    assert found.message.startswith(f"{tmp_path}/{said}")
    assert found.fix


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "No such file or directory"),
        ("folder", "Is a directory"),
        ("pipe", "it is a pipe or a device, not a file"),
        ("device", "it is a pipe or a device, not a file"),
        ("link to itself", "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_an_error_and_nothing_waits_for_it(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "a.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "missing":
        path.symlink_to("/dev/zero" if kind == "device" else path)
    assert the_problem(tmp_path, of_file("a.txt")).message == f"{path} cannot be read ({said})"


def test_of_many_bad_lines_some_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("bad\n" * 1000)
    text = CATEGORIES + category("a", "examples_file: a.jsonl") + category("b", "examples_file: missing.txt")
    assert len(problems(tmp_path, text)) == 20


def test_the_bounds_hold_for_what_is_in_files(tmp_path: Path) -> None:
    """And once there are too many, no other file is read."""
    asked: list[Path] = []
    text, names = CATEGORIES, [f"c{number}" for number in range(15)]
    for name in names:
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} prompt {number}\n" for number in range(201)))
        text += category(name, f"examples_file: {name}.txt")
    with pytest.raises(ConfigError, match="more than 2,000 examples") as caught:
        load_text(text, tmp_path / "config.yaml", reads=asked.append)
    assert "201 examples, at most 200 are read" in str(caught.value)
    assert asked == [tmp_path / f"{name}.txt" for name in names[:10]]


def test_an_example_in_two_categories_is_an_error_at_the_second(tmp_path: Path) -> None:
    """Whatever its case and spaces are."""
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "Sum  by Month"}))
    listed = 'examples: ["mine", "sum by month"]'
    first, second = category("a", listed), category("b", listed.replace("mine", "other"))
    found = the_problem(tmp_path, CATEGORIES + first + second)
    assert (found.path, found.message) == ("categories[1].examples[1]", "'sum by month' is an example of \"a\", too")
    found = the_problem(tmp_path, CATEGORIES + first + category("b", "examples_file: b.jsonl"))
    assert (found.path, found.message) == ("categories[1].examples_file", "'Sum  by Month' is an example of \"a\", too")


@pytest.mark.parametrize("key", ["mmlu_categories", "labels"])
def test_a_category_with_a_file_of_examples_may_list_no_labels(tmp_path: Path, key: str) -> None:
    (tmp_path / "a.txt").write_text("sum by month\n")
    found = the_problem(tmp_path, of_file("a.txt", f"{key}: [law]"))
    assert (found.path, found.fix) == (
        "categories[0].examples_file",
        "remove the examples, or the list of labels",
    )


def test_a_file_of_examples_is_watched_as_the_config_is_also_where_it_is_at_fault(tmp_path: Path) -> None:
    write_manifest(tmp_path / "artifact", LABELS)  # the config is good, which its model is not
    write(tmp_path, "classifier: {category_model: {model_id: artifact}}\n" + of_file("a.txt"))
    examples, source = tmp_path / "a.txt", ConfigSource(tmp_path / "config.yaml")
    for content, said in (("", "has no example"), ("sum by month", "model.onnx is missing"), (None, "cannot be read")):
        if content is None:
            examples.unlink()
        else:
            examples.write_text(content)
        with pytest.raises(CannotStart, match=said):
            source.prepare()
        assert source.news() is None
        examples.write_text("sum by month and region")
        assert source.news() is not None


def test_a_path_that_no_file_can_have_is_an_error(tmp_path: Path) -> None:
    text = of_file("a.txt").replace("a.txt", '"a\\0.txt"')
    assert the_problem(tmp_path, text).message.endswith("cannot be read (its path has a NUL character)")
    with pytest.raises(ConfigError, match="NUL character"):
        ConfigSource(write(tmp_path, text)).prepare()
