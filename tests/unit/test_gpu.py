"""What a GPU is given. Nothing here needs one: the buffers are in the host's memory, all else are plain values."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gpu
import numpy as np
import onnxruntime
import pytest

from pointsman.classify import artifact
from pointsman.classify.onnx_cuda import (
    BUCKETS,
    TOKENS_PER_PROMPT,
    BucketRunner,
    Device,
    bucket_for,
    calls,
    cuda_options,
    fill,
)
from pointsman.classify.packing import pack
from pointsman.classify.providers import unsuited
from pointsman.classify.runtime import PROVIDERS
from pointsman.config.model import ClassifierOptions
from support import toy_artifact
from support.config_files import LABELS


def prompts(*lengths: int) -> list[Any]:
    return [np.arange(1, length + 1) for length in lengths]


@pytest.mark.parametrize(
    ("tokens", "count", "bucket"),
    [
        (1, 1, 64),
        (64, 8, 64),
        (65, 1, 128),
        (64, 9, 128),
        (4096, 512, 4096),
        (4096, 513, None),
        (4097, 1, None),
    ],
)
def test_the_bucket_is_the_smallest_that_holds_tokens_and_prompts(tokens: int, count: int, bucket: int | None) -> None:
    assert bucket_for(tokens, count) == bucket


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([4096, 1], [[4096], [1]]),
        ([2000, 2000, 2000, 5000, 3], [[2000, 2000], [2000], [5000], [3]]),
        ([3] * 600, [[3] * 512, [3] * 88]),
    ],
)
def test_a_batch_is_cut_in_order_into_calls_that_fit(lengths: list[int], expected: list[list[int]]) -> None:
    assert [[len(prompt) for prompt in call] for call in calls(prompts(*lengths))] == expected


@pytest.mark.parametrize("bucket", BUCKETS)
def test_filler_belongs_to_nobody_and_every_call_of_a_bucket_has_the_same_shapes(bucket: int) -> None:
    feed = pack(prompts(3, 5))
    filled = fill(feed, bucket)
    assert {name: len(values) for name, values in filled.items()} == {
        "input_ids": bucket,
        "position_ids": bucket,
        "segment_ids": bucket,
        "starts": bucket // TOKENS_PER_PROMPT,
    }
    for name, values in feed.items():
        assert filled[name].dtype == np.int64
        assert filled[name][: len(values)].tolist() == values.tolist()
    assert set(filled["segment_ids"][8:].tolist()) == {-1}
    for name in ("input_ids", "position_ids"):
        assert not filled[name][8:].any()
    assert not filled["starts"][2:].any()


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Device(), {"device_id": "0", "enable_cuda_graph": "1"}),
        (Device(1, 512), {"device_id": "1", "enable_cuda_graph": "1", "gpu_mem_limit": "536870912"}),
    ],
)
def test_device_and_memory_limit_reach_cuda(device: Device, expected: dict[str, str]) -> None:
    options = cuda_options(device, capture=True)
    assert options == expected | {"arena_extend_strategy": "kSameAsRequested"}


class OnTheHost(BucketRunner):
    """The same with buffers that a session on CPU can read and write."""

    def _on_device(self, shape: list[int], kind: Any) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cpu")


def test_calls_on_fixed_buffers_give_what_the_graph_gives_for_each_prompt() -> None:
    session = onnxruntime.InferenceSession(toy_artifact.packed_model(), providers=[PROVIDERS["cpu"]])
    runner = OnTheHost(onnxruntime, session, {"logits": len(LABELS)}, Device())
    random = np.random.default_rng(0)
    for lengths in ((5,), (3, 60, 7), (5000,), (64,), (4000, 200, 1), (2,) * 20, (3, 60, 7)):
        batch = [random.integers(0, len(toy_artifact.WORDS), length) for length in lengths]
        assert runner.run(batch)[0] == pytest.approx(session.run(["logits"], pack(batch))[0])


class Watched(OnTheHost):
    """Notes which threads allocate and run, and the tokens of each run."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.threads: list[str] = []
        self.tokens: list[int] = []

    def _allocate(self, bucket: int) -> Any:
        self.threads.append(threading.current_thread().name)
        return super()._allocate(bucket)

    def _run(self, feed: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        self.tokens.append(len(feed["input_ids"]))
        return super()._run(feed)

    def _replay(self, bucket: int, feed: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        self.tokens.append(len(feed["input_ids"]))
        return super()._replay(bucket, feed)


def watched() -> Watched:
    session = onnxruntime.InferenceSession(toy_artifact.packed_model(), providers=[PROVIDERS["cpu"]])
    return Watched(onnxruntime, session, {"logits": len(LABELS)}, Device())


def test_one_thread_captures_and_runs_whoever_calls() -> None:
    """ONNX Runtime keeps a captured graph for the thread that captured it: another would capture anew."""
    runner = watched()
    runner.run(prompts(3))
    with ThreadPoolExecutor(2) as callers:
        list(callers.map(lambda length: runner.run([np.ones(length, int)]), (3, 60, 100, 5000)))
    assert len(runner.threads) == 5 + 2  # two buckets, and a call beyond them
    assert set(runner.threads) == {"gpu_0"}


def test_every_run_has_whole_blocks_of_tokens() -> None:
    """As a graph for a GPU needs it, also beyond the buckets."""
    runner = watched()
    for length in (3, 65, 4096, 5000):
        runner.run([np.ones(length, int)])
    assert runner.tokens == [64, 128, 4096, 79 * 64]


def test_texts_are_prepared_while_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, entered, go_on, prepared = watched(), threading.Event(), threading.Event(), threading.Event()
    replay = runner._replay

    def blocked(bucket: int, feed: Any) -> Any:
        entered.set()
        assert go_on.wait(10)
        return replay(bucket, feed)

    def noted(feed: Any, bucket: int) -> Any:
        if len(feed["input_ids"]) == 5:
            prepared.set()
        return fill(feed, bucket)

    monkeypatch.setattr(runner, "_replay", blocked)
    monkeypatch.setattr("pointsman.classify.onnx_cuda.fill", noted)
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(runner.run, prompts(3))
        assert entered.wait(10)
        second = callers.submit(runner.run, prompts(5))
        assert prepared.wait(10)
        assert not first.done()
        go_on.set()
        assert len(first.result()[0]) == len(second.result()[0]) == 1


def test_after_the_end_no_call_starts() -> None:
    runner = watched()
    runner.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        runner.run(prompts(3))


def test_beside_vllm_the_memory_is_limited_unless_the_config_says_otherwise() -> None:
    assert ClassifierOptions().gpu_mem_limit_mb == 2048
    assert "gpu_mem_limit" not in cuda_options(Device(0, None), capture=True)


def test_the_benchmark_of_a_gpu_measures_what_serves(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU here: the program itself needs a card."""
    few = gpu.PROMPTS.read_text("utf-8").split("\n")[:10]
    monkeypatch.setattr(gpu, "PROMPTS", tmp_path / "prompts")
    gpu.PROMPTS.write_text("\n".join(few), "utf-8")
    found = gpu.measure(artifact.load(toy_folder), "cpu", runs=2, seconds=0.2)
    assert found["latency_ms"].keys() == {64, 128, 256, 512}
    assert {count: cell["per_second"] > 0 for count, cell in found["short_texts"].items()} == dict.fromkeys(
        (1, 8, 32, 128), True
    )
    assert found["fidelity"] | {"texts": 0} == {"texts": 0, "labels_kept": 1.0, "largest_difference": 0.0}


@pytest.mark.parametrize(
    ("provider", "target", "fix"),
    [
        ("cuda", "cpu", "--target gpu"),
        ("openvino", "cpu", "--target openvino"),
        ("openvino", "gpu", "--target openvino"),
        ("cpu", "openvino", "use_cpu true"),
        ("cuda", "openvino", "use_cpu true"),
    ],
)
def test_a_graph_that_the_provider_cannot_run_is_refused_with_the_export_that_can(
    provider: str, target: str, fix: str
) -> None:
    refusal = unsuited(provider, target)
    assert refusal is not None
    assert refusal.endswith(fix)


def test_a_graph_that_was_exported_for_it_is_run_on_the_gpu() -> None:
    assert unsuited("cuda", "gpu") is None
