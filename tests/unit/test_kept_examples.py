"""Examples that are added on the page count beside those of the config, as far as it leaves room for them."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path

import pytest

from pointsman.cli.check import check
from pointsman.cli.main import main
from pointsman.config import kept_examples
from pointsman.config.kept_examples import KeptExample, WithKept, with_kept
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.evaluation.main import main as evaluate
from support import described_world, toy_artifact
from support.config_files import LABELS, MINIMAL, category, loaded, write

SQL = category("sql", "description: Writes SQL for our warehouse.")
POEMS = category("poems", "examples: [write a haiku]")
OTHERS = category("law") + category("general", "description: All else.") + category("undescribed")


def config(folder: Path, *categories: str) -> Config:
    return loaded(folder, MINIMAL + "categories:\n" + "".join(categories)).config


def added(found: Config, *kept: KeptExample) -> WithKept:
    return with_kept(found, LABELS, kept, describes=True)


def examples(found: WithKept) -> dict[str, tuple[str, ...]]:
    return {one.name: one.examples for one in found.config.categories}


def test_they_follow_the_examples_of_the_config(tmp_path: Path) -> None:
    found = added(
        config(tmp_path, SQL, POEMS), KeptExample("poems", "an ode to rain"), KeptExample("sql", "sum by month")
    )
    assert examples(found) == {"sql": ("sum by month",), "poems": ("write a haiku", "an ode to rain")}
    assert found.idle == {}


def test_they_describe_no_category_that_the_config_does_not(tmp_path: Path) -> None:
    """One that labels cover, the rest, one without a text, and one that is gone stay what they are."""
    before = config(tmp_path, SQL, OTHERS)
    kept = [KeptExample(name, f"about {name}") for name in ("law", "general", "undescribed", "gone")]
    found = added(before, *kept)
    assert found.config == before
    assert dict(found.idle) == dict.fromkeys(kept, "it is no category that texts describe")
    assert cover(found.config, LABELS) == cover(before, LABELS)
    (sql,) = [KeptExample("sql", "sum by month")]
    without = with_kept(before, LABELS, [sql], describes=False)
    assert (without.config, list(without.idle)) == (before, [sql])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n", "the example is empty"),
        ("x" * 10_001, "the example has 10,001 characters, at most 10,000 are read"),
        ("Write a  haiku", 'it is an example of "poems" already'),
        ("sum by month", 'it is an example of "sql" already'),
    ],
)
def test_what_would_be_an_error_in_the_config_does_not_count(tmp_path: Path, text: str, why: str) -> None:
    one = KeptExample("sql", text)
    first = KeptExample("sql", "Sum by Month")
    found = added(config(tmp_path, SQL, POEMS), first, one)
    assert (examples(found)["sql"], dict(found.idle)) == (("Sum by Month",), {one: why})


def test_two_hundred_count_for_a_category_and_two_thousand_for_all_with_those_of_the_config(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(11)]
    before = config(tmp_path, POEMS, *(category(name, f"description: Writes {name} for us.") for name in names))
    kept = [KeptExample("poems", f"poem {number}") for number in range(200)]
    kept += [KeptExample(name, f"{name} {number}") for name in names for number in range(200)]
    found = added(before, *kept)
    counts = {name: len(texts) for name, texts in examples(found).items()}
    assert counts == {"poems": 200, **dict.fromkeys(names[:9], 200), "c9": 0, "c10": 0}
    reasons = list(found.idle.values())
    assert reasons[0] == "a category has at most 200 examples"
    assert set(reasons[1:]) == {"there are at most 2,000 examples in all categories"}


def test_the_file_is_its_owners_and_takes_as_many_as_can_count(tmp_path: Path) -> None:
    kept = [KeptExample(f"c{number // 199}", f"prompt {number}") for number in range(1_999)]
    kept_examples.write(tmp_path / "state", kept)
    (file,) = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_examples.read(tmp_path / "state") == kept
    assert not kept_examples.is_full(kept, "c0")
    assert kept_examples.is_full([*kept, KeptExample("c0", "one more")], "other")
    assert kept_examples.is_full([*kept[:199], KeptExample("c0", "one more")], "c0")


@pytest.mark.thorough
def test_the_longest_examples_fit_into_the_file(tmp_path: Path) -> None:
    """A control character takes six bytes; of 10,000 such characters there may be 2,000 examples."""
    longest = KeptExample("c" * 256, "\x01" * 10_000)
    kept_examples.write(tmp_path, [longest])
    file = tmp_path / "kept_examples.jsonl"
    assert 2_000 * file.stat().st_size < 2**27
    os.truncate(file, 2**27)
    assert kept_examples.read(tmp_path) == [longest]


def test_a_damaged_line_costs_one_example_and_a_line_twice_counts_once(tmp_path: Path) -> None:
    good = json.dumps({"category": "sql", "text": "sum by month"})
    (tmp_path / "kept_examples.jsonl").write_text(f'{good}\n{{"category": "sql"\n["sql"]\n{good}\n')
    assert kept_examples.read(tmp_path) == [KeptExample("sql", "sum by month")]


def checked(folder: Path) -> str:
    out = io.StringIO()
    check(write(folder, MINIMAL + "categories:\n" + SQL), out)
    return out.getvalue()


def test_check_names_what_does_not_count_but_no_text_and_a_file_that_it_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert "kept_examples" not in checked(tmp_path)
    kept_examples.write(tmp_path / "state", [KeptExample("sql", "secret"), KeptExample("gone", "secret")])
    (warning,) = [line for line in checked(tmp_path).splitlines() if "kept_examples" in line]
    assert warning.startswith(f"warning: {tmp_path}/state/kept_examples.jsonl: 1 of its examples do not count, such as")
    assert 'one of "gone": it is no category that texts describe; undo' in warning
    assert "secret" not in warning
    (tmp_path / "state" / "kept_examples.jsonl").unlink()
    (tmp_path / "state" / "kept_examples.jsonl").mkdir()
    assert "kept_examples.jsonl cannot be read (Is a directory): the examples that were added" in checked(tmp_path)


def test_explain_without_a_service_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    described_world.write(tmp_path, described_world.CODE)
    toy_artifact.encoder(tmp_path / "encoder")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    categories = []
    for kept in ([], [KeptExample("code", "bridge")]):
        kept_examples.write(tmp_path / "state", kept)
        assert main(["explain", "bridge", "--json", "--offline", "--config", str(tmp_path / "config.yaml")]) == 0
        categories.append(json.loads(capsys.readouterr().out)["decision"]["category"])
    assert categories == [None, "code"]


def test_eval_with_a_config_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toy_artifact.encoder(tmp_path / "encoder")
    (tmp_path / "rows.jsonl").write_text('{"text": "blood pressure", "label": "code"}\n' * 2)
    code = category("code", "description: Answers about python.")
    path = write(tmp_path, "classifier: {category_model: {model_id: encoder}}\n" + MINIMAL + "categories:\n" + code)

    def right() -> str:
        assert evaluate([str(folder), str(tmp_path / "rows.jsonl"), "--config", str(path)]) == 0
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("code"))

    before = right()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    kept_examples.write(tmp_path / "state", [KeptExample("code", "blood"), KeptExample("code", "pressure")])
    assert right() != before
