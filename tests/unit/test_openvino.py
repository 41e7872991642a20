"""The engine on OpenVINO with a stand-in for the library: what it is told, and how runs share it.

`export/test_openvino.py` has the library itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.engine import Engine
from pointsman.classify.openvino_cpu import OpenVinoRunner
from pointsman.classify.runtime import ProviderUnavailable
from pointsman.errors import ArtifactError
from support import toy_artifact
from support.priorities import OWN, nice_here


class Library:
    """OpenVINO as it is used; a run gives the number of its tokens, and `during` is called meanwhile."""

    def __init__(self) -> None:
        self.forms: list[dict[str, Any]] = []
        self.nice: list[int] = []
        self.requests = 0
        self.cancelled = 0
        self.during: list[Any] = []

    def get_version(self) -> str:
        return "9.9"

    def Core(self) -> Library:  # noqa: N802 - its name
        return self

    def read_model(self, model: Path) -> Any:
        names = [SimpleNamespace(any_name=name) for name in ("input_ids", "attention_mask")]
        return SimpleNamespace(inputs=names, outputs=[SimpleNamespace(any_name="logits")])

    def compile_model(self, _: Any, device: str, options: dict[str, Any]) -> Library:
        self.forms.append(options | {"device": device})
        self.nice.append(nice_here())
        return self

    def create_infer_request(self) -> Any:
        self.requests += 1
        return Request(self)

    def wait(self) -> None:
        for act in self.during[:1]:
            self.during.remove(act)
            act()

    def cancel(self) -> None:
        self.cancelled += 1


class Request:
    def __init__(self, library: Library) -> None:
        self.wait, self.cancel = library.wait, library.cancel
        self._logits = np.zeros((1, 2), np.float32)

    def start_async(self, feed: dict[str, Any]) -> None:
        assert feed["input_ids"].shape == feed["attention_mask"].shape == (1, feed["attention_mask"].sum())
        self._logits[:] = feed["input_ids"].shape[1]

    def get_tensor(self, _: str) -> Any:
        """The memory of the result is that of the request's next one, too."""
        return SimpleNamespace(data=self._logits)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setitem(sys.modules, "openvino", made)
    return made


def ids(length: int) -> Any:
    return np.arange(length)


MODEL = Path("model.onnx")


def test_one_form_has_a_thread_for_each_run_and_one_all_threads_for_a_run(library: Library) -> None:
    """Neither is bound to cores, which the event loop and vLLM use as well."""
    made = OpenVinoRunner(MODEL, "int8-bf16", 3)
    common = {
        "device": "CPU",
        "INFERENCE_NUM_THREADS": 3,
        "INFERENCE_PRECISION_HINT": "bf16",
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": 128,
    }
    assert library.forms == [common | {"NUM_STREAMS": 3}, common | {"NUM_STREAMS": 1}]
    assert library.nice == [min(19, OWN + 5), min(19, OWN + 10)]
    assert (made.version, made.inputs, made.outputs) == ("9.9", ["input_ids", "attention_mask"], ["logits"])


def test_on_one_thread_there_is_one_form(library: Library) -> None:
    made = OpenVinoRunner(MODEL, "int8-f32", 1)
    assert made.wide is None
    assert [form["INFERENCE_PRECISION_HINT"] for form in library.forms] == ["f32"]


def test_prompts_run_one_by_one_and_unpadded(library: Library) -> None:
    made = OpenVinoRunner(MODEL, "int8-f32", 2)
    assert made.wide is not None
    for run in (made.narrow, made.wide):
        assert run([ids(3), ids(7)])[0].tolist() == [[3, 3], [7, 7]]


def test_there_are_as_many_requests_as_runs_at_a_time(library: Library) -> None:
    made = OpenVinoRunner(MODEL, "int8-f32", 1)
    for _ in range(3):
        made.narrow([ids(1)])
    assert library.requests == 1
    library.during.append(lambda: made.narrow([ids(1)]))
    made.narrow([ids(1)])
    made.narrow([ids(1)])
    assert library.requests == 2


def test_the_end_cancels_what_runs_and_only_that(library: Library) -> None:
    made = OpenVinoRunner(MODEL, "int8-f32", 2)
    made.narrow([ids(1)])
    library.during.append(made.close)
    with pytest.raises(RuntimeError, match="stopped"):
        made.narrow([ids(1), ids(1)])
    assert library.cancelled == 1
    assert made.wide is not None
    with pytest.raises(RuntimeError, match="stopped"):
        made.wide([ids(1)])
    made.close()
    assert library.cancelled == 1


def test_a_library_that_is_missing_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ProviderUnavailable, match=r"install pointsman\[openvino\]"):
        OpenVinoRunner(MODEL, "int8-f32", 1)


@pytest.mark.usefixtures("library")
def test_a_graph_that_has_other_inputs_than_the_manifest_says_is_told(tmp_path: Path) -> None:
    loaded = artifact.load(toy_artifact.build(tmp_path, target="openvino", precision="int8-f32"))
    with pytest.raises(ArtifactError, match=r"'attention_mask'.*; export the classifier again"):
        Engine(loaded, ("openvino",))


def test_what_reports_the_import_is_hidden_from_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    OpenVinoRunner(MODEL, "int8-f32", 1)
    assert sys.modules["openvino_telemetry"] is None


def test_the_kernels_that_it_keeps_are_limited_unless_the_operator_has_done_so(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a variable of the environment, which it reads when it is first used."""
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "7")  # undone at the end, whatever the code sets
    OpenVinoRunner(MODEL, "int8-f32", 1)
    assert os.environ[name] == "7"
    monkeypatch.delenv(name)
    OpenVinoRunner(MODEL, "int8-f32", 1)
    assert os.environ[name] == "128"
