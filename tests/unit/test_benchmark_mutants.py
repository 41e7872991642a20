"""Mutants are of all packages, other ones at each commit, and of the kinds that people make by mistake."""

from __future__ import annotations

import ast
import threading
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from textwrap import dedent

import pytest
from mutants import report, suite, tree
from mutants.__main__ import MutantRun, merged
from mutants.choose import choose, mutants, package_of
from mutants.operators import edits
from mutants.worker import FAILED, SURVIVED, MutantResult, Task, started

SOURCE = b"def f(a, b):\n    if a > b:\n        return g(a, limit=b)\n    return {'a': a, 'b': b}\n"


def broken(source: str) -> set[str]:
    """Return what the edits of a module make of it."""
    text = dedent(source).strip().encode()
    return {edit.apply(text).decode() for edit in edits(text)}


def test_a_handler_can_raise_again_and_lose_one_of_its_types() -> None:
    made = broken("""
        try:
            pass
        except (OSError, ValueError):
            stop()
    """)
    assert any("except (OSError, ValueError):\n    raise" in text for text in made)
    assert {"except (OSError,):\n    stop()", "except (ValueError,):\n    stop()"} <= {
        text.partition("pass\n")[2] for text in made
    }


def test_a_call_can_lose_each_of_its_keyword_arguments() -> None:
    assert {"x = f(1, c=3)", "x = f(1, b=2)"} <= broken("x = f(1, b=2, c=3)")


def test_a_dict_can_lose_an_entry_and_have_another_key() -> None:
    assert {"x = {'b': 2}", "x = {'a': 1}", "x = {'aX': 1, 'b': 2}"} <= broken("x = {'a': 1, 'b': 2}")


def test_an_early_exit_can_go() -> None:
    made = broken("""
        def f(a):
            if a:
                return 1
            return 2
    """)
    assert "def f(a):\n    pass\n    return 2" in made


@pytest.mark.parametrize(
    "source",
    [
        'parser.add_argument(help="none")',
        "zip(strict=True)",
        'path.read_text(encoding="utf-8")',
        "import os",
        "assert a == b",
        '"""Say it."""',
        "__slots__ = ('a',)",
        "log.warning('it is gone')",
    ],
)
def test_what_no_user_can_notice_is_no_mutant(source: str) -> None:
    assert {text for text in broken(source) if text != "pass"} == set()


def test_each_mutant_is_a_module() -> None:
    for path in list(tree.targets().values())[::20]:
        source = (tree.ROOT / path).read_bytes()
        for edit in edits(source)[::10]:
            ast.parse(edit.apply(source))


def test_each_package_has_forty_or_all_that_it_has() -> None:
    sources = {"a/x.py": SOURCE * 20, "a/y.py": SOURCE, "a/b/z.py": SOURCE}
    counts = Counter(package_of(mutant.file) for mutant in choose(sources, 40, "seed"))
    assert counts == {"a": 40, "a/b": min(40, len(mutants("a/b/z.py", SOURCE)))}


def test_a_commit_draws_the_same_mutants_and_another_one_others() -> None:
    sources = {"a/x.py": SOURCE * 20}
    first, again, other = ([mutant.name for mutant in choose(sources, 40, seed)] for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_all_packages_of_the_sources_are_mutated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one needs no list."""
    for name in ("daemon/pointsman/new/a.py", "export/pointsman_export/b.py", "tests/c.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(tree, "ROOT", tmp_path)
    assert set(tree.targets()) == {"pointsman/new/a.py", "pointsman_export/b.py"}


def test_the_tests_that_are_named_for_a_package_exist() -> None:
    assert [
        name for names in suite.OTHER_TESTS.values() for name in names if not (tree.ROOT / "tests" / name).exists()
    ] == []
    assert [
        name for name in suite.OTHER_TESTS if not any((tree.ROOT / top / name).exists() for top in tree.SOURCES)
    ] == []


def test_a_survivor_with_a_reason_lowers_no_rate() -> None:
    rows = [
        {"name": name, "file": "a/x.py", "outcome": outcome, "by": "", "others": False}
        for name, outcome in (("1", FAILED), ("2", SURVIVED))
    ]
    assert report.line("a", rows, {})[-1] == "50.0 %"
    assert report.line("a", rows, {"2": "Equivalent."})[-1] == "100.0 %"


def test_a_test_that_fails_without_a_mutant_is_run_with_none() -> None:
    unit = suite.UnitTests({"tests/unit/a.py::one": 1.0, "tests/unit/a.py::two": 2.0}, {})
    assert unit.without("tests/unit/a.py::one").all == ["tests/unit/a.py::two"]


def test_records_of_some_tests_each_are_one() -> None:
    parts = [
        {"seconds": {"one": 1.0}, "lines": {"x.py": {"one": [1]}}},
        {"seconds": {"two": 2.0}, "lines": {"x.py": {"two": [1, 2]}}},
    ]
    assert merged(parts) == {"seconds": {"one": 1.0, "two": 2.0}, "lines": {"x.py": {"one": [1], "two": [1, 2]}}}


def test_what_fails_without_a_mutant_and_is_no_test_ends_all_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving it out and trying again would never end."""
    failing = MutantResult("none", FAILED, "import in tests/unit/test_a.py", 0.0)
    monkeypatch.setattr("mutants.__main__.started", lambda *_: nullcontext(lambda _: failing))
    name = next(iter(tree.targets()))
    run = MutantRun({name: SOURCE}, suite.UnitTests({}, {}), mutants(name, SOURCE), {})
    run.plan(others=False, again=False)
    checked = threading.Barrier(2)
    with pytest.raises(RuntimeError, match=r"test_a\.py fails without a mutant"):
        run._work(tmp_path, 0, 2, checked, None)
    assert checked.broken


@pytest.mark.parametrize(("body", "outcome"), [("assert False", FAILED), ("time.sleep(60)", SURVIVED)])
def test_a_mutant_dies_by_a_test_and_not_because_all_of_them_were_too_slow(
    body: str, outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "test_one.py").write_text(f"import time\n\ndef test_it():\n    {body}\n")
    (tmp_path / "mutated.py").touch()
    task = Task("one", str(tmp_path / "mutated.py"), "", {}, ["test_one.py"], run_s=5)
    with started(tmp_path, tmp_path / "scratch", PYTHONPATH=str(tree.ROOT / "benchmarks")) as attempt:
        assert attempt(task).outcome == outcome
