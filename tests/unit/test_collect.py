"""`pointsman collect`: which texts are worth a label, and in which order."""

from __future__ import annotations

import json
import random
import stat
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli.main import main
from pointsman.improve.labels_file import LabelledText, add_label
from pointsman.improve.texts_file import TextRecord
from pointsman.improve.worklist import DecisionLine, bad, contested, contested_rows, worklist
from pointsman.improve.worklist_file import WorklistItem
from pointsman.observability.feedback_file import FeedbackLine
from support.config_files import MINIMAL

WORDS = ("rust", "borrow", "lease", "fever", "court", "loop", "dose", "clause", "thread", "rash", "index", "fine")


def row(name: str, text: str = "", lead: float = 0.9, **facts: Any) -> TextRecord:
    words = random.Random(name).choices(WORDS, k=12)  # noqa: S311
    scores = {"legal": (1 + lead) / 2, "medical": (1 - lead) / 2}
    return TextRecord(hash=name, text=text or " ".join(words), scores=scores, **({"reason": "classified"} | facts))


def listed(
    *given: TextRecord, disliked: Collection[str] = (), differing: dict[str, str] | None = None, **how: Any
) -> list[WorklistItem]:
    return worklist(given, disliked, differing or {}, how.get("labelled", set()), how.get("limit", 100))


def test_the_most_useful_texts_come_first_and_each_says_why() -> None:
    items = listed(
        row("sure"),
        row("close", lead=0.05),
        row("abstained", lead=0.5, reason="low_confidence"),
        row("differs"),
        row("ambiguous", lead=0.85, reason="ambiguous"),
        row("disliked", request_id="r1"),
        disliked={"r1"},
        differing={"differs": "medical"},
    )
    assert [(item.hash, item.why) for item in items if item.why != ("sample",)] == [
        ("disliked", ("bad_feedback",)),
        ("close", ("close",)),
        ("abstained", ("abstained",)),
        ("ambiguous", ("ambiguous",)),
        ("differs", ("shadow_disagrees",)),
    ]
    assert len(items) == 6
    assert next(item.shadow for item in items if item.hash == "differs") == "medical"


def test_each_fourth_text_is_of_a_fair_sample() -> None:
    """A classifier may be wrong and sure of it: 40 texts are close, 400 sure; whatever their order is."""
    dice = random.Random(8)  # noqa: S311
    given = [row(f"{n:04x}", " ".join(dice.choices(WORDS, k=9)), 0.1 if n < 40 else 0.95) for n in range(440)]
    first = listed(*given)[:40]
    drawn = [item for item in first if item.why == ("sample",)]
    assert 7 <= len(drawn) <= 10
    assert {item.hash for item in drawn} <= {f"{n:04x}" for n in range(40, 440)}
    assert {item.hash for item in listed(*given[::-1])[:40]} & {item.hash for item in drawn} == {
        item.hash for item in drawn
    }


def test_two_causes_count_more_than_one() -> None:
    items = listed(row("one", lead=0.1), row("two", lead=0.1, reason="low_confidence"))
    assert [item.hash for item in items] == ["two", "one"]


@pytest.mark.parametrize(
    ("one", "other", "folded"),
    [
        ("How do I fix the leak in my tap?", "how do i fix the leak in my tap", True),
        ("Sum the invoices 12, 13 and 14 of March for me", "sum the invoices 99, 7 and 2 of march for me", True),
        (
            "Explain to me in simple words what a borrow checker does in Rust",
            "Explain to me in simple words what a borrow checker does in Ada",
            True,
        ),
        ("What is a lease?", "What is a fever?", False),
        ("a b c d", "d c b a", False),
        ("你好，请问这个合同有效吗", "今天的天气怎么样呢", False),
    ],
)
def test_nearly_the_same_texts_are_listed_once_and_counted(one: str, other: str, folded: bool) -> None:
    items = listed(row("a", one), row("b", other))
    assert sorted(item.alike for item in items) == ([2] if folded else [1, 1])


def test_what_stands_for_many_is_more_useful() -> None:
    items = listed(row("alone", lead=0.2), *(row(str(n), f"the same text again and again {n}", 0.3) for n in range(9)))
    assert (items[0].alike, items[1].hash) == (9, "alone")


def test_labelled_empty_and_repeated_texts_are_left_out_and_the_list_is_bounded() -> None:
    given = [
        row("a"),
        row("b"),
        row("b", "another"),
        row("c", " "),
        *(row(f"x{n}", f"{n} {n} {n * n}") for n in range(9)),
    ]
    assert {"a", "c"}.isdisjoint({item.hash for item in listed(*given, labelled={"a"})})
    assert [item.hash for item in listed(*given)].count("b") == 1
    assert len(listed(*given, limit=3)) == 3


