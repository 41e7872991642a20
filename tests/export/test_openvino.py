"""`--target openvino` from end to end: the artifact, what the report says, and the daemon's engine on it."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from pointsman.classify import artifact
from pointsman.classify.cores import usable_cores
from pointsman.classify.encoder import Encoder
from pointsman.classify.engine import Engine
from pointsman.classify.openvino_cpu import OpenVinoRunner
from pointsman.classify.shadow import ShadowOptions, proven
from pointsman.config.model import ClassifierOptions
from pointsman.errors import CannotStart
from pointsman_export.common.errors import GraphError
from pointsman_export.export.report import faster
from pointsman_export.export.texts import BUILT_IN
from pointsman_export.export.weight_only import compress
from pointsman_export.fit.main import main as fit
from support.export import Export, Outcome
from support.priorities import OWN, cpu_by_nice
from support.process import eventually

LENGTHS = (2, 9, 64, 300)


@pytest.fixture(scope="module")
def outcome(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The artifact for OpenVINO, in float32; not to be changed."""
    folder = tmp_path_factory.mktemp("openvino") / "out"
    command = [sys.executable, "-m", "pointsman", "export", str(tiny), "-o", str(folder), "--target", "openvino"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr, folder)


def prompts() -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    random = np.random.default_rng(0)
    return [random.integers(5, 200, length) for length in LENGTHS]


def test_the_artifact_holds_what_the_daemon_needs_to_prove_it(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.err
    found = artifact.load(outcome.folder).manifest
    assert (found.target, found.precision, found.inputs) == ("openvino", "int8-f32", ["input_ids", "attention_mask"])
    assert len(found.known_answers) == 4
    assert "openvino" in found.versions
    Encoder(artifact.load(outcome.folder), ClassifierOptions(threads=2)).close()


def test_the_report_compares_both_engines_on_this_host(outcome: Outcome) -> None:
    """In time on one thread and on two, at three lengths, and in fidelity: error, and labels that float gives."""
    assert outcome.out.count(", int8 on ONNX Runtime ") == 3
    lines = dict(line.strip().split(maxsplit=1) for line in outcome.out.splitlines()[1:])
    assert {"faster", "error"} <= lines.keys()
    counts = ["1 thread"] if usable_cores() == 1 else ["1 thread", "2 threads"]
    for count in counts:
        [speeds] = re.findall(rf"OpenVINO +speed-up over ONNX Runtime on {count}: (.*)", outcome.out)
        assert [f" at {tokens} tokens" in speeds for tokens in (32, 128, 512)] == [True] * 3
        assert f"on {count} " in lines["faster"]
    assert re.fullmatch(r"\d+ of 123 as in float, on ONNX Runtime \d+", lines["labels"])
    figures = artifact.read_manifest(outcome.folder).verification
    assert 0.9 * 123 < figures["agreement"]["onnxruntime_agreeing"] <= 123
    assert list(figures["latency_ms"]["on_more_threads"]) == ["2"] * (len(counts) - 1)
    for by_tokens in figures["latency_ms"]["on_more_threads"].values():
        assert by_tokens.keys() == {"32", "128", "512"}
        assert all(row.keys() == {"int8", "int8-f32"} for row in by_tokens.values())
    medians = figures["latency_ms"]["median_by_tokens"]
    assert medians.keys() == {"32", "128", "512"}
    assert all(row.keys() == {"float", "int8", "int8-f32"} for row in medians.values())
    assert 0 < figures["logit_error"]["share"] <= figures["logit_error"]["bound"]
    assert 0 < figures["logit_error"]["onnxruntime"] <= figures["logit_error"]["bound"]


def test_an_export_for_onnx_runtime_says_where_openvino_could_be_compared(
    tiny: Path, outcome: Outcome, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = re.compile(r"OpenVINO +is installed and was not measured; export with --target openvino")
    assert hint.search(export(tiny).out)
    assert not hint.search(outcome.out)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert "OpenVINO" not in export(tiny, "--force").out


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ({1: [1.05, 1.4]}, "on 1 thread OpenVINO"),
        ({1: [1.04, 1.4]}, "on 1 thread neither by 5% at every length"),
        ({1: [0.8, 1.4]}, "on 1 thread neither by 5% at every length"),
        ({1: [0.96, 0.97]}, "on 1 thread neither by 5% at every length"),
        ({1: [0.5, 0.95]}, "on 1 thread ONNX Runtime; export without --target openvino"),
        ({1: [0.5], 2: [0.9]}, "on 1 thread ONNX Runtime, on 2 threads ONNX Runtime; export without --target openvino"),
        ({1: [0.5], 2: [1.2]}, "on 1 thread ONNX Runtime, on 2 threads OpenVINO"),
    ],
)
def test_an_engine_is_faster_if_it_is_by_five_percent_at_every_length(
    ratios: dict[int, list[float]], verdict: str
) -> None:
    assert faster(ratios) == verdict


