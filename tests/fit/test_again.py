"""`pointsman fit --again`: a head made anew from the rows beside it, on another encoder."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.manifest import Manifest
from pointsman.improve.labels_file import LabelledText, add_label
from pointsman_export.fit.main import main
from support.daemon import run_daemon
from support.process import eventually

EXAMPLE = Path(__file__).parents[2] / "export" / "examples" / "five-domains.jsonl"
ROWS = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]
RENEWED_SECONDS = 120.0
CONFIG = """
vllm_endpoints: [{name: a, address: 127.0.0.1, port: 9}]
model_config: {base: {loras: [{name: money}, {name: meals}]}}
default_model: base
classifier: {category_model: {model_id: five}}
categories:
- {name: banking, model_scores: [{model: base, lora_name: money}]}
- {name: cooking, model_scores: [{model: base, lora_name: meals}]}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`five`, a head for Spanish, too, with a precision of its own, `corrected` by ten labels, and a config."""
    folder = tmp_path_factory.mktemp("again")
    options = ("--languages", "en,es", "--precision", "0.9")
    assert main(["--data", str(EXAMPLE), "-o", str(folder / "five"), *options]) == 0
    (folder / "config.yaml").write_text(CONFIG)
    for number in range(12):
        label = ("banking", "cooking")[number % 2]
        text = f"Which of my {label} papers are number {number}?"
        add_label(folder / "labels", LabelledText(f"{number}", text, label))
    labels = ("--labelled", str(folder / "labels"), "--config", str(folder / "config.yaml"))
    assert run(*labels, "-o", str(folder / "corrected")).returncode == 0
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which it makes nicer."""
    program = "import sys; from pointsman_export.fit.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def again(head: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    config = str(head.parent / "config.yaml")
    return run("--again", str(head), "-o", str(output), "--config", config, *options)