def test_a_text_that_was_kept_again_and_again_takes_no_others_place() -> None:
    others = [row(f"{n}", " ".join(f"w{n}x{i}" for i in range(9))) for n in range(800)]
    assert len(listed(*[row("a", "the same", 0.0)] * 6_000, *others, limit=1_000)) == 801


@pytest.mark.thorough
def test_of_very_many_texts_the_work_and_the_memory_stay_bounded() -> None:
    """12,000 texts, most of them alike; the most useful is found wherever it is."""
    dice = random.Random(5)  # noqa: S311
    given = (
        row(str(n), " ".join(dice.choices(WORDS, k=9)), lead=0.0 if n == 200 else 0.5 + dice.random() / 3)
        for n in range(12_000)
    )
    before = time.thread_time()
    items = worklist(given, set(), {}, set(), 10_000)
    assert time.thread_time() - before < 8
    assert len(items) <= 5_500
    assert "200" in [item.hash for item in items]


@pytest.mark.parametrize(
    ("said", "is_bad"),
    [
        ({"score": 0.2}, True),
        ({"score": 0.5}, False),
        ({"label": "Bad"}, True),
        ({"label": "good"}, False),
        ({"label": "thumbs_down"}, True),
        ({}, False),
    ],
)
def test_bad_feedback_is_a_low_score_or_a_label_that_says_so(said: dict[str, Any], is_bad: bool) -> None:
    assert FeedbackLine(event="feedback", **said).is_bad is is_bad


def test_feedback_is_about_the_text_of_its_request() -> None:
    lines = [
        FeedbackLine(event="feedback", request_id="r1", text_hash="h1", score=0.0),
        FeedbackLine(event="feedback", request_id="r2", score=0.0),
        FeedbackLine(event="feedback", request_id="r3"),
    ]
    assert bad(lines) == {"r1", "h1", "r2"}


def test_the_shadow_disagrees_where_its_category_is_another() -> None:
    lines = [
        DecisionLine("routing_decision", "a", "legal", {"category": "medical"}),
        DecisionLine("routing_decision", "b", "legal", {"category": "legal"}),
        DecisionLine("routing_decision", "c", "legal", {}),
        DecisionLine("routing_decision", "d", None, None),
    ]
    assert contested(lines) == {"a": "medical", "c": "(none)"}


def test_what_the_shadow_said_is_in_the_file_of_texts_as_well() -> None:
    given = [row("a"), row("b"), row("a", shadow="math"), row("b", shadow="law"), row("b", shadow="(none)")]
    assert contested_rows(given) == {"a": "math", "b": "(none)"}
    items = {item.hash: item for item in listed(*given, differing=contested_rows(given))}
    assert {name: (one.why, one.shadow) for name, one in items.items()} == {
        "a": (("shadow_disagrees",), "math"),
        "b": (("shadow_disagrees",), "(none)"),
    }


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    log = "{texts_file: texts.jsonl, feedback_file: said.jsonl}"
    (tmp_path / "config.yaml").write_text(MINIMAL + f"pointsman: {{log: {log}}}\n")
    return tmp_path


def collect(folder: Path, *arguments: str) -> int:
    return main(["collect", "--config", str(folder / "config.yaml"), *arguments])


def test_it_reads_texts_log_feedback_and_labels_and_writes_a_worklist_for_its_owner_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [row("aa", "\x1b[2Jred text"), row("bb", request_id="r2"), row("cc"), row("dd")]
    (folder / "texts.jsonl.1").write_text(
        "".join(json.dumps({"hash": one.hash, "text": one.text}) + "\n" for one in given[:1])
    )
    (folder / "texts.jsonl").write_text(
        "".join(
            json.dumps({"hash": one.hash, "text": one.text, "request_id": one.request_id}) + "\n" for one in given[1:]
        )
    )
    (folder / "said.jsonl").write_text('{"event":"feedback","request_id":"r2","score":0}\n')
    log = folder / "log"
    log.write_text('{"event":"routing_decision","text_hash":"cc","category":"law","shadow":{"category":"math"}}\n')
    add_label(folder / "state" / "improve" / "labels.jsonl", LabelledText("dd", "x", "law"))
    assert collect(folder, "--log", str(log)) == 0

    path = folder / "state" / "improve" / "worklist.jsonl"
    items = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(item["hash"], item.get("why")) for item in items] == [
        ("bb", ["bad_feedback"]),
        ("cc", ["shadow_disagrees"]),
        ("aa", None),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = capsys.readouterr().out
    assert "bad_feedback" in said
    assert "\x1b" not in said, "a prompt can move the cursor"


def test_without_texts_it_says_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(folder) == 1
    assert "has the service stored a text yet?" in capsys.readouterr().err
    (folder / "config.yaml").write_text(MINIMAL)
    assert collect(folder) == 1
    assert "pointsman.log.texts_file" in capsys.readouterr().err
