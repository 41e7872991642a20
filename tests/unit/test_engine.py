"""Artifacts that load, those that do not and what the operator is told, and the numbers that a graph gives."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from pointsman.classify import artifact
from pointsman.classify.engine import Engine, _by_length, softmax
from pointsman.classify.packing import INPUTS
from pointsman.classify.providers import default_providers
from pointsman.classify.runtime import PROVIDERS
from pointsman.errors import ArtifactError, CannotStart
from support import toy_artifact
from support.config_files import LABELS
from support.priorities import threads_at
from support.process import eventually

CPU = ("cpu",)


def ids(*tokens: int) -> Any:
    return np.array(tokens, dtype=np.int64)


def engine(folder: Path) -> Engine:
    return Engine(artifact.load(folder), CPU)


# --- the artifact ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (toy_artifact.build(tmp_path) / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        artifact.load(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "model.onnx.data"])
def test_a_file_that_was_changed_is_named(tmp_path: Path, name: str) -> None:
    toy_artifact.build(tmp_path, {"model.onnx.data": b"weights"})
    artifact.load(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=rf"{path}: SHA-256 is .* damaged or was replaced"):
        artifact.load(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "pointsman.json"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    path = toy_artifact.build(tmp_path) / name
    path.unlink()
    path.symlink_to("/proc/self/mem")  # opens, and then fails to be read, for root too
    with pytest.raises(ArtifactError, match=rf"{path}: cannot be read \(.*\); check path and permissions"):
        artifact.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        *(
            (json.dumps({"format_version": version, "new": "field"}).encode(), "this release reads 1, 2, 3 and 4")
            for version in (0, 5, "1", None, [1])
        ),
        *(
            (content, r"pointsman\.json: not a manifest")
            for content in (b"", b"[]", b"{", b'{"format_version":1}', b'{"a":"\xff"}', b"[" * 100_000)
        ),
    ],
)
def test_a_manifest_of_another_version_or_none_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    """Of another version whatever else it says."""
    (tmp_path / "pointsman.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=said):
        artifact.load(tmp_path)


def test_a_checkpoint_that_was_not_exported_prints_the_command_that_does_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError) as caught:
        artifact.load(tmp_path)
    assert f"`pointsman export {tmp_path} -o {tmp_path}-onnx`" in str(caught.value)


def test_a_folder_that_holds_nothing_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"`pointsman export SOURCE -o {tmp_path}`"):
        artifact.load(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_folder_is_said_to_be_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="no such folder"):
        artifact.load(tmp_path / name)


def test_a_model_id_is_builtin_absolute_or_relative_to_the_config(tmp_path: Path) -> None:
    assert artifact.resolve("builtin", tmp_path) == artifact.BUILTIN
    assert artifact.resolve("models/x", tmp_path) == tmp_path / "models" / "x"
    assert artifact.resolve(str(tmp_path / "x"), Path("/elsewhere")) == tmp_path / "x"


# --- the graph -------------------------------------------------------------------------------------------------


MASKED = toy_artifact.model(inputs=("input_ids", "attention_mask"))
NAMES = r"has inputs \['input_ids'\] and outputs \['logits'\], the manifest says"


@pytest.mark.parametrize(
    ("contents", "manifest", "said"),
    [
        pytest.param(
            {"model.onnx": b"not a graph"}, {}, r"model\.onnx: ONNX Runtime cannot load it", id="a file that is none"
        ),
        pytest.param({}, {"inputs": ["tokens"]}, NAMES, id="another input"),
        pytest.param({}, {"inputs": ["input_ids", "mask"]}, NAMES, id="an input that it does not have"),
        pytest.param({}, {"output": "scores"}, NAMES, id="another output"),
        pytest.param({"model.onnx": MASKED}, {}, "'attention_mask'", id="an input that the manifest does not name"),
        pytest.param(
            {}, {"labels": LABELS[:13]}, "gives 14 logits, the manifest says 13", id="another number of labels"
        ),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_told(
    tmp_path: Path, contents: dict[str, bytes], manifest: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArtifactError, match=said):
        engine(toy_artifact.build(tmp_path, contents, **manifest))


def test_a_graph_that_leaves_its_shape_open_loads(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Unique", ["shape"], ["unknown"]),
        helper.make_node("Reshape", ["cast", "unknown"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "open", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    made = engine(toy_artifact.build(tmp_path, {"model.onnx": model.SerializeToString()}))
    with pytest.raises(ValueError, match="shape"):
        made.run([ids(2, 3, 4)])


# --- the provider ----------------------------------------------------------------------------------------------


def test_a_provider_that_is_not_there_says_what_to_install_and_how_to_do_without(toy_folder: Path) -> None:
    with pytest.raises(CannotStart) as caught:
        Engine(artifact.load(toy_folder), ("cuda",))
    assert f"no {PROVIDERS['cuda']}: `pip uninstall onnxruntime onnxruntime-gpu`" in str(caught.value)
    assert "then install pointsman[gpu]" in str(caught.value)
    assert "pointsman.classifier.providers to [cpu]" in str(caught.value)


def test_where_no_onnx_runtime_was_installed_by_pip_none_is_to_be_removed(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.classify.runtime.metadata.distributions", lambda **_: iter(()))
    with pytest.raises(CannotStart) as caught:
        Engine(artifact.load(toy_folder), ("cuda",))
    assert f"no {PROVIDERS['cuda']}: install pointsman[gpu]" in str(caught.value)


def test_the_first_provider_that_is_there_is_used_and_what_was_missed_is_told(toy_folder: Path) -> None:
    made = Engine(artifact.load(toy_folder), ("cuda", "openvino", "cpu"))
    assert made.provider == "cpu"
    assert [told in note for told, note in zip((PROVIDERS["cuda"], "OpenVINO"), made.notes, strict=True)] == [True] * 2
    assert made.run([ids(2, 4, 3)]).shape == (1, len(LABELS))


@pytest.mark.parametrize(
    ("target", "use_cpu", "provider"),
    [("cpu", True, "cpu"), ("gpu", True, "cpu"), ("openvino", True, "openvino"), ("openvino", False, "cuda")],
)
def test_without_use_cpu_it_is_the_gpu_or_nothing(target: str, use_cpu: bool, provider: str) -> None:
    assert default_providers(target, use_cpu=use_cpu) == (provider,)


# --- the numbers -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["plain", "packed"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "plain":
        return toy_artifact.build(tmp_path)
    return toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.packed_model()}, inputs=list(INPUTS))


@pytest.mark.parametrize("wide", [False, True])
def test_prompts_of_any_length_come_back_in_order_and_unaffected_by_each_other(folder: Path, wide: bool) -> None:
    made = Engine(artifact.load(folder), CPU, threads=2)
    assert made.has_wide
    batch = [ids(2, 4, 3), ids(2, 10, 1, 1, 3), ids(2, 9, 3), ids(2, 7, 7, 3), ids(2, 3)]
    together = made.run(batch, wide=wide)
    assert together.shape == (5, len(LABELS))
    for prompt, row in zip(batch, together, strict=True):
        assert np.array_equal(made.run([prompt])[0], row)
    assert [LABELS[position] for position in together[:4].argmax(axis=1)] == [
        "computer science",
        "other",
        "law",
        "health",
    ]


@pytest.mark.heavy
async def test_threads_sleep_once_a_wide_run_ended() -> None:
    """Or they would burn the cores that vLLM wants: ONNX Runtime's go on spinning for 30 ms."""
    runs = 10

    before = threads_at(10)
    made = Engine(artifact.load(artifact.BUILTIN), CPU, threads=2)
    await eventually(lambda: len(threads_at(10) - before) == 1, "the thread that opened the session has ended")
    pool = {Path("/proc/self/task", str(thread)) for thread in threads_at(10) - before}

    def cpu_ns() -> int:
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in pool)

    while_running = afterwards = 0
    for _ in range(runs):
        started = cpu_ns()
        made.run([np.arange(3, 131)], wide=True)
        ended = cpu_ns()
        await eventually(
            lambda: all((thread / "stat").read_text().split()[2] == "S" for thread in pool), "the threads sleep"
        )
        while_running += ended - started
        afterwards += cpu_ns() - ended
    assert while_running > 0
    assert afterwards < runs * 10e6


