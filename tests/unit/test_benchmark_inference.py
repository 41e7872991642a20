"""The arithmetic of the inference benchmarks: each figure against a value that is known otherwise."""

from __future__ import annotations

import contextlib
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
from inference import alone, batch1, load, report, targets
from inference.batch1 import floor_ms, in_passes, take_turns, warmed
from inference.ceiling import least_p95_ms, measured_anew, prompts_per_second
from inference.ideal import answered, beyond_class_ms, of_capacity, poisson
from inference.load import LoadWindow, Reply
from inference.metrics import lag_p99_ms
from inference.phases import medians
from inference.prompts import MIX_LIMIT, mixed_lengths
from inference.report import added_reasons, batch1_reasons, render, serving_reasons, soak_reasons
from inference.soak import growth
from inference.workplace import InferenceFolder, results
from markdown import unmet
from target import at_least, at_most, quantile, ratio

from pointsman.classify import artifact, cpu
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import CostCurve
from pointsman.config.model import ClassifierOptions
from support import toy_artifact


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


def test_a_slow_round_that_hits_both_leaves_their_ratio_as_it_is() -> None:
    assert ratio([4.0, 40.0, 4.0], [2.0, 20.0, 2.0]) == 2.0
    assert math.isnan(ratio([], [1.0]))


def test_the_slowest_length_is_judged() -> None:
    cell = {"optimum float": [30.0], "ours int8 per tensor": [10.0], "int8 product": [1.0], "float product": [1.0]}
    cells = {"32": cell, "128": cell | {"ours int8 per tensor": [20.0]}, "2048": cell}
    found = {row.what: row for row in targets.batch1({"ms": {"2": cells, "1": {}}}, "ours int8 per tensor")}
    row = found["speed-up over optimum's float, from 32 tokens"]
    assert (row.measured, row.at, row.met) == (1.5, "128 tokens, 2 threads", False)


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


def test_the_fastest_form_of_openvino_is_judged_on_one_thread_and_on_two() -> None:
    rest = {"int8 product": [1.0], "float product": [1.0], "ours int8 per token": [10.0]}
    two = rest | {"OpenVINO int8": [9.0], "OpenVINO int8 weights": [12.0], "OpenVINO int8 weights, f32": [11.0]}
    one = rest | {"OpenVINO int8": [12.0], "OpenVINO int8 weights": [8.0]}

    def judged(ms: dict[str, Any]) -> dict[str, tuple[float, str]]:
        return {row.what: (row.measured, row.at) for row in targets.batch1({"ms": ms}, "ours int8 per token")}

    rows = judged({"2": {"128": two}, "1": {}})
    assert rows["speed-up over OpenVINO's fastest form"] == (0.9, "128 tokens, 2 threads")
    assert rows["speed-up over OpenVINO at like fidelity"] == (1.1, "128 tokens, 2 threads")
    rows = judged({"2": {"128": two}, "1": {"16": one}})
    assert rows["speed-up over OpenVINO's fastest form"] == (0.8, "16 tokens, 1 thread")


def test_a_peer_is_the_best_of_its_cell_and_not_of_all() -> None:
    def window(per_second: float) -> list[dict[str, float]]:
        return [{"per_second": per_second, "p95_ms": 1000 / per_second}]

    def cell(torch: float, pipeline: float) -> dict[str, Any]:
        return {"ours int8": window(100.0), "infinity, torch": window(torch), "optimum int8 pipeline": window(pipeline)}

    closed = {name: {"1": cell(50, 40), "8": cell(20, 50), "32": cell(25, 20)} for name in ("short", "mix")}
    ceiling = {"ours int8": {"short": 110.0, "mix": 200.0}}
    rows = targets.serving({"closed": closed, "ceiling": ceiling}, "ours int8")
    found = {row.what: (row.measured, row.at) for row in rows}
    assert found["short: throughput relative to the best peer, 8 and 32 clients"] == (
        2.0,
        "8 clients, optimum int8 pipeline",
    )
    assert found["short: throughput relative to the best peer, 1 client"] == (2.0, "1 client, infinity, torch")
    measured, beside = found["mix: p95 relative to the best peer, 8 clients"]
    assert measured == pytest.approx(0.5)
    assert beside == "optimum int8 pipeline"
    assert found["share of the throughput by the cost curve, 32 clients"] == (0.5, "mix")


