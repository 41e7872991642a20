"""What is said of a config's thresholds, and what keeps the routes of before they were the operator's."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.app.prepare import prepare
from pointsman.classify import artifact
from pointsman.cli.check import check
from pointsman.config.load import LoadedConfig
from pointsman.config.model import Config
from pointsman.errors import ConfigError, Problem
from pointsman.routing.policy import Policy
from pointsman.routing.threshold_problems import former, problems, remember_notified, was_notified
from pointsman.routing.thresholds import thresholds
from support import toy_artifact
from support.config_files import MINIMAL, category, loaded, plain, write
from support.config_files import problems as problems_of

BUILTIN = artifact.read_manifest(artifact.BUILTIN)
ROWS = artifact.read_calibration(artifact.BUILTIN, BUILTIN)
CATEGORIES = "categories:\n" + "".join(
    category(name, f"labels: [{labels}]").replace("model: base", f"model: base\n        lora_name: {lora}")
    for name, labels, lora in (
        ("technical", "computer science, engineering", "code-lora"),
        ("legal", "law", "law-lora"),
    )
)
TEXT = MINIMAL + CATEGORIES + category("general")


def common(threshold: float) -> str:
    return f"classifier: {{category_model: {{threshold: {threshold}}}}}\n"


def warning_for(made: LoadedConfig) -> Problem | None:
    return former(made, BUILTIN.labels, ROWS)


def to_set(problem: Problem) -> dict[str, Any]:
    """The values that the warning says to set, by their paths."""
    found = {}
    for path, value in re.findall(r"`([\w.]+)` to (`\{.*?\}`|[\d.]+)(?: and|,| to keep)", problem.fix):
        found[path] = plain(value.strip("`"))
    return found


def nested(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same as a config has them."""
    made: dict[str, Any] = {}
    for path, value in found.items():
        *keys, last = path.split(".")
        inner = made
        for key in keys:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return made


def read_before(config: Config, threshold: float) -> Config:
    """The config as it was read when thresholds were fitted unasked."""
    model = dataclasses.replace(config.classifier.category_model, threshold=threshold)
    routing = dataclasses.replace(config.pointsman.routing, precision=0.95)
    return dataclasses.replace(
        config,
        classifier=dataclasses.replace(config.classifier, category_model=model),
        pointsman=dataclasses.replace(config.pointsman, routing=routing),
    )


def routes(config: Config) -> list[str | None]:
    """The category of each calibration row of the built-in classifier."""
    assert ROWS is not None
    policy = Policy(config, BUILTIN.labels, calibration=ROWS)
    return [policy.choose(row).category for row in ROWS.probabilities.tolist()]


@pytest.mark.parametrize(("given", "before"), [("", 0.6), (common(0.6), 0.6), (common(0.5), 0.5), (common(0.9), 0.9)])
def test_with_the_lines_of_the_warning_each_row_goes_where_it_went_before(
    tmp_path: Path, given: str, before: float
) -> None:
    """A config without a threshold had 0.6."""
    made = loaded(tmp_path, TEXT + given)
    found = warning_for(made)
    assert found is not None
    again = nested(to_set(found))
    text = TEXT + ("" if "classifier" in again else given) + yaml.safe_dump(again, allow_unicode=True)

    repeated = loaded(tmp_path, text)

    was = routes(read_before(made.config, before))
    assert routes(repeated.config) == was != routes(made.config)
    assert warning_for(repeated) is None


def test_the_warning_has_the_numbers_of_before_and_the_line_of_the_threshold(tmp_path: Path) -> None:
    made = warning_for(loaded(tmp_path, TEXT + common(0.5)))
    assert made is not None
    assert made.line == TEXT.count("\n") + 1
    assert to_set(made) == {"pointsman.routing.thresholds": {"technical": 0.8982, "legal": 0.8544}}
    assert "0.5 is now the threshold of each category, where higher ones were fitted before" in made.message


@pytest.mark.parametrize(
    "given",
    ["{thresholds: {legal: 0.7}}", "{thresholds: {}}", "{precision: 0.9}", "{precision: null}"],
)
def test_who_has_set_thresholds_or_a_precision_is_told_nothing(tmp_path: Path, given: str) -> None:
    assert warning_for(loaded(tmp_path, f"{TEXT}pointsman: {{routing: {given}}}\n")) is None


def test_where_nothing_is_different_nothing_is_told(tmp_path: Path) -> None:
    """Without calibration rows a stated threshold was each category's."""
    made = loaded(tmp_path, TEXT + common(0.6))
    assert former(made, BUILTIN.labels, None) is None