def test_it_answers_as_the_artifact_of_onnx_runtime_does(outcome: Outcome, exported: Path) -> None:
    """On one thread and on all, alone and in a batch."""
    ours = Engine(artifact.load(outcome.folder), ("openvino",), threads=2)
    expected = Engine(artifact.load(exported), ("cpu",)).run(prompts())
    assert ours.run(prompts()) == pytest.approx(expected, abs=0.03)
    assert ours.run(prompts(), wide=True) == pytest.approx(ours.run(prompts()), abs=1e-4)
    assert np.concatenate([ours.run([one]) for one in prompts()]) == pytest.approx(ours.run(prompts()), abs=1e-6)
    assert (ours.provider, ours.on_cpu, ours.has_wide) == ("openvino", True, True)


def test_bfloat16_is_a_choice_that_the_artifact_keeps(tiny: Path, export: Export) -> None:
    done = export(tiny, "--target", "openvino", "--arithmetic", "bf16", "--max-error", "1", "--gate", "0")
    assert artifact.read_manifest(done.folder).precision == "int8-bf16"
    assert "int8-bf16 for OpenVINO" in done.out


def test_runs_take_their_cpu_at_the_priority_of_their_form(outcome: Outcome) -> None:
    """On threads of OpenVINO's own, whoever calls."""
    runner = OpenVinoRunner(outcome.folder / "model.onnx", "int8-f32", 2)
    assert runner.wide is not None
    for run, nice in ((runner.narrow, 5), (runner.wide, 10)):
        run(prompts())  # compiles for the lengths
        before = cpu_by_nice()
        run(prompts())
        taken = cpu_by_nice() - before
        assert taken[min(19 - OWN, nice)] > 0.7 * taken.total(), taken


async def test_a_stop_ends_a_run_and_lets_none_start(outcome: Outcome) -> None:
    """In the midst of a single prompt, whose run would else give its result, and whatever threads there are."""
    for threads, wide in ((1, False), (2, False), (2, True)):
        await ended_by_a_stop(Engine(artifact.load(outcome.folder), ("openvino",), threads=threads), wide=wide)


async def ended_by_a_stop(engine: Engine, *, wide: bool) -> None:
    raised = list[BaseException]()

    def work() -> None:
        try:
            engine.run([np.full(5000, 7)], wide=wide)  # seconds
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    begun = time.process_time()
    thread.start()
    await eventually(lambda: time.process_time() > begun + 0.2, "it runs, since nothing else here takes CPU")
    engine.stop()
    thread.join()
    assert len(raised) == 1
    assert "cancel" in str(raised[0])
    with pytest.raises(RuntimeError, match="stopped"):
        engine.run([np.full(3, 7)], wide=wide)


