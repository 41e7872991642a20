"""`pointsman fit` from end to end, on the built-in artifact and the five domains of the example."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pointsman.app.prepare import prepare
from pointsman.classify import artifact, linear_head
from pointsman.classify.engine import Engine
from pointsman.classify.manifest import Manifest, WeightsSource
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.cli.main import main as pointsman
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError
from pointsman_export.common import destination, heads
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.fit.main import main
from pointsman_export.fit.progress import Progress
from support import toy_artifact
from support.classifiers import opened
from support.export import Export, Outcome

EXAMPLE = Path(__file__).parents[2] / "export" / "examples" / "five-domains.jsonl"
LABELS = ["banking", "cooking", "home devices", "travel", "work"]

ROWS = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of the example; not to be changed."""
    folder = tmp_path_factory.mktemp("fitted") / "five"
    assert main(["--data", str(EXAMPLE), "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def manifest(fitted: Path) -> Manifest:
    return artifact.load(fitted).manifest


def scores(folder: Path, texts: list[str], *, together: bool = True) -> np.ndarray:
    """What the daemon's engine gives, in one call or one by one."""
    loaded = artifact.load(folder)
    encoded = Tokenizer(loaded.tokenizer_path).encode(texts, TextWindow(loaded.manifest.max_tokens, 0.5))
    engine = Engine(loaded, ["cpu"])
    prompts = [item.ids for item in encoded]
    return engine.run(prompts) if together else np.concatenate([engine.run([prompt]) for prompt in prompts])


def refused(outcome: Outcome, *parts: str) -> None:
    """A failure that says all of `parts` and left neither the folder nor a temporary one."""
    assert (outcome.code, outcome.out, outcome.left) == (1, "", [])
    assert outcome.message.startswith("pointsman fit: ")
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in outcome.message


# --- the artifact ----------------------------------------------------------------------------------------------


def test_accuracy_of_the_five_domains(manifest: Manifest) -> None:
    """What cross-validation gives, a little under what was measured (0.86, mean of ten splits)."""
    found = manifest.verification["cross_validation"]

    assert found["accuracy"] >= 0.80
    assert found["interval_95"][0] < found["accuracy"] < found["interval_95"][1]
    assert found["macro_f1"] >= 0.80
    assert np.array(found["confusion"]["counts"]).sum() == found["rows"] == len(ROWS)


def test_known_answers_are_stored_and_hold(fitted: Path, tmp_path: Path) -> None:
    """With them the daemon proves the artifact: on this host it answers as it did here."""
    known = artifact.load(fitted).manifest.known_answers
    assert len(known) == 4
    assert len({tuple(answer.probabilities) for answer in known}) == 4
    changed = shutil.copytree(fitted, tmp_path / "changed") / "pointsman.json"
    with opened(artifact.load(changed.parent), ClassifierOptions(threads=2)):
        pass

    first = known[0].probabilities
    changed.write_text(
        changed.read_text()
        .replace(f"{max(first)}", f"{max(first) - 0.06:.6f}", 1)
        .replace(f"{min(first)}", f"{min(first) + 0.06:.6f}", 1)
    )
    with pytest.raises(ArtifactError, match="when it was exported"):
        opened(artifact.load(changed.parent), ClassifierOptions(threads=1)).__enter__()


def test_the_manifest_describes_the_new_artifact(manifest: Manifest) -> None:
    """New labels and calibration; the base's form; the base's name and hash as the source."""
    base = artifact.load(artifact.BUILTIN).manifest

    assert manifest.labels == LABELS
    assert 0.2 <= manifest.temperature <= 5
    assert manifest.suggested_threshold is None or 0.2 < manifest.suggested_threshold < 1
    assert manifest.source == WeightsSource(name=f"fit of {base.source.name}", sha256=base.files["model.onnx"])
    assert base.training is not None
    assert manifest.training is None, "that of the base does not make these weights"
    assert (manifest.max_tokens, manifest.precision, manifest.opset) == (base.max_tokens, base.precision, base.opset)
    assert (manifest.inputs, manifest.output) == (base.inputs, base.output)


def test_the_calibration_rows_are_those_of_the_data_by_heads_that_did_not_see_them(
    fitted: Path, manifest: Manifest
) -> None:
    """As right as cross-validation says; the new head itself is right about nearly all of them."""
    rows = artifact.load(fitted).calibration

    assert rows is not None
    assert [LABELS[label] for label in rows.truth] == [row["label"] for row in ROWS]
    right = (rows.probabilities.argmax(axis=1) == rows.truth).mean()
    assert right == pytest.approx(manifest.verification["cross_validation"]["accuracy"], abs=0.05)
    own = scores(fitted, [row["text"] for row in ROWS]).argmax(axis=1) == rows.truth
    assert own.mean() > right + 0.05


FILES = ["calibration.bin", "fitted_rows.bin", "head.bin", "pointsman.json"]


def test_the_rows_are_beside_the_head_for_its_owner_alone_and_can_be_deleted(fitted: Path, tmp_path: Path) -> None:
    """No other file has a text; nothing that serves needs the rows."""
    assert sorted(path.name for path in fitted.iterdir()) == [*FILES, "rows.jsonl"]
    rows = fitted / "rows.jsonl"
    assert [json.loads(line) for line in rows.read_text().splitlines()] == ROWS
    assert stat.S_IMODE(rows.stat().st_mode) == 0o600
    for name in FILES:
        content = (fitted / name).read_bytes()
        assert not [row["text"] for row in ROWS if row["text"].encode() in content]
    without = shutil.copytree(fitted, tmp_path / "without")
    (without / "rows.jsonl").unlink()
    assert artifact.load(without).manifest == artifact.load(fitted).manifest


def test_what_root_fits_belongs_to_the_owner_of_the_folder_that_it_is_in(fit: Export, tmp_path: Path) -> None:
    """In the state directory to the service, which makes the head anew of the rows."""
    if os.geteuid() == 0:
        os.chown(tmp_path / "target", 1234, 2345)
    owner = (tmp_path / "target").stat()
    made = fit(EXAMPLE).folder
    for path in (made, made / "rows.jsonl"):
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.st_uid, owner.st_gid)


def test_no_rows_keeps_no_rows(fit: Export) -> None:
    assert sorted(path.name for path in fit(EXAMPLE, "--no-rows").folder.iterdir()) == FILES


def test_the_engine_serves_it(fitted: Path) -> None:
    """Prompts that are not in the data get their label."""
    prompts = {
        "Why did my bank charge me a fee for this card payment?": "banking",
        "how long should I roast a whole chicken": "cooking",
        "Turn on the bedroom lamp at seven.": "home devices",
        "Which airline flies from Madrid to Oslo?": "travel",
        "Schedule a meeting with the marketing team for Wednesday.": "work",
    }

    found = scores(fitted, list(prompts))

    assert [LABELS[index] for index in found.argmax(axis=1)] == list(prompts.values())
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_it_is_a_head_on_the_encoder_of_the_built_in_classifier(fitted: Path, manifest: Manifest) -> None:
    """Some kilobytes beside the manifest: nothing of the encoder is copied."""
    found, base = artifact.load(fitted), artifact.load(artifact.BUILTIN)

    assert found.model_path == base.model_path
    assert manifest.encoder == base.manifest.encoder
    assert manifest.head is not None
    assert (manifest.head.artifact, manifest.head.added) == ("builtin", False)
    assert sum((fitted / name).stat().st_size for name in FILES) < 40_000


def test_a_service_that_loads_it_keeps_the_encoder(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next release of the package may have another one."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    path = tmp_path / "config.yaml"
    path.write_text(
        "vllm_endpoints: [{name: a, address: 127.0.0.1, port: 9}]\nmodel_config: {base: {}}\ndefault_model: base\n"
        f"classifier: {{category_model: {{model_id: {fitted}}}}}\n"
    )

    prepare(path).classifier.encoder.close()

    [kept] = (tmp_path / "encoders").iterdir()
    assert artifact.load(kept).manifest == artifact.load(artifact.BUILTIN).manifest


def test_a_fitted_artifact_is_a_base_too(fitted: Path, fit: Export, manifest: Manifest) -> None:
    """Its encoder is read, so the same rows give the same again."""
    outcome = fit(EXAMPLE, "--base", str(fitted))

    again = artifact.load(outcome.folder).manifest
    assert outcome.code == 0
    assert again.verification["cross_validation"] == manifest.verification["cross_validation"]
    assert again.source == WeightsSource(name=f"fit of {manifest.source.name}", sha256=manifest.files["head.bin"])
    assert again.head == manifest.head, "heads are not stacked"


def test_the_rows_are_recorded_by_their_hashes(fitted: Path, manifest: Manifest) -> None:
    """Eight bytes each, in order, without differences of case and spaces; the manifest has the file's own hash."""
    hashes = {hashlib.sha256(" ".join(row["text"].split()).casefold().encode()).digest()[:8] for row in ROWS}

    content = (fitted / "fitted_rows.bin").read_bytes()

    assert content == b"".join(sorted(hashes))
    assert manifest.files["fitted_rows.bin"] == hashlib.sha256(content).hexdigest()


# --- the terminal ----------------------------------------------------------------------------------------------


def test_the_report_says_how_good_and_what_to_do(fit: Export) -> None:
    """Accuracy with its interval, threshold, time, each label; steps on stderr; the missing `other` as a warning."""
    outcome = fit(EXAMPLE)

    assert (outcome.code, outcome.message) == (0, "")
    assert outcome.steps == ["reading the texts …", "training …", "cross-validating …"]
    assert "150 rows of five-domains.jsonl, 5 labels" in outcome.out
    assert re.search(r"accuracy +0\.\d\d \(95 % interval 0\.\d\d to 0\.\d\d\), 5-fold", outcome.out)
    assert re.search(r"time +\d+\.\d s", outcome.out)
    for label in LABELS:
        assert re.search(rf"\n  {label} +30 ", outcome.out)
    assert outcome.out.rstrip().endswith('add a label such as "other" with prompts that you do not want to route')


def test_a_terminal_shows_a_bar() -> None:
    """It fills up in place and ends its line."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    Progress(stream).step("reading nothing", 0)(0)
    assert stream.getvalue() == ""
    show = Progress(stream).step("reading", 4)
    show(2)
    show(4)

    empty, half, full = stream.getvalue().split("\r")[1:]
    assert empty.endswith("░" * 30 + " 0/4")
    assert half.endswith("█" * 15 + "░" * 15 + " 2/4")
    assert full.endswith("█" * 30 + " 4/4\n")


def test_the_progress_is_the_number_of_prompts_that_are_done() -> None:
    """Short prompts run together, long ones alone; the results are in the order of the prompts."""
    reader = EncoderReader(artifact.load(artifact.BUILTIN))
    texts = ["cats", "dogs and cats " * 200, "birds", "dogs and birds " * 200]
    done: list[int] = []

    found = reader.read(texts, done.append)

    assert done == [2, 3, 4]
    for text, features, probabilities in zip(texts, found.features, found.probabilities, strict=True):
        alone = reader.read([text])
        np.testing.assert_allclose(features, alone.features[0], atol=1e-4)
        np.testing.assert_allclose(probabilities, alone.probabilities[0], atol=1e-4)


def test_the_command_is_pointsmans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`pointsman fit` hands over; wrong usage is 2."""
    assert pointsman(["fit", "--data", str(tmp_path / "absent"), "-o", str(tmp_path / "out")]) == 1
    assert "pointsman fit: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        pointsman(["fit", "--data", "x", "-o", "y", "--precision", "0"])
    assert caught.value.code == 2


def test_nothing_is_needed_but_what_serves(tmp_path: Path) -> None:
    """None of the export's libraries, and none for ONNX files: the deb has neither."""
    program = (
        "import sys; from pointsman_export.fit.main import main; code = main(sys.argv[1:]); "
        "print(code, sorted({'onnx', 'torch', 'transformers', 'optimum', 'sklearn'} & sys.modules.keys()))"
    )
    arguments = ["--data", str(EXAMPLE), "-o", str(tmp_path / "out")]

    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_languages_are_those_of_the_base_or_as_told(manifest: Manifest, fit: Export) -> None:
    assert manifest.languages == ["en"]
    assert artifact.load(fit(EXAMPLE, "--languages", "en,es").folder).manifest.languages == ["en", "es"]


# --- what is refused -------------------------------------------------------------------------------------------


def test_bad_rows(tmp_path: Path, fit: Export) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "a"}\n')

    refused(fit(path), f"{path}:1: ", "`label`")


def test_rows_in_languages_that_are_not_declared_are_refused(tmp_path: Path, fit: Export) -> None:
    """Such prompts would never be classified. A stray row is no reason."""
    spanish = [{"text": f"¿Cuánto dinero tengo en mi cuenta {word}?", "label": "banking"} for word in "abcdefghij"]
    path = tmp_path / "rows.jsonl"
    for strays, code in ((1, 0), (10, 1)):
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS + spanish[:strays]))
        outcome = fit(path, "--force")
        assert outcome.code == code
    assert "10 of 160 texts are in other languages (es 10) than the artifact declares (en)" in outcome.message