def test_what_both_sessions_share_leaves_nothing_in_the_state_directory(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    made = Engine(artifact.load(toy_folder), CPU, threads=2)
    assert (made.has_wide, made.notes) == (True, [])
    assert list((tmp_path / "state").iterdir()) == []


def test_weights_that_a_killed_process_left_behind_are_removed_and_no_others(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    for name, age in (("weights-old", 3660), ("weights-loading", 0), ("else", 3660)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"1")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    Engine(artifact.load(toy_folder), CPU, threads=2)
    assert {path.name for path in tmp_path.iterdir()} == {"weights-loading", "else"}


def test_without_a_state_directory_it_runs_on_one_thread_and_says_so(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file" / "state"))
    made = Engine(artifact.load(toy_folder), CPU, threads=2)
    assert not made.has_wide
    assert "cannot be written (Not a directory)" in made.notes[0]
    assert np.array_equal(made.run([ids(2, 4, 3)], wide=True), engine(toy_folder).run([ids(2, 4, 3)]))


def test_a_graph_that_wants_an_attention_mask_gets_one(tmp_path: Path, toy_folder: Path) -> None:
    inputs = ("input_ids", "attention_mask")
    folder = toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.model(inputs=inputs)}, inputs=inputs)
    prompt = ids(2, 4, 3)
    assert np.array_equal(engine(folder).run([prompt]), engine(toy_folder).run([prompt]))


def test_the_temperature_divides_the_logits(tmp_path: Path, toy_folder: Path) -> None:
    cool, warm = engine(toy_folder), engine(toy_artifact.build(tmp_path, temperature=2.0))
    once, twice = ids(2, 4, 3), ids(2, 4, 4, 3)
    assert warm.run([twice]) == pytest.approx(cool.run([once]), rel=1e-5)
    assert warm.run([once]).max() < cool.run([once]).max()


def test_softmax_sums_to_one_and_does_not_overflow() -> None:
    rows = softmax(np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], dtype=np.float32))
    assert rows[0].tolist() == [1.0, 0.0, 0.0]
    assert rows.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_softmax_is_over_the_last_axis_of_however_many() -> None:
    assert softmax(np.zeros(4, dtype=np.float32)).tolist() == [0.25] * 4
    assert softmax(np.zeros((2, 1, 4), dtype=np.float32)).tolist() == [[[0.25] * 4]] * 2


