"""What ONNX Runtime and glibc are told, by a runtime that notes it and runs nothing."""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pointsman.classify import artifact, cpu, engine
from pointsman.classify import runtime as module
from pointsman.classify.engine import Engine
from pointsman.classify.onnx_cuda import Device
from pointsman.errors import ArtifactError, CannotStart
from support import toy_artifact
from support.config_files import LABELS

PACKED = ["input_ids", "position_ids", "segment_ids", "starts"]
MIB = 1 << 20


class Options:
    """Session options: whatever is set is kept."""

    log_severity_level: int
    optimized_model_filepath = ""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value


class Session:
    def __init__(self, runtime: Runtime, model: Path, options: Options, **chosen: Any) -> None:
        self.model, self.options, self.chosen = model, options, chosen
        self._runtime = runtime
        runtime.sessions.append(self)
        if options.optimized_model_filepath:
            Path(options.optimized_model_filepath).write_bytes(runtime.prepared)

    def get_providers(self) -> list[str]:
        return [*(name for name in self.chosen["providers"] if self._runtime.starts), "CPUExecutionProvider"]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self._runtime.inputs]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="logits", shape=["prompts", "labels"])]  # a graph may leave both open

    def run(self, outputs: list[str], feed: dict[str, Any], _: Options) -> list[Any]:
        assert outputs == ["logits"]
        return [np.zeros((len(feed["input_ids"]), len(LABELS)), np.float32)]


class Runtime:
    """ONNX Runtime as it is used; where it does not start a provider, it falls back to the CPU without a word."""

    __version__ = "9.9.9"
    SessionOptions = RunOptions = Options

    def __init__(self, *, starts: bool = True, inputs: list[str] | None = None) -> None:
        self.starts = starts
        self.inputs = inputs or ["input_ids"]
        self.prepared = b""
        """A graph whose weights are in a file of their own."""
        self.sessions: list[Session] = []

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, model: Path, options: Options, **chosen: Any) -> Session:  # noqa: N802 - its name
        return Session(self, Path(model), options, **chosen)


def opened(monkeypatch: pytest.MonkeyPatch, runtime: Runtime, folder: Path, provider: str, device: Device) -> Engine:
    monkeypatch.setattr(engine, "import_runtime", lambda: runtime)
    return Engine(artifact.load(folder), (provider,), device=device)


# --- on CPU ----------------------------------------------------------------------------------------------------


def test_one_session_runs_on_its_callers_thread_and_one_on_all(tmp_path: Path) -> None:
    """Both of what was prepared, which they map; and no third one is kept."""
    runtime: Any = Runtime()
    model = tmp_path / "model.onnx"
    model.touch()

    found = module.open_cpu(runtime, model, 3, tmp_path / "state")

    _, narrow, wide = runtime.sessions
    assert (found.narrow, found.wide, found.note) == (narrow, wide, None)
    assert [session.options.intra_op_num_threads for session in (narrow, wide)] == [1, 3]
    assert narrow.model == wide.model != model


@pytest.mark.parametrize(("second", "shared"), [(19200, True), (19208, False), (19232, False)])
def test_weights_that_the_kernels_could_not_read_are_not_shared(tmp_path: Path, second: int, shared: bool) -> None:
    """They are read at multiples of 64 bytes; elsewhere ONNX Runtime crashes. Then the weights are in memory twice."""
    runtime: Any = Runtime()
    runtime.prepared = b"MatMulIntegerToFloat+67|6400;12800;0\x0aMatMulIntegerToFloat+68|%d;64;0" % second
    model = tmp_path / "model.onnx"

    found = module.open_cpu(runtime, model, 2, tmp_path / "state")

    assert found.wide is not None
    assert {found.narrow.model == model, found.wide.model == model} == {not shared}
    assert (found.note is None) == shared


def test_where_nothing_can_be_prepared_there_is_one_session_of_one_thread(tmp_path: Path) -> None:
    runtime: Any = Runtime()
    (tmp_path / "file").touch()

    found = module.open_cpu(runtime, tmp_path / "model.onnx", 3, tmp_path / "file" / "state")

    [session] = runtime.sessions
    assert (found.narrow, found.wide) == (session, None)
    assert session.options.intra_op_num_threads == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_no_session_hoards_memory_or_spins_between_runs(tmp_path: Path, threads: int) -> None:
    runtime: Any = Runtime()

    module.open_cpu(runtime, tmp_path / "model.onnx", threads, tmp_path / "state")

    for session in runtime.sessions:
        options = session.options
        assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (False, False)
        assert options.inter_op_num_threads == 1
        assert options.entries["session.force_spinning_stop"] == "1"
        assert options.log_severity_level == 3, "what an operator cannot change is not written to stderr"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("vnni", [True, False])
def test_products_are_summed_exactly_where_the_cpu_would_cut_them_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vnni: bool, threads: int
) -> None:
    """And nowhere else, where it would only cost time."""
    monkeypatch.setattr(cpu, "has_vnni", lambda: vnni)
    runtime: Any = Runtime()

    module.open_cpu(runtime, tmp_path / "model.onnx", threads, tmp_path / "state")

    for session in runtime.sessions:
        assert session.options.entries.get("session.x64quantprecision") == (None if vnni else "1")