def test_a_folder_that_is_there(fit: Export) -> None:
    """It is not touched without --force, and with it only when it is an artifact."""
    folder = fit(EXAMPLE, "--base", "nothing").folder
    folder.mkdir()
    (folder / "precious").touch()

    plain, forced = fit(EXAMPLE), fit(EXAMPLE, "--force")

    assert (plain.code, forced.code) == (1, 1)
    assert "exists already" in plain.message
    assert "replaces nothing but an artifact" in forced.message
    assert (folder / "precious").exists()


def test_force_replaces_an_artifact(fit: Export, tmp_path: Path) -> None:
    fit(EXAMPLE)
    two = tmp_path / "two.jsonl"
    two.write_text("".join(json.dumps(row) + "\n" for row in ROWS if row["label"] in ("travel", "work")))

    outcome = fit(two, "--force")

    assert (outcome.code, outcome.left) == (0, ["out"])
    assert artifact.load(outcome.folder).manifest.labels == ["travel", "work"]


def test_a_base_that_is_no_artifact(tmp_path: Path, fit: Export) -> None:
    refused(fit(EXAMPLE, "--base", str(tmp_path)), str(tmp_path), "no pointsman.json in it")


def test_a_base_without_features(tmp_path: Path, fit: Export) -> None:
    """As releases before wrote them."""
    toy_artifact.build(tmp_path / "toy")

    refused(fit(EXAMPLE, "--base", str(tmp_path / "toy")), "toy", "no features", "export its checkpoint again")