@pytest.fixture
def changed(world: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies a head, whose manifest has another encoder, as after an upgrade, and what is `given`."""

    def copy(name: str, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
        shutil.copy(world / "config.yaml", tmp_path)
        folder = shutil.copytree(world / name, tmp_path / "old")
        own = json.loads((folder / "pointsman.json").read_text())
        own["head"]["encoder"] = "0" * 64
        change(own)
        (folder / "pointsman.json").write_text(json.dumps(own))
        return folder

    return copy


def own(folder: Path) -> Manifest:
    return artifact.read_own(folder)


def test_a_head_is_made_anew_with_its_settings_where_its_encoder_is_gone(
    world: Path, changed: Callable[..., Path], tmp_path: Path
) -> None:
    done = again(changed("five"), tmp_path / "new")

    assert done.returncode == 0, done.stderr
    before, after = own(world / "five"), artifact.load(tmp_path / "new").manifest
    assert (after.labels, after.languages) == (before.labels, ["en", "es"])
    figures = [one.verification["cross_validation"] for one in (before, after)]
    assert figures[0] == figures[1], "the same rows, precision and encoder"
    assert after.files["head.bin"] == before.files["head.bin"]
    assert after.verification["remade"] == before.files["head.bin"]
    rows = tmp_path / "new" / "rows.jsonl"
    assert [json.loads(line) for line in rows.read_text().splitlines()] == ROWS
    assert stat.S_IMODE(rows.stat().st_mode) == 0o600
    assert "150 rows" in done.stdout


def test_a_correction_has_the_rows_of_its_base_and_is_made_anew_on_top_of_them(
    world: Path, changed: Callable[..., Path], tmp_path: Path
) -> None:
    assert (world / "corrected" / "rows.jsonl").read_bytes() == (world / "five" / "rows.jsonl").read_bytes()
    assert stat.S_IMODE((world / "corrected" / "rows.jsonl").stat().st_mode) == 0o600

    done = again(changed("corrected"), tmp_path / "new", "--no-rows")

    assert done.returncode == 0, done.stderr
    after = artifact.load(tmp_path / "new")
    weights = [artifact.load(one).head for one in (world / "corrected", world / "five", tmp_path / "new")]
    assert all(one is not None for one in weights)
    same, below, new = (one.weights for one in weights if one is not None)
    np.testing.assert_allclose(new, same, atol=1e-4)
    assert np.abs(same - below).max() > 1e-2
    assert after.manifest.verification["correction"]["labelled"] == 12
    assert {"cross_validation", "remade"} < after.manifest.verification.keys()
    assert {"rows.jsonl", "labels.jsonl"}.isdisjoint(one.name for one in after.folder.iterdir())


def test_what_is_no_rows_is_not_copied_from_a_base(world: Path, changed: Callable[..., Path], tmp_path: Path) -> None:
    """As by a link to what root alone may read."""
    head = changed("five", lambda own: own["head"].update(encoder=artifact.read_manifest(artifact.BUILTIN).encoder))
    (tmp_path / "secret").write_text("root:secret\n")
    (head / "rows.jsonl").unlink()
    (head / "rows.jsonl").symlink_to(tmp_path / "secret")
    options = ("--labelled", str(world / "labels"), "--config", str(tmp_path / "config.yaml"), "--base", str(head))

    done = run(*options, "-o", str(tmp_path / "new"))

    assert (done.returncode, (tmp_path / "new").exists()) == (1, False)
    assert "rows.jsonl:1: " in done.stderr
    assert "secret" not in done.stderr


def test_a_correction_of_the_built_in_classifier_is_made_anew_by_its_labels(world: Path, tmp_path: Path) -> None:
    """Without a fit below it, it has no rows and needs none."""
    (tmp_path / "config.yaml").write_text(
        CONFIG.replace("model_id: five", "model_id: builtin")
        .replace("name: banking,", "name: banking, mmlu_categories: [economics],")
        .replace("name: cooking,", "name: cooking, mmlu_categories: [health],")
    )
    options = ("--labelled", str(world / "labels"), "--config", str(tmp_path / "config.yaml"))
    assert run(*options, "-o", str(tmp_path / "old")).returncode == 0

    done = again(tmp_path / "old", tmp_path / "new")

    assert done.returncode == 0, done.stderr
    assert own(tmp_path / "new").head == own(tmp_path / "old").head
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == sorted(
        one.name for one in (tmp_path / "old").iterdir()
    )


def refused(done: subprocess.CompletedProcess[str], folder: Path, *parts: str) -> None:
    """A failure that says all of `parts`, and left nothing."""
    assert (done.returncode, done.stdout) == (1, "")
    message = "\n".join(line for line in done.stderr.splitlines() if not line.endswith(" …"))
    assert message.startswith("pointsman fit: ")
    assert [part for part in parts if part not in message] == []
    assert sorted(one.name for one in folder.iterdir()) == ["config.yaml", "old"]


@pytest.mark.parametrize("name", ["rows.jsonl", "labels.jsonl"])
def test_without_rows_or_labels_it_is_refused(changed: Callable[..., Path], tmp_path: Path, name: str) -> None:
    head = changed("corrected")
    (head / name).unlink()

    refused(again(head, tmp_path / "new"), tmp_path, str(head), f"no {name}", "--no-rows", "--data or --labelled")


def was(accuracy: float) -> Callable[[dict[str, Any]], object]:
    """Says in the manifest how good a head was."""
    return lambda own: own["verification"]["cross_validation"].update(accuracy=accuracy)


def test_one_that_is_worse_by_more_than_two_hundredths_is_refused_with_both_figures(
    world: Path, changed: Callable[..., Path], tmp_path: Path
) -> None:
    now = own(world / "five").verification["cross_validation"]["accuracy"]

    refused(
        again(changed("five", was(now + 0.021)), tmp_path / "new"), tmp_path, f"{now:.3f} instead of {now + 0.021:.3f}"
    )

    shutil.rmtree(tmp_path / "old")
    assert again(changed("five", was(now + 0.02)), tmp_path / "new").returncode == 0


def test_a_correction_that_is_worse_on_its_labels_is_refused(changed: Callable[..., Path], tmp_path: Path) -> None:
    head = changed("corrected", lambda own: own["verification"]["correction"].update(right_after=14))

    refused(again(head, tmp_path / "new"), tmp_path, "share of right labeled texts", "instead of 1.167")


def test_what_is_no_head_or_says_not_how_good_it_is_is_refused(changed: Callable[..., Path], tmp_path: Path) -> None:
    head = changed("five", lambda own: own["verification"].pop("cross_validation"))

    refused(again(head, tmp_path / "new"), tmp_path, "does not say how good it is")
    refused(run("--again", "builtin", "-o", str(tmp_path / "new")), tmp_path, "is no head", "nothing to make anew")


def test_a_correction_of_other_labels_than_the_new_bases_is_refused(
    changed: Callable[..., Path], tmp_path: Path
) -> None:
    """A later built-in classifier may have others."""

    def change(own: dict[str, Any]) -> None:
        own["head"]["added"] = True

    refused(again(changed("corrected", change), tmp_path / "new"), tmp_path, "corrects other labels than those of")


async def test_after_an_upgrade_the_service_makes_its_head_anew_once_and_it_serves(
    world: Path, changed: Callable[..., Path], tmp_path: Path
) -> None:
    former = json.loads((artifact.BUILTIN / "pointsman.json").read_text())
    former["features"]["recipe"] += ", of a former release"
    shutil.copytree(artifact.BUILTIN, tmp_path / "kept")
    (tmp_path / "kept" / "pointsman.json").write_text(json.dumps(former))
    encoder = own(tmp_path / "kept").encoder or ""
    (tmp_path / "state" / "encoders").mkdir(parents=True)
    (tmp_path / "kept").rename(tmp_path / "state" / "encoders" / encoder[:16])
    head = changed("five", lambda own: own["head"].update(encoder=encoder))
    config = CONFIG.replace("model_id: five", f"model_id: {head}")

    async with run_daemon(config, tmp_path, env={"STATE_DIRECTORY": str(tmp_path / "state")}) as daemon:
        await daemon.logged("improve", command="fit", state="done", timeout_s=RENEWED_SECONDS)
        await daemon.logged("reload", trigger=["classifier promote"], result="applied")
        await eventually(lambda: "made anew from the rows" in daemon.log_text(), "it says so")
        lines = [line["event"] for line in daemon.log_lines()]

    assert lines.count("improve") == 1
    [made] = (tmp_path / "state" / "improve" / "artifacts").iterdir()
    assert own(made).encoder == own(artifact.BUILTIN).encoder
    assert (made / "rows.jsonl").read_bytes() == (head / "rows.jsonl").read_bytes()