def test_where_no_adapter_depends_on_it_nothing_is_told(tmp_path: Path) -> None:
    assert warning_for(loaded(tmp_path, MINIMAL + "categories:\n" + category("general"))) is None


def test_where_only_the_default_is_another_the_warning_says_that(tmp_path: Path) -> None:
    found = former(loaded(tmp_path, TEXT), BUILTIN.labels, None)
    assert found is not None
    assert to_set(found) == {"classifier.category_model.threshold": 0.6}
    assert "where 0.6 was the default before" in found.message


@pytest.mark.parametrize("name", ["no", "null: {a}", "on", "1", "😀 é", "a, b", "'quoted'"])
def test_a_name_of_any_category_can_be_set_as_the_warning_writes_it(tmp_path: Path, name: str) -> None:
    written = TEXT.replace("name: technical", f"name: {json.dumps(name, ensure_ascii=False)}")
    made = warning_for(loaded(tmp_path, written + common(0.5)))
    assert made is not None
    text = written + common(0.5) + yaml.safe_dump(nested(to_set(made)), allow_unicode=True)
    assert dict(loaded(tmp_path, text).config.pointsman.routing.thresholds) == {name: 0.8982, "legal": 0.8544}


def test_check_warns_until_the_state_directory_remembers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    path = write(tmp_path, TEXT)

    def warned() -> bool:
        out = io.StringIO()
        assert check(path, out) == 0
        return "is now the threshold of each category" in out.getvalue()

    assert [warned(), warned()] == [True, True]
    assert not was_notified(tmp_path)
    remember_notified(tmp_path)
    assert not warned()


def test_a_state_directory_that_cannot_be_read_has_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the service, for a user who is not of its group."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, refused)
    assert not was_notified(Path("/nowhere"))


def test_a_start_and_a_reload_tell_what_check_warns_of(tmp_path: Path) -> None:
    toy_artifact.build_measured(tmp_path / "artifact")
    model = "classifier: {category_model: {model_id: artifact, threshold: 0.5}}\n"
    own = "pointsman: {routing: {precision: 0.9, thresholds: {general: 0.9}}}\n"
    made = prepare(write(tmp_path, TEXT + model + own))
    try:
        assert [one.partition("pointsman.routing.")[2].partition(":")[0] for one in made.warnings] == [
            "precision",
            "thresholds.general",
        ]
        assert made.former is None
    finally:
        made.classifier.encoder.close()


# --- what is asked for and not given ---------------------------------------------------------------------------


def said(made: LoadedConfig, *, calibrated: bool = True) -> Iterator[Problem]:
    rows = ROWS if calibrated else None
    return problems(made, thresholds(made.config, BUILTIN.labels, rows), rows)


def test_a_precision_without_calibration_rows_is_told_with_its_line(tmp_path: Path) -> None:
    made = loaded(tmp_path, TEXT + "pointsman:\n  routing:\n    precision: 0.9\n")
    (found,) = said(made, calibrated=False)
    assert (found.path, found.line) == ("pointsman.routing.precision", TEXT.count("\n") + 3)
    assert "no calibration rows" in found.message
    assert "export --calibrate" in found.fix


def test_a_threshold_of_a_category_without_an_adapter_is_told(tmp_path: Path) -> None:
    made = loaded(tmp_path, TEXT + "pointsman:\n  routing:\n    thresholds:\n      general: 0.9\n      legal: 0.9\n")
    (found,) = said(made)
    assert (found.path, found.line) == ("pointsman.routing.thresholds.general", TEXT.count("\n") + 4)
    assert "the same model below it" in found.message


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("{precision: 1.5}", "pointsman.routing.precision"),
        ("{precision: -0.1}", "pointsman.routing.precision"),
        ("{precision: high}", "pointsman.routing.precision"),
        ("{thresholds: {legal: 1.01}}", "pointsman.routing.thresholds.legal"),
        ("{thresholds: {lgal: 0.5}}", "pointsman.routing.thresholds.lgal"),
    ],
)
def test_what_cannot_be_is_an_error_with_line_and_remedy(tmp_path: Path, given: str, path: str) -> None:
    (found,) = problems_of(tmp_path, f"{TEXT}pointsman: {{routing: {given}}}\n")
    assert (found.path, found.line) == (path, TEXT.count("\n") + 1)
    assert found.fix


def test_a_threshold_beyond_1_is_refused_for_all_categories(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        loaded(tmp_path, TEXT + common(1.2))