def test_a_head_that_the_service_scores_otherwise_is_not_written(fit: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is proved, not the intention."""
    encode = linear_head.encode
    monkeypatch.setattr(linear_head, "encode", lambda head: encode(dataclasses.replace(head, weights=head.weights * 2)))

    refused(fit(EXAMPLE), "scores differ by", "from the head's, allowed is 1e-03")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(fit: Export, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM in the middle removes what was written so far."""
    monkeypatch.setattr(heads, "prove", lambda *_: os.kill(os.getpid(), number))

    outcome = fit(EXAMPLE)

    assert (outcome.code, outcome.left) == (1, [])
    assert outcome.message == "pointsman fit: interrupted, nothing was written"


# --- the folder ------------------------------------------------------------------------------------------------


def built(work: Path) -> Path:
    (work / "built").mkdir()
    (work / "built" / "pointsman.json").write_text("new")
    return work / "built"


def test_the_folders_on_the_way_to_the_artifact_are_made(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "out"
    with destination.workspace(folder) as work:
        destination.publish(built(work), folder, force=False)
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_an_interrupt_does_not_lose_the_artifact_that_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = built(tmp_path).rename(tmp_path / "out"), Path.rename
    (folder / "old").touch()

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "built":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), destination.workspace(folder) as work:
        destination.publish(built(work), folder, force=True)
    assert (folder / "old").exists()


def test_all_of_an_artifact_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure leaves all of it or nothing."""
    folder, flush = tmp_path / "out", os.fsync
    flushed: list[tuple[str, bool]] = []

    def noted(descriptor: int) -> None:
        flush(descriptor)
        flushed.append((Path(f"/proc/self/fd/{descriptor}").resolve().name, folder.exists()))

    monkeypatch.setattr(os, "fsync", noted)
    with destination.workspace(folder) as work:
        destination.publish(built(work), folder, force=False)
    assert flushed == [("pointsman.json", False), ("built", False), (tmp_path.name, True)]
