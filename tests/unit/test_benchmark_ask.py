"""What the reports on the ask say, about themselves and of their results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ask import conversations, judge, pointing, report
from ask.quick_rules import QuickFinder
from ask.routes import CONFIG, hashes

from pointsman.classify.artifact import BUILTIN
from pointsman.config.load import load
from pointsman.routing import subject
from pointsman.routing.ask import AskKind

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def test_the_classifier_that_is_judged_is_named_by_its_hashes() -> None:
    """Thresholds are fitted to `calibration.bin`, so that it counts, too."""
    found = hashes(load(CONFIG).config)

    assert found.keys() == {"builtin"}
    assert {"model.onnx", "tokenizer.json", "calibration.bin"} <= found["builtin"].keys()
    assert found["builtin"]["tokenizer.json"] == hashlib.sha256((BUILTIN / "tokenizer.json").read_bytes()).hexdigest()


def test_the_pages_are_those_of_their_results() -> None:
    for name, rendered in (("ask", report.rendered), ("ask_pointing", pointing.rendered)):
        assert (RESULTS / f"{name}.md").read_text() == "\n".join(rendered(result(name))) + "\n"


def test_the_worst_message_is_judged_beside_the_median() -> None:
    """A message is searched to 64 KiB, and may delay others by 50 ms."""
    cost = {"median_us": 149.0, "most_us": 3200.0, "most_kind": "mail/thread"}
    median, most = [target.row() for target in report.targets(result("ask") | {"cost": cost})[-2:]]
    assert median == "| us for a message of 4 KiB, median | 149 | at most 150 | met |"
    assert most == "| us for a message of 4 KiB, the worst wrapper | 3,200 mail/thread | at most 3,125 | not met |"


def test_the_quick_rules_stand_in_for_the_search() -> None:
    finder = QuickFinder()
    assert finder.find(["<context>\nA lease.\n</context>\n\nQuestion: Why is the sky blue?\nAnswer:"]).text == (
        "Why is the sky blue?"
    )
    assert finder.find(["Generate a concise title for the chat history below."]).kind is AskKind.HELPER_TASK


def test_fitted_weights_are_written_into_the_code_with_what_they_are_fitted_for() -> None:
    code, context = judge.CODE.read_text(), (subject.ASK_CHARACTERS, subject.ANSWER_CHARACTERS)
    assert judge.written(code, subject.FITTED, context) == code
    found = judge.written(code, subject.FITTED._replace(always=-1.25), (200, 100))
    assert "\nFITTED = Weights(-1.25, Features(score=" in found
    assert "\nASK_CHARACTERS, ANSWER_CHARACTERS = 200, 100\n" in found


def test_the_commit_of_the_pointing_cases_is_told() -> None:
    page = pointing.rendered({"commit": "abc1234", "cases": {"leases": {"alone": 1, "material": 2, "of": 3}}})
    assert "| leases | 1 | 2 | 3 |" in page
    assert any("commit abc1234" in line for line in page)


def test_each_target_that_is_not_met_has_its_reason() -> None:
    found = result("ask")
    reasons = "\n".join(report.unmet(found))
    for target in report.targets(found):
        group, _, what = target.what.rpartition(": ")
        if not target.met:
            assert any(line.startswith(f"- {what}") and group in line for line in reasons.splitlines()), target.what


def test_a_document_that_changes_one_route_is_not_met() -> None:
    injections = {"unchanged": 0.999, "techniques": {}, "kinds": {}}
    (found,) = [
        target for target in report.targets(result("ask") | {"injections": injections}) if "speak" in target.what
    ]
    assert not found.met


def test_the_page_of_conversations_is_that_of_its_result() -> None:
    assert (RESULTS / "conversations.md").read_text() == conversations.report(result("conversations"))


def test_each_target_of_conversations_says_of_which_rows_it_is() -> None:
    """A share of those whose model was right before stands beside that of all, on each set that nobody looked at."""
    found = [target.what for target in conversations.targets(result("conversations"))][1:]
    sets = {what[what.index("(") :].rpartition(", ")[0][1:] for what in found}
    assert sets == {"fourth set, apart", "third set"}
    for name in sets:
        assert any(what.startswith("follow-ups kept, all (" + name) for what in found)
        assert any(what.startswith("changes released, all (" + name) for what in found)
    assert all(what.endswith(" rows)") for what in found)
