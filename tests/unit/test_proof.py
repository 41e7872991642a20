"""An artifact is proven before it serves: real graphs that answer wrongly, give no number, or never end."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from pointsman import daemon_thread
from pointsman.app.prepare import prepare
from pointsman.classify import artifact, encoder
from pointsman.classify import loading as module
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import CostCurve
from pointsman.classify.encoder import load_encoder
from pointsman.classify.engine import Engine
from pointsman.classify.measure import CurveMeasurement
from pointsman.classify.time_limit import in_time
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError, CannotStart, ClassifierError, DeadlineMissed
from support import toy_artifact
from support.config_files import LABELS, MINIMAL
from support.gate import Gate
from support.process import PATIENCE_SECONDS, eventually
from support.toy_config import config

Make = Callable[..., AbstractContextManager[Classifier]]
OTHERS = 13
SURE = 0.9957
"""The probability of a label with one word in the text."""


def answer(text: str, label: str, sure: float = SURE) -> dict[str, Any]:
    rest = (1 - sure) / OTHERS
    return {"text": text, "probabilities": [sure if name == label else rest for name in LABELS]}


# --- known answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [0.955, 0.995])
def test_an_answer_that_is_nearly_the_known_one_is_as_good(make_classifier: Make, tmp_path: Path, known: float) -> None:
    """Kernels differ between CPUs."""
    toy_artifact.build(tmp_path, known_answers=[answer("python", "computer science", known)])
    with make_classifier(tmp_path) as classifier:
        assert not any("proven" in note for note in classifier.encoder.notes)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (answer("python", "law"), "gives 'python' the probability"),
        (answer("python", "computer science", 0.94), "the probability 0.996 for 'computer science', but gave 0.940"),
        (answer("my landlord", "computer science"), "gives 'my landlord' the probability"),
    ],
)
def test_another_answer_than_the_known_one_is_refused(
    make_classifier: Make, tmp_path: Path, known: dict[str, Any], message: str
) -> None:
    right = answer("blood", "health")
    toy_artifact.build(tmp_path, known_answers=[right, known])
    with pytest.raises(ArtifactError, match=f"{message}.* when it was exported"), make_classifier(tmp_path):
        pass


@pytest.mark.parametrize("times", [0.981, 1.019])
def test_features_that_are_nearly_the_known_ones_are_as_good(
    make_classifier: Make, tmp_path: Path, times: float
) -> None:
    known = [toy_artifact.known_features("python", times=times)]
    with make_classifier(toy_artifact.encoder(tmp_path, known_answers=known)) as classifier:
        assert not any("proven" in note for note in classifier.encoder.notes)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (toy_artifact.known_features("python", times=0.97), "cosine 1.000 and length 3.1% away"),
        (toy_artifact.known_features("python", times=1.03), "cosine 1.000 and length 2.9% away"),
        (toy_artifact.known_features("python", times=-1), r"cosine -1.000 and length 0.0% away"),
        (toy_artifact.known_features("python", "blood"), "cosine 0.707"),
        (toy_artifact.known_features("python", times=0), "cosine nan"),
    ],
)
def test_other_features_than_the_known_ones_are_refused(
    make_classifier: Make, tmp_path: Path, known: dict[str, str], message: str
) -> None:
    toy_artifact.encoder(tmp_path, known_answers=[toy_artifact.known_features("landlord"), known])
    with pytest.raises(ArtifactError, match=f"gives 'python' features of {message}"), make_classifier(tmp_path):
        pass


def test_features_that_are_no_numbers_are_refused(make_classifier: Make, tmp_path: Path) -> None:
    toy_artifact.encoder(tmp_path, toy_artifact.adding_model(float("nan")))
    with pytest.raises(ArtifactError, match="returns NaN or infinity"), make_classifier(tmp_path):
        pass


def test_the_session_on_all_threads_is_proven_too(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_artifact.build(tmp_path)
    read = Engine.read

    def wrong_when_wide(self: Engine, batch: Any, *, wide: bool = False) -> Any:
        found = read(self, batch, wide=wide)
        return found._replace(logits=found.logits * (0.5 if wide else 1.0))

    monkeypatch.setattr(Engine, "read", wrong_when_wide)
    with make_classifier(tmp_path, threads=1):
        pass
    toy_artifact.build(tmp_path, known_answers=[answer("python", "computer science")])
    with pytest.raises(ArtifactError, match=r"probability 0.808"), make_classifier(tmp_path, threads=2):
        pass


def test_the_configs_window_does_not_change_what_is_compared(make_classifier: Make, tmp_path: Path) -> None:
    """Head and tail of twelve words, which the config would not read."""
    text = "x x x python" + " x" * 20 + " landlord x x x x x x x x"
    known = [answer(text, "computer science")]
    with make_classifier(toy_artifact.build(tmp_path, max_tokens=12, known_answers=known), head_share=0.0):
        pass


def test_an_artifact_of_format_1_is_served_with_a_warning(make_classifier: Make, tmp_path: Path) -> None:
    path = toy_artifact.build(tmp_path) / "pointsman.json"
    fields = json.loads(path.read_text())
    del fields["known_answers"]
    path.write_text(json.dumps(fields | {"format_version": 1}))
    with make_classifier(tmp_path) as classifier:
        assert any("has no known answers, so it was not proven" in note for note in classifier.encoder.notes)


# --- numbers that are none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("version", [1, 2])
def test_a_graph_that_gives_no_numbers_is_refused(
    make_classifier: Make, tmp_path: Path, value: float, version: int
) -> None:
    toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.adding_model(value)}, format_version=version)
    with pytest.raises(ArtifactError, match="returns NaN or infinity"), make_classifier(tmp_path):
        pass


def test_logits_that_the_temperature_makes_infinite_are_refused(make_classifier: Make, tmp_path: Path) -> None:
    model = toy_artifact.adding_model(3e38)
    toy_artifact.build(tmp_path, {"model.onnx": model}, temperature=0.01)
    with pytest.raises(ArtifactError, match="returns NaN or infinity"), make_classifier(tmp_path):
        pass


async def test_a_text_for_which_the_graph_gives_no_number_fails_alone(make_classifier: Make, tmp_path: Path) -> None:
    """Logits of 8 for each `blood` become infinite; the texts in its batch have their class."""
    toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.overflowing_model()})
    with make_classifier(tmp_path, deadline_ms=20_000) as classifier:
        gate = Gate(classifier)
        gate.close()
        first = asyncio.create_task(classifier.classify("python"))
        await gate.entered()
        bad = asyncio.create_task(classifier.classify("blood"))
        good = asyncio.create_task(classifier.classify("landlord"))
        await asyncio.sleep(0)
        gate.open()
        with pytest.raises(ClassifierError, match="the graph returned NaN or infinity"):
            await bad
        assert max((await good).probabilities) == pytest.approx(SURE, abs=1e-3)
        assert gate.runs == [1, 2]
        await first
        with pytest.raises(ClassifierError):  # and nothing of it was cached
            await classifier.classify("blood")


# --- what the graph takes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measured", [True, False])
def test_more_tokens_than_the_graph_takes_are_refused(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: bool
) -> None:
    """As with a table of 100 positions: known answers are short, and the longest text is not.

    A host that was measured before does not run such a text to measure it.
    """
    if not measured:
        curve = CostCurve(1, (16, 512), (0.001, 0.01), (0.001, 0.01), ())
        monkeypatch.setattr(module, "measure", lambda *_, **__: CurveMeasurement(curve, disturbed=False))
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["shape"], start=1, end=2),
        helper.make_node("Sub", ["shape", "one"], ["last"]),
        helper.make_node("Gather", ["positions", "last"], ["zero"]),
        helper.make_node("Add", ["voted", "zero"], ["logits"]),
    ]
    constants = {"positions": np.zeros(100, "f"), "one": np.array([1])}
    model = toy_artifact.after_votes(nodes, constants)
    with make_classifier(toy_artifact.build(tmp_path / "fits", {"model.onnx": model}, max_tokens=100)):
        pass
    toy_artifact.build(tmp_path / "not", {"model.onnx": model}, max_tokens=101)
    with pytest.raises(ArtifactError, match="does not run"), make_classifier(tmp_path / "not"):
        pass


# --- what never ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_a_graph_that_never_ends_is_stopped_and_refused(
    make_classifier: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    threads: int,
) -> None:
    """ONNX Runtime prints nothing about it: the error says it all."""
    monkeypatch.setattr(module, "PROOF_SECONDS", 0.1)
    toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.endless_model()})
    with (
        pytest.raises(ArtifactError, match=r"a run did not end within 0.1 s"),
        make_classifier(tmp_path, threads=threads),
    ):
        pass
    assert capfd.readouterr().err == ""


def test_the_load_as_a_whole_is_limited_by_the_config(tmp_path: Path) -> None:
    """The thread that it leaves behind ends soon, since its runs are stopped."""
    folder = toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.endless_model()})
    options = ClassifierOptions(threads=1, load_timeout_ms=100)
    with pytest.raises(ArtifactError, match=r"0.1 s"):
        load_encoder(config(classifier=options), artifact.load(folder))


def test_a_graph_that_ends_never_for_long_texts_only_is_refused(make_classifier: Make, tmp_path: Path) -> None:
    """It passes the known answers, and hangs while the host is measured."""
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["shape"], start=1, end=2),
        helper.make_node("Greater", ["shape", "many"], ["each"]),
        helper.make_node("Squeeze", ["each"], ["endless"]),
        toy_artifact.endless_loop("endless"),
    ]
    model = toy_artifact.after_votes(nodes, {"many": np.array([200]), "zero": np.array(0, "f")})
    toy_artifact.build(tmp_path, {"model.onnx": model})
    with (
        pytest.raises(ArtifactError, match=r"a run did not end within 0.1 s"),
        make_classifier(tmp_path, load_timeout_ms=100),
    ):
        pass


async def test_closing_a_classifier_ends_a_run_that_hangs(make_classifier: Make, tmp_path: Path) -> None:
    """Else a reload and SIGTERM would wait for it. Here the texts with the token of `blood` never end."""
    row = list(toy_artifact.WORDS).index("blood") + 4
    nodes = [
        helper.make_node("Equal", ["input_ids", "blood"], ["found"]),
        helper.make_node("Cast", ["found"], ["count"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["count"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["endless"], to=TensorProto.BOOL),
        toy_artifact.endless_loop("endless"),
    ]
    model = toy_artifact.after_votes(nodes, {"blood": np.array(row), "zero": np.array(0, "f")})
    with make_classifier(toy_artifact.build(tmp_path, {"model.onnx": model}), deadline_ms=100) as classifier:
        with pytest.raises(DeadlineMissed):
            await classifier.classify("blood")
        closing = daemon_thread.start(classifier.encoder.close, "close")
        await eventually(closing.done, "the classifier is closed")


async def test_what_hangs_is_left_behind_and_its_late_result_given_away(tmp_path: Path) -> None:
    go, closed, names = threading.Event(), threading.Event(), list[str]()

    def given_up(late: Future[str]) -> None:
        late.add_done_callback(lambda done: closed.set() if done.result() == "late" else None)

    def work() -> str:
        names.append(threading.current_thread().name)
        go.wait(PATIENCE_SECONDS)
        return "late"

    started = time.monotonic()
    with pytest.raises(ArtifactError, match=rf"{tmp_path}: was not loaded within 0.1 s; .*load_timeout_ms"):
        in_time(0.1, tmp_path, work, given_up)
    assert time.monotonic() - started < 5
    go.set()
    await eventually(closed.is_set, "the late result is given away")
    assert names == ["load"], "by which an operator finds the thread"


def test_what_is_given_up_before_its_first_run_is_never_run(toy_folder: Path) -> None:
    with pytest.raises(ArtifactError, match="does not run"):
        module.load_model(artifact.load(toy_folder), ClassifierOptions(), use_cpu=True, opened=Engine.stop)


async def test_a_classifier_that_is_loaded_too_late_is_stopped_and_closed(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, outcomes = threading.Event(), list[str]()

    class Late:
        def __init__(self, *_: Any, opened: Callable[[Any], None], **__: Any) -> None:
            opened(SimpleNamespace(stop=stopped.set))
            outcomes.append("stopped" if stopped.wait(10) else "late")

        def close(self) -> None:
            outcomes.append("closed")

    monkeypatch.setattr(encoder, "Encoder", Late)
    with pytest.raises(ArtifactError, match="load_timeout_ms"):
        load_encoder(config(classifier=ClassifierOptions(load_timeout_ms=100)), artifact.load(toy_folder))
    await eventually(lambda: outcomes == ["stopped", "closed"], "it is stopped and closed")


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), TimeoutError("of its own")])
def test_an_error_that_nobody_expects_is_the_artifacts(tmp_path: Path, error: Exception) -> None:
    def work() -> None:
        raise error

    with pytest.raises(ArtifactError, match=rf"{tmp_path}: cannot be loaded \({type(error).__name__}"):
        in_time(10, tmp_path, work)


def test_an_error_that_is_explained_stays_as_it_is(tmp_path: Path) -> None:
    def work() -> None:
        raise CannotStart("no GPU")

    with pytest.raises(CannotStart, match=r"^no GPU$"):
        in_time(10, tmp_path, work)


# --- files that are none -------------------------------------------------------------------------------------------


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def enormous(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate((16 << 30) + 1)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "pointsman.json"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (pipe, "pipe or a device"),
        (device, "pipe or a device"),
        (loop, "symbolic links"),
        (enormous, "larger than"),
        (Path.mkdir, "directory"),
    ],
)
def test_a_file_that_is_none_is_named_at_once(
    tmp_path: Path, name: str, bad: Callable[[Path], None], message: str
) -> None:
    path = toy_artifact.build(tmp_path / "artifact") / name
    path.unlink()
    bad(path)
    (tmp_path / "config.yaml").write_text(MINIMAL + "classifier: {category_model: {model_id: artifact}}\n")
    started = time.monotonic()
    with pytest.raises(ArtifactError, match=rf"{path}: cannot be read \(.*{message}.*\)"):
        prepare(tmp_path / "config.yaml")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("model_id", "message"),
    [('"loop"', "symbolic links"), ('"a\\0b"', "is not a path"), ('"' + "x" * 10_000 + '"', "no such folder|cannot")],
)
def test_a_model_id_that_is_no_folder_is_refused(tmp_path: Path, model_id: str, message: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "config.yaml").write_text(MINIMAL + f"classifier: {{category_model: {{model_id: {model_id}}}}}\n")
    with pytest.raises(CannotStart, match=message):
        prepare(tmp_path / "config.yaml")


def test_an_empty_vocabulary_is_refused(tmp_path: Path, make_classifier: Make) -> None:
    import tokenizers

    empty = tokenizers.Tokenizer(tokenizers.models.WordLevel({}, unk_token="[UNK]")).to_str().encode()  # noqa: S106
    toy_artifact.build(tmp_path, {"tokenizer.json": empty})
    with pytest.raises(ArtifactError, match="empty vocabulary"), make_classifier(tmp_path):
        pass


def test_the_built_in_classifier_has_known_answers() -> None:
    manifest = artifact.load(artifact.BUILTIN).manifest
    assert manifest.format_version == 4
    assert all(0.8 < max(known.probabilities) < 1 for known in manifest.known_answers[:2])
