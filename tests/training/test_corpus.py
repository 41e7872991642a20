"""The rows that the built-in classifier is trained on, and those that are kept out."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from support import newcomer
from training.corpus import ROOT, Corpus, load_corpus, sample
from training.data import LABELS, CannotTrain, read_rows
from training.held_out import SOURCES, HeldOut, group
from training.near_copies import NearCopies
from training.prompts import OURS, user_prompts

TESTS = Path(__file__).parents[1] / "data"


@pytest.fixture
def data_dir(no_more_data: Path) -> Path:
    """Forty exam questions, 24 questions of users, and dev sets with a question of each, in other words."""
    exam = [{"text": f"exam about thing{i}", "label": "law", "source": "mmlu"} for i in range(40)]
    asked = [{"text": f"expert asks word{i}", "label": "law", "source": "k-qa"} for i in range(24)]
    (no_more_data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in exam + asked))
    for name in ("mmlu_pro", "user_prompts", "out_of_scope"):
        (no_more_data / f"dev_{name}.jsonl").write_text(
            '{"text": "The exam about THING3!", "label": "law", "source": ""}\n'
        )
    return no_more_data


def texts(corpus: Corpus, source: str) -> tuple[list[str], list[str]]:
    """The texts of `source` that are trained on, and those that validate."""
    return tuple([row.text for row in rows if row.source == source] for rows in (corpus.train, corpus.valid))  # type: ignore[return-value]


def test_every_label_has_experts_prompts() -> None:
    assert {label for _, label, source in user_prompts() if source == "pointsman-experts"} == set(LABELS)


def test_prompts_have_text_and_a_label() -> None:
    prompts = user_prompts()

    assert prompts == user_prompts()
    assert all(text and text == text.strip() and label in LABELS for text, label, _ in prompts)
    assert {source for _, _, source in prompts} == OURS


def test_the_last_users_rows_of_a_label_validate_since_one_persons_stand_together(data_dir: Path) -> None:
    trained, validate = texts(load_corpus(data_dir), "k-qa")

    assert validate == [f"expert asks word{i}" for i in range(21, 24)]
    assert trained == [f"expert asks word{i}" for i in range(21)]


def test_a_twentieth_of_the_exams_and_none_of_our_prompts_validates(data_dir: Path) -> None:
    corpus = load_corpus(data_dir)

    assert len(texts(corpus, "mmlu")[1]) == 2
    assert not any(texts(corpus, source)[1] for source in OURS)


def test_a_source_that_is_held_out_is_the_whole_validation(data_dir: Path) -> None:
    corpus = load_corpus(data_dir, HeldOut(("k-qa",)))

    assert [len(some) for some in texts(corpus, "k-qa")] == [0, 24]
    assert {row.source for row in corpus.valid} == {"k-qa"}


def test_no_near_copy_of_a_test_set_or_of_a_validation_row_is_trained_on(data_dir: Path) -> None:
    with (data_dir / "train.jsonl").open("a") as file:
        file.write('{"text": "An expert asks: word5?", "label": "law", "source": "new"}\n')
        file.write(json.dumps({"text": newcomer.PROMPTS[1][1], "label": "law", "source": "new"}) + "\n")
    corpus = load_corpus(data_dir, HeldOut(("k-qa",)))
    tests = NearCopies([row.text for path in TESTS.glob("*.jsonl") for row in read_rows(path)])

    assert "exam about thing3" not in [row.text for row in corpus.train]
    assert "exam about thing4" in [row.text for row in corpus.train]
    assert not any(tests.has(row.text) for row in corpus.train)
    assert corpus.near_copies["mmlu"] == 1
    assert corpus.near_copies["new"] == 2


SAID = {"history": [["Who wrote the longest exam ever?", "an answer"]], "ask": "thanks a lot"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("turns.jsonl", json.dumps(SAID)),
        ("wrappers/agents.yaml", json.dumps([SAID])),  # which is YAML, too
        ("material/one.txt", "A plan.\n\nWho wrote the\nlongest exam ever?\n\nthanks a lot"),
        ("fleets.json", json.dumps(SAID)),
    ],
)
def test_no_near_copy_of_what_the_service_is_judged_by_is_trained_on(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    asks = tmp_path / "asks"
    judge = data_dir / name if name == "fleets.json" else asks / name
    judge.parent.mkdir(parents=True, exist_ok=True)
    judge.write_text(text)
    with (data_dir / "train.jsonl").open("a") as file:
        file.write('{"text": "who wrote longest exam ever", "label": "law", "source": "new"}\n')
        file.write('{"text": "thanks a lot", "label": "other", "source": "new"}\n')
    monkeypatch.setattr("training.corpus.OUR_JUDGES", (asks,))

    assert texts(load_corpus(data_dir), "new")[0] == ["thanks a lot"]


def test_labels_that_were_read_stand_in_place_of_those_that_say_who_asks(data_dir: Path) -> None:
    with (data_dir / "train.jsonl").open("a") as file:
        file.write('{"text": "what is a tort", "label": "health", "source": "expertqa"}\n')
    rows = [
        {"text": "what is a tort", "label": "law", "source": "expertqa", "set": "train"},
        {"text": "which is unclear", "label": None, "source": "expertqa", "set": "train"},
        {"text": "which one judges here", "label": "law", "source": "koala", "set": "dev_user_prompts"},
    ]
    (data_dir / "read_labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = load_corpus(data_dir)
    found = [(row.text, row.label) for row in [*corpus.train, *corpus.valid] if row.source in {"expertqa", "koala"}]

    assert found == [("what is a tort", "law")]


def test_a_text_is_trained_on_once(data_dir: Path) -> None:
    path = data_dir / "train.jsonl"
    path.write_text(path.read_text() * 2)
    trained = [row.text for row in load_corpus(data_dir).train]

    assert len(set(trained)) == len(trained)


def test_an_epoch_reads_half_of_the_exams_and_what_was_written_three_times(data_dir: Path) -> None:
    (data_dir / "written_prompts.jsonl").write_text('{"text": "nginx 502", "label": "law", "source": "written"}\n')
    train = load_corpus(data_dir).train
    read = [row.source for row in sample(train * 20, random.Random(0))]  # noqa: S311

    for source, times in (("mmlu", 0.5), ("written", 3), ("pointsman-experts", 1)):
        expected = times * 20 * sum(row.source == source for row in train)
        assert read.count(source) == pytest.approx(expected, rel=0.15)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match=r"train\.jsonl: no such file"):
        load_corpus(tmp_path)


def test_the_judges_are_those_whose_hashes_were_noted_before_a_training() -> None:
    folder = ROOT / "benchmarks" / "judges"
    noted = (folder / "README.md").read_text("utf-8")
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.json*")}
    assert found
    assert [name for name, digest in found.items() if f"`{digest}`" not in noted] == []


def test_each_group_holds_out_a_part_of_the_fleets_and_all_groups_together_each_fleet_once(data_dir: Path) -> None:
    groups = range(1, len(SOURCES) + 1)
    parts = [load_corpus(data_dir, group(number)) for number in groups]
    every = load_corpus(data_dir).fleets

    assert len({fleet.outside for part in parts for fleet in part.held_out_fleets}) == len(every)
    for part in parts:
        assert abs(len(part.held_out_fleets) - len(every) / len(groups)) < 1
        assert {*part.fleets, *part.held_out_fleets} == set(every)
        assert not {*part.fleets} & {*part.held_out_fleets}


def test_no_source_is_in_two_groups() -> None:
    every = [source for some in SOURCES for source in some]

    assert len(set(every)) == len(every)
    assert len(SOURCES) <= 5