def test_the_peer_that_waits_least_is_not_the_one_that_answers_most_and_the_bound_is_told() -> None:
    def window(per_second: float, p95_ms: float) -> list[dict[str, float]]:
        return [{"per_second": per_second, "p95_ms": p95_ms}]

    cell = {
        "ours int8": window(100.0, 1000.0),
        "infinity, torch": window(80.0, 1250.0),
        "infinity, optimum int8": window(60.0, 800.0),
    }
    closed = {name: dict.fromkeys(("1", "8", "32"), cell) for name in ("short", "mix")}
    found = {"closed": closed, "ceiling": {"ours int8": {"short": 120.0, "mix": 200.0}}}
    found["least_p95_ms"] = {"ours int8": 401.0}
    rows = {row.what: row for row in targets.serving(found, "ours int8")}
    row = rows["mix: p95 relative to the best peer, 8 clients"]
    assert (row.measured, row.at) == (1.25, "infinity, optimum int8")
    assert rows["mix: throughput relative to the best peer, 8 clients"].at == "8 clients, infinity, torch"

    reasons = serving_reasons(found, "ours int8")
    assert reasons["mix: p95 relative to the best peer, 8 clients"] == (
        "0.5 of 800 ms is 400. If nothing but the runs took time, the better of two orders (first come, first served; "
        "the shortest first) would give 401 ms by the cost curve. Of other orders this says nothing."
    )
    short = reasons["short: throughput relative to the best peer, 8 and 32 clients"]
    assert "the runs alone give 1.50 times the rate of infinity, torch at 8 clients, where 1.6 is wanted." in short
    mix = reasons["mix: throughput relative to the best peer, 8 clients"]
    assert "the runs alone give 2.50 times the rate of infinity, torch at 8 clients, where 1.25 is wanted." in mix
    found["least_p95_ms"] = {"ours int8": 400.0}
    assert "mix: p95 relative to the best peer, 8 clients" not in serving_reasons(found, "ours int8")

    share = "share of the throughput by the cost curve, 32 clients"
    assert reasons[share].startswith("This result has one curve"), "of a result that is older"
    cell["ours int8"] = [{"per_second": rate, "p95_ms": 1000.0} for rate in (100.0, 80.0, 170.0)]
    by_itself = [{"per_second": rate} for rate in (120.0, 100.0, 170.0)]
    found |= {"alone": {"mix": {"ours int8": by_itself}}}
    found["ceiling"] = {"ours int8": {"short": [120.0] * 3, "mix": [200.0, 100.0, 400.0]}}
    cell["infinity, torch"] = [{"per_second": 100.0, "p95_ms": 1000.0}] * 3
    reasons = serving_reasons(found, "ours int8")
    assert reasons[share] == (
        "With the same texts in the same rounds, 32 clients without HTTP get 0.60 of it, and over HTTP 0.83 of that."
    ), "medians of the rounds' ratios"
    by_round = {row.what: row.measured for row in targets.serving(found, "ours int8")}
    assert by_round[share] == pytest.approx(0.5)
    one = "short: throughput relative to the best peer, 1 client"
    assert reasons[one].startswith("The rounds gave 0.80 to 1.70: ")
    cell["ours int8"] = [{"per_second": 80.0, "p95_ms": 1000.0}] * 3
    assert "#one-prompt-at-a-time" in serving_reasons(found, "ours int8")[one]


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


def test_a_report_names_what_was_not_measured_and_shows_the_rest(tmp_path: Path) -> None:
    cell = {
        "ours int8 per token": [12.0],
        "ours int8 per tensor": [10.0],
        "int8 product": [1.0],
        "float product": [1.0],
    }
    cells = {"32": cell, "128": cell}
    found = {"missing": ["OpenVINO int8"], "ms": {"2": cells, "1": cells}, "proofs": {}}
    machine = {"cores": 2, "cpu": "x"}
    head = {"machine": machine, "versions": {"onnxruntime": "1"}, "python": "3", "commit": "c", "time": "t"}
    (tmp_path / "inference-batch1.json").write_text(json.dumps(head | {"peers": {}, "seconds": 1, "found": found}))
    lines = render(tmp_path)
    assert "Not measured, since it could not be run: OpenVINO int8." in lines
    assert "| speed-up over OpenVINO's fastest form | ? | at least 0.95 | not measured |" in lines
    assert "| ours int8 per tensor | 10.0 | 10.0 |" in lines
    judged = [line for line in lines if line.startswith("| speed-up over optimum's float")]
    assert judged == ["| speed-up over optimum's float, from 32 tokens | ? | at least 3 | not measured |"] * 2
    assert lines.index("The default, `export` without options:") < lines.index(judged[0])
    assert "`serving` was not measured." in lines