def test_memory_levels_off_however_many_lengths_there_are(outcome: Outcome) -> None:
    """What OpenVINO compiles for a length is not kept for ever: 200 more lengths would take 260 MB."""
    program = (
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from pointsman.classify.openvino_cpu import OpenVinoRunner\n"
        f"run = OpenVinoRunner(Path({str(outcome.folder / 'model.onnx')!r}), 'int8-f32', 1).narrow\n"
        "run([np.full(300, 7)])\n"
        "for length in range(2, 301):\n"
        "    run([np.full(length, 7)])\n"
        "    if length in (10, 100, 300):\n"
        "        print(int(Path('/proc/self/statm').read_text().split()[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    early, middle, late = (int(line) * resource.getpagesize() / 2**20 for line in done.stdout.split())
    assert late - early < 200
    assert late - middle < 80


def test_nobody_is_told_that_it_runs(outcome: Outcome) -> None:
    """OpenVINO reports its import to Google Analytics, if the package that does so is there."""
    program = (
        "import sys\n"
        "sys.addaudithook(lambda event, _: print(event) if event.startswith('socket.') else None)\n"
        "from pathlib import Path\n"
        "from pointsman.classify.openvino_cpu import OpenVinoRunner\n"
        f"OpenVinoRunner(Path({str(outcome.folder / 'model.onnx')!r}), 'int8-f32', 1)\n"
        "print('telemetry', sys.modules['openvino_telemetry'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "telemetry None\n"


def test_it_can_read_along_in_shadow(outcome: Outcome) -> None:
    """In a process of its own with bounded memory."""
    options = ShadowOptions(
        folder=str(outcome.folder), max_tokens=512, head_share=0.5, language_gate=True, load_seconds=60
    )
    assert proven(options) is None


def test_eval_judges_it_and_tells_the_library(outcome: Outcome, tmp_path: Path) -> None:
    file, report = tmp_path / "rows.jsonl", tmp_path / "told.json"
    file.write_text("".join(json.dumps({"text": text, "label": "law"}) + "\n" for text in BUILT_IN[:5]))
    program = "import sys; sys.modules['onnxruntime'] = None; from pointsman.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "eval", str(outcome.folder), str(file), "--json", str(report)]
    subprocess.run(command, capture_output=True, check=True)
    versions = json.loads(report.read_text())["provenance"]["versions"]
    assert {"openvino", "onnxruntime"} & versions.keys() == {"openvino"}


def test_other_providers_are_refused_before_their_library_is_asked_for(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the operator of a host without it would be told to install what does not help."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    engine = Engine(artifact.load(outcome.folder), ("cpu", "openvino"))
    assert (engine.provider, len(engine.notes)) == ("openvino", 1)
    assert "leave pointsman.classifier.providers empty" in engine.notes[0]


def test_without_openvino_the_command_and_the_daemon_say_what_to_install(
    tiny: Path, outcome: Outcome, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    done = export(tiny, "--target", "openvino")
    assert (done.code, "install pointsman[openvino]" in done.message, done.left) == (1, True, [])
    with pytest.raises(CannotStart, match=r"install pointsman\[openvino\], or export .* --target cpu"):
        Engine(artifact.load(outcome.folder), ("openvino",))


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "openvino", "--level", "plain"),
        ("--target", "openvino", "--activations", "tensor"),
        ("--arithmetic", "bf16"),
    ],
)
def test_options_of_the_other_engine_are_wrong_usage(tiny: Path, export: Export, options: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        export(tiny, *options)
    assert caught.value.code == 2


def test_fit_makes_a_head_on_it(outcome: Outcome, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": f"{text} {label}", "label": label}) for label in ("a", "b") for text in BUILT_IN[:20]]
    file.write_text("\n".join(lines))
    assert fit(["--base", str(outcome.folder), "--data", str(file), "-o", str(tmp_path / "fitted")]) == 0
    found = artifact.load(tmp_path / "fitted")
    assert (found.manifest.target, found.manifest.labels) == ("openvino", ["a", "b"])
    assert found.model_path == outcome.folder / "model.onnx"


# --- the graph --------------------------------------------------------------------------------------------------


def test_the_weights_of_linear_layers_and_tokens_are_int8(outcome: Outcome) -> None:
    """Each with a scale for each output, or for each token of the embeddings."""
    graph = onnx.load(outcome.folder / "model.onnx").graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    reads = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    assert len(reads) == 4 * 4 + 1
    for node in reads:
        values, scale, _ = node.input
        assert types[values] == onnx.TensorProto.INT8
        assert list(sizes[scale]) == [sizes[values][node.attribute[0].i]]


def test_a_graph_without_one_of_the_layers_is_refused(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="0 linear layers"):
        compress(outcome.folder / "model.onnx", tmp_path / "again.onnx", ["layers.0.mlp.Wi"])
