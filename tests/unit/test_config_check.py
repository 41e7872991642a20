"""`pointsman check`: what it prints and when it fails."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from pointsman.app.prepare import prepare
from pointsman.classify.calibration import encode
from pointsman.classify.manifest import CALIBRATION, MODEL, TOKENIZER
from pointsman.cli.check import check as run
from pointsman.errors import ConfigError
from support import toy_artifact
from support.config_files import LABELS, MINIMAL, category, write, write_manifest


def checked(folder: Path, text: str) -> tuple[int, str]:
    out = io.StringIO()
    code = run(write(folder, text), out)
    return code, out.getvalue()


MODEL_ID = "classifier: {category_model: {model_id: artifact, threshold: 0.4}}\n"
HALF = "classifier: {category_model: {model_id: artifact, threshold: 0.5}}\n"


def test_a_good_file_shows_who_answers_what(tmp_path: Path) -> None:
    """Each category with its labels and models in the order in which they are asked, then the default."""
    write_manifest(tmp_path / "artifact", ("health", "law", "other"))
    law = category("law").replace(
        "      - model: base\n",
        "      - {model: base, score: 0.5, use_reasoning: false}\n      - model: base\n        lora_name: law-lora\n",
    )
    code, out = checked(tmp_path, MINIMAL + HALF + "categories:\n" + law + category("health"))

    assert code == 0
    assert out.splitlines() == [
        (
            f"warning: {tmp_path}/config.yaml:7: model_config.base.loras: no category names code-lora: no prompt is "
            "routed there; `pointsman init --add` writes a category for each"
        ),
        (
            f"warning: {tmp_path}/config.yaml:12: categories: no category covers other: such prompts go to base; "
            "add them to mmlu_categories of a category, or add a category named general"
        ),
        f"{tmp_path}/config.yaml: the service can start",
        "",
        "category  labels                     answered by",
        "law       law                        law-lora (on base), else base",
        "health    health                     base",
        "(none)    other                      base",
        "(unsure)  score below its threshold  base",
    ]


def test_adapters_that_no_decision_can_choose_are_a_warning(tmp_path: Path) -> None:
    """A rule, a trial or the default may choose them as well as a category; of many some are named."""
    write_manifest(tmp_path / "artifact")
    loras = "".join(f"      - name: l{number}\n" for number in range(15))
    text = MINIMAL.replace("default_model: base", f"{loras}default_model: l0") + HALF
    text += "categories:\n" + category("law").replace("- model: base", "- model: base\n        lora_name: law-lora")
    routing = (
        "rules: [{name: r, adapter: code-lora, images: true}], categories: {law: {canary: {adapter: l1, percent: 1}}}"
    )
    code, out = checked(tmp_path, f"{text}pointsman: {{routing: {{{routing}}}}}\n")
    assert code == 0
    (warned,) = [line for line in out.splitlines() if "no category names" in line]
    names = ", ".join(f"l{number}" for number in range(2, 12))
    assert f"model_config.base.loras: no category names {names} and 3 more: no prompt is routed there; " in warned


def test_a_classifier_that_cannot_run_on_this_host_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the config's providers in their order, or those of `use_cpu`; and what to install is told."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    write_manifest(tmp_path / "gpu", target="gpu")
    write_manifest(tmp_path / "vino", target="openvino")
    for model, options, expected in (
        ("gpu", "providers: [cuda]", "ONNX Runtime has no CUDAExecutionProvider: "),
        ("gpu", "providers: [cuda, cpu]", ""),
        ("builtin", "providers: [cuda]", "export its checkpoint with --target gpu"),
        ("vino", "", "install pointsman[openvino]"),
        ("vino", "providers: [cpu]", "the classifier was exported for OpenVINO"),
        ("builtin", "", ""),
    ):
        text = f"classifier: {{category_model: {{model_id: {model}, threshold: 0.4}}}}\n"
        code, out = checked(tmp_path, f"{MINIMAL}{text}pointsman: {{classifier: {{{options}}}}}\n")
        assert code == 0
        warned = [line for line in out.splitlines() if "does not start on this host" in line]
        assert [expected in line for line in warned] == [True] * bool(expected), out


def test_the_fallback_category_answers_the_unsure(tmp_path: Path) -> None:
    """In place of default_model."""
    write_manifest(tmp_path / "artifact")
    model = HALF.replace("threshold: 0.5", "fallback_category: general")
    code, out = checked(tmp_path, MINIMAL + model + "categories:\n" + category("general"))

    assert code == 0
    assert out.splitlines()[-1].split() == [*["(unsure)", "score", "below", "its", "threshold", "category", "general"]]


ROLLOUT = "pointsman: {routing: {mode: percent, percent: 10, categories: {law: {mode: on}, health: {mode: shadow}}}}\n"


def test_the_shares_are_shown_as_they_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what commands have set, which is in the state directory."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    write_manifest(tmp_path / "artifact", ("health", "law", "history"))
    text = MINIMAL + HALF + "categories:\n" + "".join(map(category, ("law", "health", "history"))) + ROLLOUT

    code, out = checked(tmp_path, text)
    assert code == 0
    assert out.splitlines()[-3:] == [
        "law: 100 % of the conversations are routed",
        "health: in shadow, base answers",
        "history: 10 % of the conversations are routed",
    ]

    (tmp_path / "overlay.json").write_text('{"version": 1, "mode": "off"}')
    code, out = checked(tmp_path, text)
    assert code == 0
    assert out.splitlines()[-2:] == [
        f"set by `pointsman mode`, in {tmp_path}: off",
        "nothing is routed (mode off): base answers everything",
    ]

    (tmp_path / "overlay.json").write_text("{")
    code, out = checked(tmp_path, text)
    assert code == 0
    assert f"{tmp_path}/overlay.json cannot be read" in out


def test_errors_of_the_file_are_all_printed(tmp_path: Path) -> None:
    """One line each, and how many."""
    code, out = checked(tmp_path, MINIMAL + "colour: red\nauto_model_name: 1\n")

    assert code == 1
    assert out.splitlines() == [
        (
            f"error: {tmp_path}/config.yaml:11: colour: unknown key; remove it; the keys here are: classifier, "
            "vllm_endpoints, model_config, default_model, categories, reasoning_families, default_reasoning_effort, "
            "auto_model_name, include_config_models_in_list, pointsman"
        ),
        f'error: {tmp_path}/config.yaml:12: auto_model_name: expected text, found the number 1; put it in quotes: "1"',
        "2 errors: the service would not start",
    ]


def test_errors_and_warnings_of_the_labels_are_printed(tmp_path: Path) -> None:
    """The labels come from the artifact's manifest, which is found beside the config."""
    write_manifest(tmp_path / "artifact", ("law", "other"))
    text = MINIMAL + HALF + "tools: {}\ncategories:\n" + category("x", "labels: [laws]") + category("general")
    code, out = checked(tmp_path, text)
    error, _, warning, count = out.splitlines()

    assert code == 1
    assert error.endswith('categories[0].labels[0]: the classifier has no label "laws"; did you mean law?')
    assert warning.startswith("warning: ")
    assert count == "1 error: the service would not start"


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("categories:\n" + category("x", "labels: [laws]"), 'the classifier has no label "laws"'),
        ("pointsman: {access: {keys_file: keys}}\n", "/keys:1: "),
    ],
)
def test_with_errors_of_the_labels_or_the_keys_the_service_does_not_start(
    toy_folder: Path, tmp_path: Path, added: str, says: str
) -> None:
    (tmp_path / "keys").write_text("{}\n")
    with pytest.raises(ConfigError, match=says):
        prepare(write(tmp_path, MINIMAL + HALF.replace("artifact", str(toy_folder)) + added))