def test_what_both_map_is_prepared_with_all_weights_but_the_smallest_in_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "has_vnni", lambda: True)
    runtime: Any = Runtime()

    module.open_cpu(runtime, tmp_path / "model.onnx", 2, tmp_path / "state")

    preparing, narrow, _ = runtime.sessions
    assert preparing.model == tmp_path / "model.onnx"
    assert preparing.options.optimized_model_filepath == str(narrow.model)
    assert preparing.options.intra_op_num_threads == 1
    assert preparing.options.entries == {
        "session.force_spinning_stop": "1",
        "session.save_external_prepacked_constant_initializers": "1",
        "session.optimized_model_external_initializers_file_name": "weights",
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
    }


def test_weights_left_behind_that_cannot_be_removed_keep_nothing_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "weights-old"
    left.mkdir()
    os.utime(left, (0, 0))

    def rmtree(folder: Path, *, ignore_errors: bool = False) -> None:
        if folder == left and not ignore_errors:
            raise PermissionError(errno.EPERM, "not yours")

    runtime: Any = Runtime()
    with monkeypatch.context() as patched:
        patched.setattr(module, "shutil", SimpleNamespace(rmtree=rmtree))
        found = module.open_cpu(runtime, tmp_path / "model.onnx", 2, tmp_path)
    assert (found.wide, found.note) == (runtime.sessions[-1], None)


def test_a_host_without_onnx_runtime_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CannotStart, match=r"No module named 'onnxruntime'.*: install pointsman\[cpu\]"):
        module.import_runtime()


def test_an_engine_has_one_thread_where_nobody_asks_for_more(toy_folder: Path) -> None:
    assert not Engine(artifact.load(toy_folder), ("cpu",)).has_wide


def test_glibc_keeps_what_runs_free_with_an_arena_for_each_worker_and_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the numbers of malloc.h: -8 is M_ARENA_MAX, -3 M_MMAP_THRESHOLD, -1 M_TRIM_THRESHOLD."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *pair: calls.append(pair)))

    module.set_up_malloc(4)

    assert dict(calls) == {-8: 5, -3: 32 * MIB, -1: 128 * MIB}


def test_all_that_is_free_goes_back_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=calls.append))
    module.trim_memory()
    assert calls == [0]


def test_another_libc_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())  # musl has neither
    module.set_up_malloc(4)
    module.trim_memory()


# --- on a GPU --------------------------------------------------------------------------------------------------


def test_cuda_gets_its_device_and_captures_a_packed_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = toy_artifact.build(tmp_path, target="gpu", inputs=PACKED)
    runtime = Runtime(inputs=PACKED)

    made = opened(monkeypatch, runtime, folder, "cuda", Device(3, 512))

    [session] = runtime.sessions
    assert session.model == folder / "model.onnx"
    assert session.chosen["providers"] == ["CUDAExecutionProvider"]
    [options] = session.chosen["provider_options"]
    assert (options["device_id"], options["gpu_mem_limit"], options["enable_cuda_graph"]) == ("3", str(512 * MIB), "1")
    assert session.options.log_severity_level == 3
    assert made.captured == (64, 128, 256, 512, 1024, 2048, 4096)
    assert made.provider == "cuda"
    assert not made.has_wide


def test_a_packed_graph_runs_on_the_buffers_of_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_with: list[tuple[Any, ...]] = []

    class Runner:
        def __init__(self, *arguments: Any) -> None:
            made_with.append(arguments)

        def run(self, prompts: list[Any]) -> Any:
            return [np.zeros((len(prompts), len(LABELS)), np.float32)]

        def close(self) -> None: ...

    monkeypatch.setattr(engine, "BucketRunner", Runner)
    folder = toy_artifact.build(tmp_path, target="gpu", inputs=PACKED)
    runtime = Runtime(inputs=PACKED)
    made = opened(monkeypatch, runtime, folder, "cuda", Device(3))
    assert made_with == [(runtime, runtime.sessions[0], {"logits": len(LABELS)}, Device(3))]
    assert made.run([np.array([2]), np.array([2, 3])]).shape == (2, len(LABELS))


def test_names_that_the_graph_does_not_have_are_told_on_a_gpu_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy_artifact.build(tmp_path, target="gpu", inputs=["tokens"])
    with pytest.raises(ArtifactError, match="the manifest says"):
        opened(monkeypatch, Runtime(), folder, "cuda", Device())


def test_cuda_captures_no_graph_of_changing_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime()

    made = opened(monkeypatch, runtime, toy_artifact.build(tmp_path, target="gpu"), "cuda", Device())

    assert runtime.sessions[0].chosen["provider_options"][0]["enable_cuda_graph"] == "0"
    assert made.captured == ()
    assert made.run([np.array([2, 3])]).shape == (1, len(LABELS))


def test_a_gpu_that_does_not_start_is_no_silent_fall_back_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy_artifact.build(tmp_path, target="gpu")

    with pytest.raises(CannotStart, match="does not start on device 1: check the driver"):
        opened(monkeypatch, Runtime(starts=False), folder, "cuda", Device(1))