def reported(folder: Path, part: str, found: dict[str, Any]) -> list[str]:
    machine = {"cores": 2, "cpu": "x"}
    head = {"machine": machine, "versions": {"onnxruntime": "1"}, "python": "3", "commit": "c", "time": "t"}
    (folder / f"inference-{part}.json").write_text(json.dumps(head | {"peers": {}, "seconds": 1, "found": found}))
    return render(folder)


TWO_THREADS = "On two threads the time depends on whether the two cores share a cache (docs/decisions/0023)."


def test_a_target_is_said_to_be_met_on_one_thread_only_if_it_is() -> None:
    cell = {name: [1.0] for name in ("int8 product", "float product")} | {"ours int8 per token": [10.0]}
    slower, faster = ({"128": cell | {"OpenVINO int8 weights": [ms]}} for ms in (9.0, 11.0))
    speed_up = "speed-up over OpenVINO at like fidelity"

    def reason(one: dict[str, Any]) -> str:
        found = {"ms": {"2": slower, "1": one}}
        return batch1_reasons(found, "ours int8 per token")[speed_up]

    assert reason(faster) == f"{TWO_THREADS} On one thread it is met at every length."
    assert reason(faster | {"16": slower["128"]}) == TWO_THREADS


def test_why_single_prompts_miss_a_target_is_computed() -> None:
    """The share of the products, and which form of OpenVINO is the fastest where ours is the slowest."""
    rest = {"int8 product": [0.1], "float product": [0.0]}  # 22 layers of it at 512 tokens
    forms = {
        "optimum float": [15.0],
        "OpenVINO int8": [9.0],
        "OpenVINO int8, f32": [7.0],
        "OpenVINO int8 weights": [20.0],
    }
    found = {"ms": {"2": {"512": rest | forms | {"ours int8 per token": [10.0]}}, "1": {"512": rest}}}
    reasons = batch1_reasons(found, "ours int8 per token")
    speed_up = "speed-up over optimum's float, from 32 tokens"
    there = "There the products alone take 22% of our time; without the rest it would be 6.82."
    assert reasons[speed_up] == f"{there} {TWO_THREADS}"
    sentence = "The fastest is OpenVINO int8, f32. With float32 in place of bfloat16, OpenVINO gives 0.70 there."
    assert reasons[targets.FASTEST] == f"{sentence} {TWO_THREADS}"

    # Cores that share no cache for a while slow down whatever runs then.
    found["ms"]["2"]["512"]["int8 product"] = [1.0]
    alone = "There the products alone, run by themselves, took no less time than a whole run of ours."
    assert batch1_reasons(found, "ours int8 per token")[speed_up] == f"{alone} {TWO_THREADS}"


def test_in_what_steps_memory_grew_is_computed() -> None:
    found = {"mib": [100.0, 200.0, 200.5, 204.5, 204.6, 217.0, 217.0, 217.1], "seconds": [float(at) for at in range(8)]}
    assert soak_reasons(found) == {
        "memory in the last quarter": (
            "After the warm-up memory grew in 2 steps of 4 to 12 MiB, the last after 5 of 7 s, and by 0.2 MiB "
            "between these steps."
        )
    }
    assert soak_reasons({"mib": [100.0] * 8, "seconds": [0.0] * 8}) == {}


def test_a_part_that_was_measured_with_another_built_in_says_so(tmp_path: Path) -> None:
    found = {"sha256": "of another", "ms": {tokens: {"1": [2.0], "2": [1.0]} for tokens in ("32", "128")}}
    head = {
        "machine": {"cores": 2, "cpu": "x"},
        "versions": {"onnxruntime": "1"},
        "python": "3",
        "commit": "c",
        "time": "t",
    }
    (tmp_path / "inference-built_in.json").write_text(json.dumps(head | {"peers": {}, "seconds": 1, "found": found}))
    lines = render(tmp_path)
    assert "**Measured with another built-in classifier than the present one.**" in lines
    assert "| the built-in at 32 tokens, ms | 2 on 1 thread | at most 3 | met |" in lines


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
    with contextlib.closing(Classifier(artifact.load(folder), options)) as classifier:
        left = classifier.curve
    with measured_anew({"toy": folder}, options) as loaded:
        assert loaded["toy"].curve != left


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