def test_a_classifier_that_is_not_there_is_an_error_at_model_id(tmp_path: Path) -> None:
    """With the artifact's own fix, and the warnings that need no labels."""
    code, out = checked(tmp_path, MINIMAL + HALF + "tools: {}\n")
    error, warning, count = out.splitlines()

    assert code == 1
    assert error.startswith(f"error: {tmp_path}/config.yaml:11: classifier.category_model.model_id: ")
    assert "no such folder; set model_id to an exported artifact's folder" in error
    assert "tools" in warning
    assert count == "1 error: the service would not start"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """Not a traceback."""
    out = io.StringIO()

    assert run(tmp_path / "nowhere.yaml", out) == 1
    assert out.getvalue().splitlines()[0] == (
        f"error: {tmp_path}/nowhere.yaml: no such file; check the path, or write one with `pointsman init`"
    )


# --- thresholds ------------------------------------------------------------------------------------------------


def calibrated(folder: Path, *said: tuple[str, float, str, int]) -> None:
    """An artifact with rows: the likeliest label, its probability (`other` has the rest), the true label, how many."""
    rows, truth = [], []
    for likeliest, share, label, count in said:
        row = np.zeros(len(LABELS))
        row[LABELS.index("other")] = 1 - share
        row[LABELS.index(likeliest)] += share
        rows += [row] * count
        truth += [LABELS.index(label)] * count
    contents = {MODEL: b"", TOKENIZER: b"", CALIBRATION: encode(np.array(rows), np.array(truth))}
    toy_artifact.build(folder, contents)