def test_a_rectangular_run_has_at_most_32_rows() -> None:
    """Attention takes memory for each; the answers keep the order of the texts."""
    rows: list[int] = []

    def call(feed: dict[str, Any]) -> Any:
        rows.append(len(feed["input_ids"]))
        return [feed["input_ids"][:, :1].astype(np.float32)]

    batch = [np.full(5 + number % 2, number, dtype=np.int64) for number in range(150)]
    assert _by_length(call, batch, masked=False)[0][:, 0].tolist() == list(range(150))
    assert (max(rows), sum(rows)) == (32, 150)


def with_features(folder: Path, node: Any | None = None, **changed: Any) -> Engine:
    contents = {"model.onnx": toy_artifact.with_features(toy_artifact.model(), node)}
    return engine(toy_artifact.build(folder, contents, features=toy_artifact.FEATURES | changed))


def test_features_come_with_the_probabilities_which_stay_the_same(tmp_path: Path, toy_folder: Path) -> None:
    prompts = [ids(2, 4, 3), ids(2, 7, 7, 3), ids(2, 5, 3)]
    found = with_features(tmp_path).read(prompts)
    expected = engine(toy_folder).run(prompts)
    assert np.array_equal(softmax(found.logits), expected)
    assert found.features is not None
    assert np.array_equal(softmax(found.features), expected)  # in the toy, features are the logits


def test_features_of_another_width_than_the_manifest_says_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="gives 14 features, the manifest says 9"):
        with_features(tmp_path, width=9)


def test_a_text_whose_features_are_no_numbers_has_no_probabilities_either(tmp_path: Path) -> None:
    log = helper.make_node("Log", ["logits"], ["features"])  # of 0 it is minus infinity
    assert np.isnan(with_features(tmp_path, log).run([ids(2, 4, 3)])).all()