def test_the_targets_on_a_card_stand_in_the_report_with_a_card_and_without(tmp_path: Path) -> None:
    lines = render(tmp_path)
    assert "| p50 of a text of 512 tokens, ms | ? | at most 2 | not measured |" in lines
    assert "| short texts a second | ? | at least 5,000 | not measured |" in lines
    assert lines[-1] == "No card was at hand."

    found = {
        "latency_ms": {"256": {"first": 9.0, "median": 1.0}, "512": {"first": 9.0, "median": 2.5}},
        "short_texts": {"8": {"per_second": 3000.0}, "128": {"per_second": 6000.0}},
        "card": {"ready": {"cards": ["a card"]}},
    }
    head = {
        "machine": {"cores": 2, "cpu": "x"},
        "versions": {"onnxruntime-gpu": "1"},
        "python": "3",
        "commit": "c",
        "time": "t",
    }
    (tmp_path / "gpu.json").write_text(json.dumps(head | {"found": found}))
    lines = render(tmp_path)
    assert "| p50 of a text of 512 tokens, ms | 2.5 | at most 2 | not met |" in lines
    assert "| short texts a second | 6,000 128 in flight | at least 5,000 | met |" in lines
    assert lines[-1] == "On a card: 2 cores of x, Python 3, onnxruntime-gpu 1; commit c, t."


def test_what_the_daemon_adds_is_judged_by_round_and_beside_what_a_hit_adds(tmp_path: Path) -> None:
    def windows(*p50s: float) -> list[dict[str, float]]:
        return [{"p50_ms": p50, "p95_ms": p50} for p50 in p50s]

    cell = {
        "direct": windows(100.0, 101.0, 100.0),
        "built-in, miss": windows(108.0, 107.0, 112.0),
        "built-in, hit": windows(100.5, 102.0, 101.5),
    }
    alone = {"miss": [6000.0, 5000.0, 9000.0], "hit": [0.0, 500.0, 500.0]}
    lines = report.routed({"delay_ms": 100.0, "ways": {"1": cell}, "built_in_us": alone})
    what = "p50 added besides classification, built-in, 1 client, ms"
    assert f"| {what} | 2 miss | at most 1 | not met |" in lines
    assert f"- {what}: A hit, which runs no model, adds 0.50: reading, sending and waking threads." in lines


def test_what_a_request_costs_beyond_its_class_is_judged_by_round_and_load() -> None:
    def windows(*p50s: float) -> list[dict[str, float]]:
        return [{"p50_ms": p50, "p95_ms": 2 * p50} for p50 in p50s]

    one = {
        "alone_ms": [2.0, 2.25, 1.75],
        "ideal_ms": {"0.3": 0.25, "0.9": 1.0},
        "queue_ms": {"0.3": 0.0, "0.9": 8.0},
        "capacity": 100.0,
        "phases_ms": {"0.9": {"queue": 8.0, "tokenize": 0.1, "infer": 1.5, "upstream": 100.0, "rest": 0.4}},
        "windows": {
            "0.3": {"direct": windows(100.0, 104.0, 101.0), "routed": windows(103.0, 106.5, 103.5)},
            "0.9": {"direct": windows(*[100.0] * 3), "routed": windows(*[112.0] * 3)},
        },
    }
    assert targets.beyond_class(one) == {"0.3": 0.75, "0.9": 10.0}
    rows = [target.row() for target in targets.added({"classifiers": {"built-in": one}})]
    assert rows == [
        "| p50 beyond its class at 30% of the capacity, built-in, ms | 0.75 | at most 1 | met |",
        "| p50 above the bound at 30% of the capacity, built-in, ms | 0.5 | at most 1 | met |",
        "| p50 beyond its class at 90% of the capacity, built-in, ms | 10 | at most 1 | not met |",
        "| p50 above the bound at 90% of the capacity, built-in, ms | 2 | at most 1 | not met |",
    ]
    reasons = unmet(
        targets.added({"classifiers": {"built-in": one}}), added_reasons({"classifiers": {"built-in": one}})
    )
    assert reasons == [
        (
            "- p50 beyond its class at 90% of the capacity, built-in, ms; p50 above the bound at 90% of the capacity, "
            "built-in, ms: Of 10.00 ms the bound has 8.00. With its class, a request waits 8.00 ms, is tokenized in "
            "0.10 ms, runs for 1.50 ms, and has 0.40 ms of reading, sending and waking threads, in the median."
        ),
    ]


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
