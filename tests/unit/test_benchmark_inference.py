"""The arithmetic of the inference benchmarks: each figure against a value that is known otherwise."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import re
import shutil
import statistics
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import inference.__main__
import pytest
from inference import alone, batch1, load
from inference.batch1 import floor_ms, in_passes, take_turns, warmed
from inference.ceiling import least_p95_ms, measured_anew, prompts_per_second
from inference.ideal import answered, beyond_class_ms, of_capacity, poisson
from inference.load import LoadWindow, Reply
from inference.metrics import lag_p99_ms
from inference.phases import medians
from inference.prompts import MIX_LIMIT, mixed_lengths
from inference.report import render
from inference.soak import growth
from inference.workplace import InferenceFolder, results
from markdown import unmet
from target import at_least, at_most, quantile

from pointsman.classify import artifact, cpu
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import CostCurve
from pointsman.config.model import ClassifierOptions
from support import toy_artifact
from support.classifiers import opened


def test_a_target_is_met_at_its_bound_and_judges_the_worst() -> None:
    assert at_least("x", 3.0, {"a": 4.0, "b": 3.0}).row() == "| x | 3 b | at least 3 | met |"
    assert at_least("x", 3.0, {"a": 4.0, "b": 2.9}).row() == "| x | 2.9 b | at least 3 | not met |"
    assert at_most("x", 3.0, {"a": 3.0, "b": 1.0}).row() == "| x | 3 a | at most 3 | met |"
    assert at_most("x", 3.0, {"a": 3.1, "b": 1.0}).row() == "| x | 3.1 a | at most 3 | not met |"


def test_what_is_not_met_has_its_reason_and_what_was_not_measured_needs_none() -> None:
    wanted = [at_least(f"speed {name}", 2.0, {"": value}) for name, value in (("a", 1.0), ("b", 1.0), ("c", 3.0))]
    wanted += [at_least("speed d", 2.0, {}), at_most("memory", 1.0, {"": 2.0})]
    assert unmet(wanted, {"speed b": "It is b.", "speed": "It is slow."}) == [
        "- speed a: It is slow.",
        "- speed b: It is b.",
        "- memory: Not found out.",
    ]
    assert unmet(wanted[:2], {"speed": "It is slow."}) == ["- speed a; speed b: It is slow."]


def test_what_was_not_measured_meets_no_target_and_hides_nothing_that_was() -> None:
    for judged in (at_least, at_most):
        assert judged("x", 3.0, {"a": math.nan}).row().endswith("| not measured |")
        assert not judged("x", 3.0, {}).met
    assert at_least("x", 3.0, {"a": math.nan, "b": 2.0}).at == "b"


class Host:
    """A clock, and workers whose calls take `per_token` seconds of it by name; one that is not there has ended."""

    def __init__(self, per_token: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
        self.per_token = per_token
        self.workers: Any = {name: name for name in per_token}
        self.timed: list[tuple[str, int]] = []
        self._now = 0.0
        monkeypatch.setattr(batch1, "time", self)
        monkeypatch.setattr(batch1, "_seconds", self._seconds)

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    def _seconds(self, name: str, tokens: int, runs: int) -> float | None:
        if name not in self.per_token:
            return None
        if runs == 2:
            self.timed.append((name, tokens))
        self._now += runs * tokens * self.per_token[name]
        return tokens * self.per_token[name]


def test_however_slow_a_host_is_the_longest_prompts_are_measured_thrice_and_others_in_each_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host({"a": 10.0, "b": 10.0}, monkeypatch)
    cells = in_passes(host.workers, 2, 1.0)
    assert {tokens: cell.rounds for tokens, cell in cells.items()} == dict.fromkeys(
        (16, 32, 64, 128, 256, 512, 2048), 3
    )
    assert {len(rounds) for cell in cells.values() for rounds in cell.ms.values()} == {3}


def test_variants_go_on_taking_turns_over_the_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host({"a": 10.0, "b": 10.0, "c": 10.0}, monkeypatch)
    in_passes(host.workers, 2, 1.0)
    assert "".join(name for name, tokens in host.timed if tokens == 16) == "abcbcacab"


def test_a_variant_that_ends_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    host = Host({"a": 1.0, "b": 1.0}, monkeypatch)
    cell = warmed(host.workers, 16)
    take_turns(host.workers, 16, cell, 0.0, 2)
    del host.per_token["b"]
    take_turns(host.workers, 16, cell, 0.0, 1)
    assert cell.ms == {"a": [16_000.0] * 3}
    assert "b ended at 16 tokens" in capsys.readouterr().err
    assert warmed(host.workers, 16).ms == {"a": []}


def test_single_prompts_are_measured_in_time_on_two_slow_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round at 2,048 tokens takes 40 s on two threads and 32 s on one; starts and profiles take 150 s."""
    seconds = 150.0
    for threads, variants, longest in ((2, 15, 40.0), (1, 10, 32.0)):
        assert len(batch1.MEASURED[threads]) == variants
        host = Host({str(number): longest / variants / 2048 for number in range(variants)}, monkeypatch)
        in_passes(host.workers, threads, 1.0)
        seconds += host.monotonic()
    assert seconds < 1000


