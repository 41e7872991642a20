"""Which choices the benchmark calls right, which rows count, and that the result is of what ships."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import choices
import pytest
import read_labels
from read_labels import BASE, LabelChoice, LabelledPrompt

from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.config.load import load
from pointsman.routing.threshold_problems import as_before
from pointsman.routing.thresholds import thresholds
from support.config_files import LABELS, REPOSITORY
from support.toy_config import category, config, entry

RESULT = json.loads((REPOSITORY / "benchmarks" / "results" / "choices.json").read_text("utf-8"))
ADAPTERS = ["technical", "medical", "legal"]


def choice(got: str, *wanted: str, source: str = "one") -> LabelChoice:
    return LabelChoice(source, wanted, got)


def counts(made: list[LabelChoice], figure: str, of: str = "all") -> tuple[int, int] | None:
    rows = read_labels.judge(made, [*ADAPTERS, BASE])["figures"][figure][of]["rows"]
    return rows and (rows["part"], rows["whole"])


# --- what is right -------------------------------------------------------------------------------------------------


def test_a_choice_is_right_if_any_label_of_the_row_belongs_to_it() -> None:
    made = [choice("medical", "technical", "medical"), choice("legal", "technical", "medical"), choice(BASE, BASE)]

    assert counts(made, "right") == (2, 3)
    assert counts(made, "right", "technical") == (1, 2)
    assert counts(made, "right", BASE) == (1, 1)


def test_only_rows_with_one_acceptable_adapter_count_for_reach() -> None:
    made = [
        choice("legal", "legal"),
        choice("medical", "legal"),
        choice(BASE, "legal"),
        choice(BASE, "legal", BASE),
        choice("legal", "legal", "medical"),
        choice(BASE, BASE),
    ]

    assert counts(made, "reach") == counts(made, "reach", "legal") == (1, 3)
    assert counts(made, "reach", BASE) is None


def test_rows_at_an_adapter_count_for_its_precision() -> None:
    made = [choice("legal", BASE, "legal"), choice("legal", "medical"), choice("medical", BASE), choice(BASE, "legal")]

    assert counts(made, "precision") == (1, 3)
    assert [counts(made, "precision", name) for name in ADAPTERS] == [None, (0, 1), (1, 2)]


def test_both_errors_are_counted_by_what_stands_in_the_place_of_the_right_model() -> None:
    lost = [choice(BASE, "legal"), choice(BASE, "legal"), choice("medical", "legal")]
    astray = [choice("legal", BASE), choice("legal", BASE, "medical")]
    right = [choice("legal", "legal"), choice(BASE, BASE)]

    assert read_labels.errors(lost + astray + right) == {
        "lost": {BASE: 2, "another adapter": 1},
        "astray": {BASE: 2, "another adapter": 1},
    }


def test_the_calibration_error_is_of_the_best_category_before_any_threshold() -> None:
    """All at 0.9 of which half are acceptable; what was not classified has no score."""
    made = [LabelChoice("one", ("legal", "medical"), BASE, (best, 0.9)) for best in ("medical", "technical") * 10]

    assert read_labels.calibration_error([*made, choice(BASE, "legal")]) == pytest.approx(0.4)


# --- over sources --------------------------------------------------------------------------------------------------


def shares(**sources: tuple[int, int]) -> dict[str, Any]:
    made = [
        choice("legal" if row < right else BASE, "legal", source=source)
        for source, (right, rows) in sources.items()
        for row in range(rows)
    ]
    found: dict[str, Any] = read_labels.judge(made, ADAPTERS)["figures"]["reach"]["legal"]
    return found


def test_in_a_mean_over_sources_each_weighs_the_same_however_many_rows_it_has() -> None:
    found = shares(few=(10, 10), many=(50, 100))

    assert (found["mean"]["share"], found["mean"]["sources"]) == (0.75, 2)
    assert (found["rows"]["part"], found["rows"]["whole"]) == (60, 110)


def test_a_source_with_less_than_ten_rows_is_in_no_mean() -> None:
    found = shares(few=(0, 9), many=(50, 100))

    assert (found["mean"]["share"], found["mean"]["sources"]) == (0.5, 1)
    assert found["rows"]["whole"] == 109
    assert shares(few=(9, 9))["mean"] is None


def test_the_interval_of_a_mean_is_wilsons_of_one_source_and_narrower_of_several() -> None:
    """Half as wide of four sources that are alike."""
    one, four = shares(a=(90, 100)), shares(a=(90, 100), b=(90, 100), c=(90, 100), d=(90, 100))

    bounds = {bound: one["rows"][bound] for bound in ("share", "low", "high")}
    assert {bound: one["mean"][bound] for bound in bounds} == pytest.approx(bounds)
    assert 0.9 - four["mean"]["low"] == pytest.approx((0.9 - one["mean"]["low"]) / 2)
    assert four["mean"]["high"] - 0.9 == pytest.approx((one["mean"]["high"] - 0.9) / 2)


# --- which rows ----------------------------------------------------------------------------------------------------


def test_at_most_150_rows_of_a_source_and_label_count_whatever_their_order_in_the_file() -> None:
    rows = [
        LabelledPrompt(f"{source} {label} {number}", source, (label, "other"))
        for source, label, count in (("a", "law", 200), ("a", "health", 151), ("b", "law", 150), ("b", "math", 3))
        for number in range(count)
    ]

    taken = read_labels.sampled(rows)
    assert Counter((row.source, row.labels[0]) for row in taken) == {
        ("a", "law"): 150,
        ("a", "health"): 150,
        ("b", "law"): 150,
        ("b", "math"): 3,
    }
    assert {row.text for row in taken} == {row.text for row in read_labels.sampled(rows[::-1])}
    assert [row.text for row in taken] != [row.text for row in rows if row in taken]


def test_the_figures_of_all_rows_stand_beside_those_of_the_sample() -> None:
    rows = [LabelledPrompt(str(number), "a", ("other",)) for number in range(200)] + [
        LabelledPrompt("law", "b", ("law",))
    ] * 10
    made = [choice("legal", BASE, source="a")] * 200 + [choice("legal", "legal", source="b")] * 10

    found = read_labels.judged(rows, made, ADAPTERS)

    assert found["figures"]["precision"]["legal"]["rows"]["whole"] == 160
    assert (found["unlimited"]["precision"]["share"], found["unlimited"]["precision"]["sources"]) == (0.5, 2)
    assert found["unlimited"]["reach"]["whole"] == 10


def write(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    common = {"label": "law", "also": [], "source": "koala"}
    lines = [json.dumps({"text": str(number)} | common | row) for number, row in enumerate(rows)]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def test_rows_without_a_label_and_rows_that_were_trained_on_do_not_count(tmp_path: Path) -> None:
    dev = {"set": "dev_user_prompts"}
    write(tmp_path, "read_labels", dev | {"also": ["health"]}, dev | {"label": None}, {"set": "train"})
    write(tmp_path, "read_out_of_scope", {"source": "clinc-oos"}, {"source": "clinc-goodbye"}, {"source": "clinc-joke"})
    write(tmp_path, "read_prompts", {"source": "dolly-openqa"}, {"source": "fiqa"}, {"label": None})

    found = read_labels.sets(tmp_path)

    assert found["dev_user_prompts"] == [LabelledPrompt("0", "koala", ("law", "health"))]
    assert [row.source for row in found["dev_out_of_scope"]] == ["clinc-oos", "clinc-smalltalk", "clinc-smalltalk"]
    assert [row.source for row in found["read_prompts"]] == ["fiqa"]
    assert len(found["prompts"]) == len((REPOSITORY / "tests" / "data" / "prompts.jsonl").read_text().splitlines())


# --- what is chosen ------------------------------------------------------------------------------------------------


def test_a_label_that_no_adapter_answers_is_the_base_models() -> None:
    where = read_labels.targets_of_labels(load(REPOSITORY / "config" / "config.yaml").config, LABELS)

    adapters = {"computer science": "technical", "engineering": "technical", "health": "medical", "law": "legal"}
    assert {label: where[label] for label in LABELS} == {label: adapters.get(label, BASE) for label in LABELS}


async def test_each_row_is_routed_as_a_request_of_its_own(classifier: Classifier) -> None:
    """By its ask, and by the thresholds; a category that the base model answers is the base model's."""
    made = config(category("technical"), category("medical"), category("legal", entry()))
    wrapped = (
        "Answer by the context.\n\n<context>\nThe landlord.\n</context>\n\nQuestion: Why is my blood pressure low?"
    )
    rows = [
        LabelledPrompt("Fix my Python", "one", ("computer science",)),
        LabelledPrompt("Python and a landlord?", "one", ("law", "health", "other")),
        LabelledPrompt("My landlord", "two", ("law",)),
        LabelledPrompt(wrapped, "two", ("health", "health")),
    ]

    found = await choices.chosen(made, classifier, rows)

    assert [(one.source, one.wanted, one.got) for one in found] == [
        ("one", ("technical",), "technical"),
        ("one", (BASE, "medical"), BASE),
        ("two", (BASE,), BASE),
        ("two", ("medical",), "medical"),
    ]
    assert [one.likeliest and one.likeliest[0] for one in found] == ["technical", "technical", BASE, "medical"]


