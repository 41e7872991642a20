"""What another classifier or threshold changes for the requests of a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.calibration import encode
from pointsman.classify.classification import text_key
from pointsman.classify.manifest import CALIBRATION, MODEL, TOKENIZER
from pointsman.config.model import Config, RoutingOptions
from pointsman.errors import EvaluationError
from pointsman.evaluation import replay
from pointsman.evaluation.provenance import file_id, provenance
from pointsman.evaluation.replay import ExampleTexts, LoggedDecision, Replay, ReplayDecider
from support import toy_artifact
from support.config_files import LABELS
from support.toy_config import BASE, config

LAW, HEALTH = LABELS.index("law"), LABELS.index("health")


def line(text_hash: str = "a", category: str | None = "legal", model: str = "legal-lora") -> LoggedDecision:
    return LoggedDecision("routing_decision", text_hash, model, category)


def judge(
    folder: Path,
    rows: Sequence[tuple[int, float]],
    made: Config | None = None,
    name: str = "toy",
    foreign: Sequence[int] = (),
) -> ReplayDecider:
    """Rows as a label and its probability; the others share the rest. Those at `foreign` are in another language."""
    probabilities = np.array([[(1 - p) / 13] * 14 for _, p in rows])
    for row, (label, p) in zip(probabilities, rows, strict=True):
        row[label] = p
    supported = np.array([index not in foreign for index in range(len(rows))])
    return ReplayDecider(name, artifact.load(folder), made, probabilities, supported)


@pytest.fixture
def compared(toy_folder: Path, tmp_path: Path) -> Replay:
    """Three requests of the toy config, two with one text; from 0.6 to 0.8."""
    (tmp_path / "log").touch()
    made = judge(toy_folder, [(LAW, 0.7), (LAW, 0.7), (HEALTH, 0.9)], config())
    lines = [line("a"), line("a"), line("b", None, BASE)]
    origin = provenance(artifact.load(toy_folder), file_id(tmp_path / "log"), None)
    before = made.side(0.6)
    return replay.compare(lines, 5, before, made.side(0.8), replay.swept(before, made), origin)


# --- what is read ----------------------------------------------------------------------------------------------


def test_only_decisions_with_a_hash_are_read_of_a_log(tmp_path: Path) -> None:
    """Other events, decisions that were not classified, and what is no JSON are skipped."""
    decision = {
        "event": "routing_decision",
        "text_hash": "ff",
        "category": "law",
        "selected_model": "m",
        "ms": {"total": 1},
    }
    others = [{"event": "ready"}, {"event": "routing_decision"}, {"event": "request", "text_hash": "aa"}, [1], "x"]
    path = tmp_path / "log"
    path.write_text("\n".join(["Traceback (most recent call last):", *map(json.dumps, [*others, decision]), ""]))

    assert replay.read_log([path]) == [LoggedDecision("routing_decision", "ff", "m", "law")]


def test_a_log_without_hashes_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"event": "ready"}\n')
    with pytest.raises(EvaluationError, match="no routing_decision with a text_hash"):
        replay.read_log([tmp_path / "log"])


def test_a_text_without_a_hash_is_hashed_as_the_service_does(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text('{"hash": "ab", "text": "x"}\n{"text": "grüße"}\n', "utf-8")

    assert replay.read_texts(tmp_path / "texts") == {"ab": "x", text_key("grüße").hex(): "grüße"}


# --- what changes ----------------------------------------------------------------------------------------------


def test_each_request_counts_however_often_its_text_came(compared: Replay) -> None:
    assert (compared.logged, compared.texts) == (5, 2)
    assert (compared.changed.part, compared.changed.whole) == (2, 3)
    assert compared.matrix == {"legal": {"(none)": 2}, "medical": {"medical": 1}}
    assert compared.other_model is not None
    assert compared.other_model.part == 2


def test_what_the_log_says_otherwise_is_told(compared: Replay) -> None:
    assert compared.as_logged is not None
    assert (compared.as_logged.part, compared.as_logged.whole) == (2, 3)


def test_the_sweep_counts_what_is_sure_and_what_changes_against_before(compared: Replay) -> None:
    steps = {step.threshold: (step.sure, step.changed) for step in compared.sweep}

    assert (steps[0.0], steps[0.6]) == ((1.0, 0.0), (1.0, 0.0))
    assert steps[0.8] == pytest.approx((1 / 3, 2 / 3))
    assert steps[1.0] == (0.0, 1.0)


def test_a_categorys_own_threshold_holds_at_any_common_one(tmp_path: Path) -> None:
    """That of the config is not moved, and one that is fitted does not go below the common one."""
    said = np.full((100, 14), 0.0)
    said[:, HEALTH], said[:, LABELS.index("other")] = np.repeat([0.9, 0.7], 50), np.repeat([0.1, 0.3], 50)
    rows = encode(said, np.repeat([HEALTH, LAW], 50))
    contents = {MODEL: toy_artifact.model(), TOKENIZER: toy_artifact.tokenizer(), CALIBRATION: rows}
    folder = toy_artifact.build(tmp_path / "artifact", contents)
    made = config(routing=RoutingOptions(precision=0.95, thresholds={"legal": 0.5}))
    found = judge(folder, [(LAW, 0.55), (HEALTH, 0.85), (HEALTH, 0.92), (HEALTH, 0.97)], made)

    decided = {lower: found.side(lower).chosen for lower in (0.0, 0.6, 0.95)}
    assert decided == {
        0.0: ["legal", "(none)", "medical", "medical"],
        0.6: ["legal", "(none)", "medical", "medical"],
        0.95: ["legal", "(none)", "(none)", "medical"],
    }
    assert found.sure(0.6).tolist() == [True, False, True, True]


def test_without_a_config_an_unsure_label_is_unsure(toy_folder: Path) -> None:
    side = judge(toy_folder, [(LAW, 0.7), (HEALTH, 0.5)]).side(0.6)

    assert (side.chosen, side.models) == (["law", "(unsure)"], None)


def test_a_judge_has_the_configs_threshold(toy_folder: Path) -> None:
    """Without a config, the artifact's, and without that the config's default."""
    assert judge(toy_folder, [(LAW, 0.7)], config(threshold=0.3)).threshold == 0.3
    assert judge(toy_folder, [(LAW, 0.7)]).threshold == 0.5


def test_against_the_log_its_models_count(toy_folder: Path, tmp_path: Path) -> None:
    """A request whose adapter was missing got another model than it would get."""
    (tmp_path / "log").touch()
    lines = [line(model=BASE), line(), line(category=None, model=BASE)]
    made = judge(toy_folder, [(LAW, 0.9)] * 3, config())
    origin = provenance(artifact.load(toy_folder), file_id(tmp_path / "log"), None)

    found = replay.compare(lines, 3, replay.as_logged(lines), made.side(0.6), [], origin)

    assert (found.changed.part, found.other_model and found.other_model.part, found.as_logged) == (1, 2, None)


def test_the_table_has_shares_switches_and_sweep(compared: Replay) -> None:
    text = replay.render(compared, [ExampleTexts("legal", "(none)", 2, ("May I sublet?",))])

    for expected in (
        "log: 5 decisions, 3 decided again (2 texts)",
        "from toy at 0.60 to toy at 0.80",
        "changed      66.7 %",
        "legal  (none)         2  66.7 %\n    May I sublet?\n",
        "     0.80   33.3 %   66.7 %",
    ):
        assert expected in text


def test_a_text_in_another_language_is_decided_as_in_the_service(toy_folder: Path) -> None:
    """With a config it gets the fallback, without one it is unsure, whatever its probabilities and the threshold."""
    rows = [(LAW, 0.9), (LAW, 0.9)]
    assert judge(toy_folder, rows, config(), foreign=[1]).side(0.0).chosen == ["legal", "(none)"]
    made = judge(toy_folder, rows, foreign=[1])
    assert made.side(0.0).chosen == ["law", replay.UNSURE]
    assert made.sure(0.0).tolist() == [True, False]