def test_on_one_thread_openvino_ours_in_int8_and_the_floor_are_measured() -> None:
    two, one = (batch1.MEASURED[threads].keys() for threads in (2, 1))
    assert two - one == {"PyTorch float", "optimum float", "optimum int8", "ONNX Runtime int8", "ours float"}


def test_the_floor_of_a_linear_layer_is_its_share_of_the_measured_product() -> None:
    assert floor_ms(512, 10.0, 0.0) == pytest.approx(22 * 10.0)
    assert floor_ms(128, 10.0, 0.0) == pytest.approx(22 * 10.0 / 4)
    # 8 global layers over 512 tokens and 14 over a window of 129, two products of 768 each way
    attention = 4 * 768 * 512 * (8 * 512 + 14 * 129)
    products = 2 * 512 * (768 * 2304 * 2 + 768 * 768 + 1152 * 768)
    assert floor_ms(512, 0.0, 1.0) == pytest.approx(attention / products)


@pytest.mark.heavy
def test_a_part_that_fails_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an empty folder there are no models to measure; the exit status of the whole must not be 0."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    assert inference.__main__.run_parts(InferenceFolder(tmp_path), ["overload", "soak"], 0.01) == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "overload has no result",
        "soak has no result",
    ]


def test_what_fails_counts_for_no_throughput_and_no_latency() -> None:
    replies = [Reply(0.1, 200, ""), Reply(0.3, 200, ""), Reply(9.0, 503, ""), Reply(10.0, 0, "")]
    summary = LoadWindow(replies, 2.0).summary()
    assert summary == {"answered": 2, "failed": 2, "per_second": 1.0, "p50_ms": 100.0, "p95_ms": 300.0, "p99_ms": 300.0}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert [quantile(range(1, 101), share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert math.isnan(quantile([], 0.5))


def test_the_lag_is_that_of_the_time_in_between() -> None:
    before = {0.001: 1000.0, 0.005: 1000.0, math.inf: 1000.0}
    assert lag_p99_ms(before, {0.001: 1090.0, 0.005: 1099.0, math.inf: 1100.0}) == 5.0
    assert lag_p99_ms(before, {0.001: 1090.0, 0.005: 1098.0, math.inf: 1100.0}) == math.inf
    assert math.isnan(lag_p99_ms(before, before))


def test_memory_that_grows_while_it_warms_up_is_flat_and_a_leak_is_not() -> None:
    assert growth([100.0, 150.0, *[200.0] * 6]) == 1.0
    assert growth([100.0 + 10 * step for step in range(8)]) == pytest.approx(165 / 125)


def test_the_mix_has_the_median_and_the_tail_that_it_is_said_to_have() -> None:
    lengths = sorted(itertools.islice(mixed_lengths(random.Random(1)), 16 * 200))  # noqa: S311
    assert statistics.median(lengths) == pytest.approx(40, rel=0.05)
    assert quantile(lengths, 0.95) == pytest.approx(500, rel=0.05)
    assert lengths[-1] == MIX_LIMIT


def test_the_ceiling_is_all_workers_at_the_best_rate() -> None:
    curve = CostCurve(workers=2, tokens=(16, 64, 512), alone=(1.0, 1.0, 8.0), beside=(1.0, 1.0, 8.0), wide=())
    assert prompts_per_second(curve, [16, 16]) == pytest.approx(2 / 0.25)  # four prompts share a run of 64 tokens
    assert prompts_per_second(curve, [512]) == pytest.approx(2 / 8.0)


def test_the_least_p95_is_that_of_the_better_order() -> None:
    """One worker, two clients, a second for a short prompt and ten for a long one."""
    curve = CostCurve(workers=1, tokens=(1, 2), alone=(1.0, 10.0), beside=(1.0, 10.0), wide=())
    assert least_p95_ms(curve, [1, 1, 1, 1], 2) == 2000  # each waits for the other client's
    assert least_p95_ms(curve, [1, 2, 1, 1, 1], 2) == 11_000  # first come, first served: no long one waits for all
    assert least_p95_ms(curve, [1, 2, *[1] * 18], 2) == 1000  # the shortest first: one long one waits for all


def reported(folder: Path, part: str, found: dict[str, Any]) -> list[str]:
    machine = {"cores": 2, "cpu": "x"}
    head = {"machine": machine, "versions": {"onnxruntime": "1"}, "python": "3", "commit": "c", "time": "t"}
    (folder / f"inference-{part}.json").write_text(json.dumps(head | {"peers": {}, "seconds": 1, "found": found}))
    return render(folder)


RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize(("vnni", "folder"), [(True, "results"), (False, "results/no-vnni")])
def test_results_without_vnni_do_not_replace_the_others(
    monkeypatch: pytest.MonkeyPatch, vnni: bool, folder: str
) -> None:
    monkeypatch.setattr(cpu, "has_vnni", lambda: vnni)
    assert results() == RESULTS.parent / folder


def test_a_curve_is_measured_anew_whatever_an_earlier_start_has_left(tmp_path: Path) -> None:
    folder = toy_artifact.build_measured(tmp_path / "toy")
    options = ClassifierOptions(cache_entries=0)
    with opened(artifact.load(folder), options) as classifier:
        left = classifier.encoder.curve
    with measured_anew({"toy": folder}, options) as loaded:
        assert loaded["toy"].encoder.curve != left


async def test_clients_without_http_ask_until_the_texts_or_the_seconds_end(classifier: Classifier) -> None:
    window = await alone.closed_loop(classifier, iter(["one", "two", "three"]), 2, math.inf)
    assert window.summary()["answered"] == 3
    window = await alone.closed_loop(classifier, iter(["one"] * 9), 2, 0.0)
    assert window.replies == []


@pytest.mark.parametrize("folder", [page.parent for page in RESULTS.rglob("inference.md")], ids=lambda one: one.name)
def test_the_report_says_what_was_measured(tmp_path: Path, folder: Path) -> None:
    """It is rendered from the result files, so that no figure in it is older than they are."""
    for file in folder.glob("inference-*.json"):
        shutil.copy(file, tmp_path)
    lines = render(tmp_path)
    assert lines == (folder / "inference.md").read_text("utf-8").splitlines()
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in lines if line.startswith("#")}
    assert set(re.findall(r"\]\(#([^)]*)\)", "\n".join(lines))) <= headings


def test_where_the_time_went_is_read_from_the_log_of_a_window(tmp_path: Path) -> None:
    """Of what was classified in it; cache hits have no run, and other events no phases."""

    def line(second: int, **ms: float) -> str:
        return json.dumps({"ts": f"2026-11-27T15:03:{second:02}.249+00:00", "ms": ms})

    lines = [
        line(1, queue=9.0, infer=9.0, total=99.0),
        line(2, queue=0.5, tokenize=0.25, infer=2.0, decide=0.25, upstream=100.0, total=104.0),
        line(2, total=101.0),
        '{"ts": "2026-11-27T15:03:02.249+00:00", "event": "ready"}',
        "a library's warning",
        line(3, queue=0.5, tokenize=0.25, infer=4.0, decide=0.25, upstream=100.0, total=108.0),
    ]
    begun, ended = (datetime(2026, 11, 27, 15, 3, second, 249_000, UTC) for second in (2, 3))
    found = medians(lines, begun, ended)
    assert found == {"queue": 0.5, "tokenize": 0.25, "infer": 3.0, "decide": 0.25, "upstream": 100.0, "rest": 2.0}
    assert medians(lines, ended + timedelta(seconds=1), ended + timedelta(seconds=9)) == {}
    cell = {way: [{"p50_ms": 1.0, "p95_ms": 1.0}] for way in ("direct", "routed")}
    one = {"capacity": 10.0, "alone_ms": [1.0], "phases_ms": {"0.3": found}, "windows": {"0.3": cell}}
    sentence = reported(tmp_path, "added", {"delay_ms": 100.0, "missing": [], "classifiers": {"base": one}})
    assert "| base, 30% | 0.50 | 0.25 | 3.00 | 0.25 | 100.00 | 2.00 |" in sentence


def test_an_ideal_server_of_one_worker_waits_as_queueing_theory_says() -> None:
    """Poisson arrivals, one run each of a second: the mean wait is load / (2 (1 - load)), and half find it idle."""
    curve = CostCurve(workers=1, tokens=(16,), alone=(0.75,), beside=(0.75,), wide=())
    taken = answered(curve, 0.25, 16, poisson(0.5, 20_000), 1)
    assert statistics.mean(taken) - 1 == pytest.approx(0.5, rel=0.03)
    assert sum(seconds == pytest.approx(1) for seconds in taken) / len(taken) == pytest.approx(0.5, abs=0.02)


def test_an_ideal_server_slows_down_beside_another_run_and_shares_runs() -> None:
    """A run takes 3 s on an idle host, 4 beside another, 6 for two texts; the one alone at the end speeds up."""
    curve = CostCurve(workers=2, tokens=(10, 20), alone=(4.0, 6.0), beside=(4.0, 6.0), wide=(3.0, 6.0))
    assert answered(curve, 0.0, 10, [0.0, 5.0], 1) == [3.0, 3.0]
    assert answered(curve, 0.0, 10, [0.0, 0.0], 1) == [4.0, 4.0]
    assert answered(curve, 0.0, 10, [0.0, 1.5], 1) == [pytest.approx(1.5 + 2.0), pytest.approx(2.0 + 1.5)]
    assert answered(curve, 0.0, 10, [0.0, 0.0, 1.0, 1.0], 2) == [4.0, 4.0, 9.0, 9.0]
    assert answered(curve, 0.0, 10, [0.0, 0.0, 1.0, 1.0], 1) == [4.0, 4.0, 7.0, 7.0]
    beyond = beyond_class_ms(curve, 3.5, 10, [0.0, 0.0, 0.0])
    assert beyond == pytest.approx(1000 * (4.5 - 3.5))  # half a second more in each run


def test_a_queue_of_a_capacity_serves_so_many_and_a_lone_text_in_its_time() -> None:
    """Two workers at ten texts a second take 0.2 s for each; of three at once the median waits for none."""
    curve = of_capacity(2, 18, 0.15, 10.0)
    assert answered(curve, 0.0, 18, [0.0], 1) == [0.15]
    assert answered(curve, 0.0, 18, [0.0] * 3, 1) == [0.2, 0.2, pytest.approx(0.35)]
    assert beyond_class_ms(curve, 0.15, 18, [0.0] * 3) == pytest.approx(50)
    cold = of_capacity(2, 18, 0.25, 10.0)  # a lone text may take longer than one of many
    assert beyond_class_ms(cold, 0.25, 18, [0.0] * 3) == 0.0


def test_the_ideal_server_gets_the_arrivals_that_the_load_generator_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clients are refused here, when they are due by a clock that only sleep moves."""
    now, refused = 0.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def refuse(_: int) -> None:
        refused.append(now)
        raise ConnectionRefusedError

    monkeypatch.setattr("inference.load.time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr("inference.load.asyncio.sleep", sleep)
    monkeypatch.setattr("inference.load._LoadConnection.open", refuse)
    load.open_loop(0, itertools.repeat(b""), 50.0, 2.0)
    assert len(refused) == len(poisson(50.0, 2.0)) > 60