def test_the_former_thresholds_are_the_fitted_ones() -> None:
    shipped = artifact.load(artifact.BUILTIN)
    former = as_before(load(REPOSITORY / "config" / "config.yaml").config, keeps_common=False)

    found = thresholds(former, shipped.manifest.labels, shipped.calibration)

    assert {name: round(found[name].value, 3) for name in ADAPTERS} == {
        "technical": 0.898,
        "medical": 0.755,
        "legal": 0.854,
    }


# --- the result ----------------------------------------------------------------------------------------------------


def test_the_result_is_of_the_weights_the_thresholds_and_the_prompts_that_ship() -> None:
    """`make bench-choices` makes it anew."""
    shipped = artifact.load(artifact.BUILTIN)
    made = load(REPOSITORY / "config" / "config.yaml").config
    found = thresholds(made, shipped.manifest.labels, shipped.calibration)

    assert RESULT["artifact"]["files"] == shipped.manifest.files
    assert RESULT["thresholds"]["shipped"] == {name: one.value for name, one in found.items()}
    prompts = (REPOSITORY / "tests" / "data" / "prompts.jsonl").read_bytes()
    assert RESULT["files"]["prompts.jsonl"] == hashlib.sha256(prompts).hexdigest()


def test_the_page_is_that_of_the_result() -> None:
    page = (REPOSITORY / "benchmarks" / "results" / "choices.md").read_text("utf-8")
    assert "\n".join(choices.rendered(RESULT)) + "\n" == page