def adapter(name: str) -> str:
    return category(name).replace("model: base\n", "model: base\n        lora_name: law-lora\n")


def test_each_threshold_is_shown_with_both_errors_in_use_and_at_a_precision_of_95_of_100(tmp_path: Path) -> None:
    """With Wilson's intervals: the share of the category's own rows that reach it, and that of the right among all that
    do. A warning says which is not precise; too few rows to know are none.
    """
    calibrated(
        tmp_path / "artifact",
        ("law", 1.0, "law", 50),
        ("law", 0.5, "other", 50),
        ("health", 1.0, "health", 40),
        ("health", 1.0, "law", 40),
        ("math", 1.0, "math", 10),
        ("history", 1.0, "history", 40),
        ("biology", 1.0, "biology", 60),
    )
    names = ("law", "health", "math", "history")
    text = MINIMAL + MODEL_ID + "categories:\n" + "".join(map(adapter, names)) + category("biology")
    own = "pointsman: {routing: {thresholds: {history: 0.25}%s}}\n"
    every = "100 % ({} to 100) of {}".format
    ten, forty = every(72, 10), every(91, 40)
    stated = [f"0.9999 56 % (45 to 65) of 90 {every(93, 50)}", f"0.4 (not reached) {forty} 50 % (39 to 61) of 80"]

    code, out = checked(tmp_path, text + own % "")
    assert code == 0
    assert "no threshold gives" not in out
    head, *rows = out.split("\n\n")[-1].splitlines()
    assert " ".join(head.split()) == "category threshold reach precision by at precision 0.95: reach precision"
    assert [" ".join(row.split()) for row in rows[:4]] == [
        f"law 0.4 56 % (45 to 65) of 90 50 % (40 to 60) of 100 category_model.threshold {stated[0]}",
        f"health 0.4 {forty} 50 % (39 to 61) of 80 category_model.threshold {stated[1]}",
        f"math 0.4 {ten} {ten} category_model.threshold 0.4 (too few rows) {ten} {ten}",
        f"history 0.25 {forty} {forty} routing.thresholds 0.4 {forty} {forty}",
    ]

    code, out = checked(tmp_path, text + own % ", precision: 0.95")
    assert code == 0
    assert (
        f'{tmp_path}/config.yaml:18: categories[1]: no threshold gives "health" a precision of 0.95 on the calibration '
        "rows; the most precise one, 0.4, is used; set another in pointsman.routing.thresholds (health: 1 chooses it "
        "only when certain), or calibrate anew\n"
    ) in out
    rows = [" ".join(row.split()) for row in out.split("\n\n")[-1].splitlines()[1:]]
    assert rows[:2] == [
        f"law {stated[0]} routing.precision {stated[0]}",
        f"health 0.4 {stated[1].partition(') ')[2]} routing.precision is not reached {stated[1]}",
    ]
    assert " category_model.threshold: too few rows for routing.precision " in rows[2]
    assert " routing.thresholds " in rows[3]


def test_without_calibration_rows_the_configs_own_thresholds_are_shown(tmp_path: Path) -> None:
    write_manifest(tmp_path / "artifact")
    text = MINIMAL + MODEL_ID + "categories:\n" + adapter("law") + adapter("health")
    _, plain = checked(tmp_path, text)
    _, out = checked(tmp_path, text + "pointsman: {routing: {thresholds: {law: 0.8}}}\n")

    assert "routing.thresholds" not in plain
    assert [row.split()[:5] for row in out.splitlines()[-2:]] == [
        ["law", "0.8", "-", "-", "routing.thresholds"],
        ["health", "0.4", "-", "-", "category_model.threshold"],
    ]


def test_calibration_rows_that_the_service_would_refuse_are_an_error(tmp_path: Path) -> None:
    calibrated(tmp_path / "artifact", ("law", 1.0, "law", 50))
    (tmp_path / "artifact" / CALIBRATION).write_bytes(b"other rows")
    code, out = checked(tmp_path, MINIMAL + MODEL_ID)

    assert code == 1
    assert "classifier.category_model.model_id: " in out
    assert f"{CALIBRATION}: SHA-256 is " in out
