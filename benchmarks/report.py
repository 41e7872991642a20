"""Render docs/benchmarks.md from the result files, so that no number in the docs is typed by hand."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import choices
from choices import cell, few_sources, overall
from inference.workplace import NO_VNNI, RESULTS
from markdown import table
from provenance import processor
from read_labels import FIGURES
from target import at_least, at_most

from pointsman.classify import artifact
from pointsman.config.load import load as load_config
from pointsman.routing.thresholds import at_precision

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
BUILTIN = ROOT / "daemon" / "pointsman" / "assets" / "builtin"
RECORD = ROOT / "training" / "builtin.json"
ADAPTERS = ("technical", "medical", "legal")
"""Categories of the shipped config that an adapter answers."""
LABELLED = {"prompts": "hand-written prompts", "dev_mmlu_pro": "dev_mmlu_pro"}
"""Sets that are judged by the 14 labels."""
WANTED = (
    ("reach", "prompts", 0.92),
    ("reach", "dev_user_prompts", 0.85),
    ("precision", "prompts", 0.95),
    ("precision", "dev_user_prompts", 0.95),
    ("precision", "dev_out_of_scope", 0.95),
    ("right", "read_prompts", 0.93),
)
"""Targets of `make bench-choices`: of a figure on a set, by the mean of its sources."""
CLASSIFICATION = (
    "## Classification",
    "",
    "[Speed of classification](../benchmarks/results/inference.md): one prompt at a time, over HTTP, and under",
    "overload, compared with PyTorch, optimum, OpenVINO and infinity (`make bench-inference`);",
    "[the same on a CPU without VNNI](../benchmarks/results/no-vnni/inference.md), where int8 is computed",
    "[in another way](decisions/0024-int8-sums-are-exact-on-any-cpu.md). OpenVINO is",
    "[a choice of the export](decisions/0023-openvino-is-a-choice-of-the-export.md).",
    "",
    "[The language gate](../benchmarks/results/languages.md): what it stops, lets pass and costs, compared with other",
    "detectors (`make bench-languages`).",
    "",
    "[The built-in classifier](model-card.md): how good its 14 labels are (`make bench-accuracy`), and on text of an",
    "origin that it was not trained on (`make bench-held-out`).",
    "",
    "[Which model a prompt gets](../benchmarks/results/choices.md), and which it should: by labels that were read, by",
    "category and source, with the thresholds of today and the former ones (`make bench-choices`).",
    "",
    "[Adapters that only texts describe](../benchmarks/results/fleets.md): how many prompts of four invented fleets",
    "reach theirs, beside `pointsman fit` (`make bench-fleets`).",
    "",
    "[On a GPU](../benchmarks/results/inference.md#on-a-gpu): latency and throughput on CUDA (`make bench-gpu`).",
    "",
    "[Later turns of a conversation](../benchmarks/results/conversations.md): whether they keep their adapter, leave",
    "it for another subject, and inherit nothing from strangers, and what that costs a request",
    "(`make bench-conversations`).",
    "",
    "[Training a head](../benchmarks/results/fit.md): how good descriptions of the labels are beside rows, and how",
    "long many rows take (`make bench-fit`).",
    "",
    "[Routes that the built-in changes](../benchmarks/results/replay.md) against that of release 0.1, by `pointsman",
    "replay` (`make bench-replay`).",
)

RELAY = (
    "",
    "## Relay",
    "",
    "[Cost of forwarding a request or a stream](../benchmarks/results/relay.md): CPU, latency and memory, compared",
    "with nginx, Envoy and vllm-router, and with the classifier in the path (`make bench-relay`).",
    "",
    "[What the daemon does for one request](../benchmarks/results/path.md), without sockets: one that names its model,",
    "and one whose class is in the cache (`make bench-path`).",
    "",
    "[Malformed requests of others](../benchmarks/results/smuggling.md): the tests of two parsers and the headers of a",
    "scanner, whole and cut in eight ways; none reaches vLLM as another request (`make smuggling`).",
    "",
    "[A rollout from shadow to a bad canary](../benchmarks/results/rollout.md), what it, feedback and rules cost a",
    "request, and how often `pointsman compare` finds what is there and what is not (`make bench-rollout`).",
    "",
    "[A day on which the router is improved](../benchmarks/results/improve.md) from its own traffic: labelled on the",
    "page in a browser, fitted, promoted, and taken back (`make bench-improve`).",
    "",
    "[What became of every request](../benchmarks/results/chaos.json) in ten minutes of clients and vLLMs that",
    "misbehave at random: each has one outcome, which its client saw; each answer is for its client's own prompt, by",
    "the model that was decided for it; and nothing is left over. The same check names every fault that is injected on",
    "the wire (`make chaos`).",
    "",
    "[How long the largest bodies delay other clients](../benchmarks/results/bodies.md), also those that are made to",
    "(`make bench-bodies`).",
    "",
    "[What the service takes, and how it does, under limits of systemd](../benchmarks/results/limits.md)",
    "(`make bench-limits`).",
)

ASK = (
    "",
    "## The ask",
    "",
    "[How often a question keeps its model](../benchmarks/results/ask.md) in what agents, editors, RAG frameworks and",
    "chat front ends send around it, and beside documents that try to speak in its place (`make bench-ask`).",
    "[Questions that only point to a document](../benchmarks/results/ask_pointing.md), with and without it.",
)


def main() -> None:
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(benchmarks()) + "\n")
    for card in (ROOT / "docs" / "model-card.md", BUILTIN / "README.md"):
        put(model_card(), card)
    put(sizing(), ROOT / "docs" / "operations.md")


def benchmarks() -> list[str]:
    """Return docs/benchmarks.md."""
    return [
        "# Benchmarks",
        "",
        *startup(load("startup")),
        *described(load("described")),
        *CLASSIFICATION,
        *ASK,
        *RELAY,
        *soak(load("soak")),
        *reloads(load("reload")),
        *restarts(load("service")),
    ]


def model_card() -> list[str]:
    """Return the text between the marks of a model card."""
    return [*which_model(), "", *accuracy(), "", *wanted(), "", *held_out(), "", *near_copies()]


def put(figures: list[str], page: Path) -> None:
    """Write figures between the markers of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text("\n".join([f"{before}{BEGIN}", *figures, f"{END}{rest.partition(END)[2]}"]))


def load(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return result


def startup(result: dict[str, Any]) -> list[str]:
    median, runs = result["median"], result["runs"]
    rows = [
        ("first start on a host, with its measurement", "first_ready_s", "s", "2"),
        ("time from `serve` to ready", "ready_s", "s", "2"),
        ("resident memory, ready", "ready_rss_mib", "MiB", "250"),
        ("resident memory after 400 prompts", "used_rss_mib", "MiB", "250"),
    ]
    return [
        "Rendered by `make docs` from the files in `benchmarks/results/`. Medians; this kind of machine is noisy.",
        "Each table is reproduced by the `make` target named with it: [what they need](../CONTRIBUTING.md#benchmarks).",
        "",
        "## Start and memory",
        "",
        f"The shipped config and the built-in classifier, {len(runs)} starts (`make bench-startup`). {origin(result)}",
        "",
        "| what | median | least | most | target |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {what} | {median[key]} {unit} | {min(run[key] for run in runs)} | {max(run[key] for run in runs)} "
            f"| under {target} {unit} |"
            for what, key, unit, target in rows
            if key in median
        ),
        "",
    ]


def sizing() -> list[str]:
    """Return throughput per core and memory of the classifiers, each with the CPU that it was measured on."""
    folders = {"with VNNI": RESULTS, "without VNNI": NO_VNNI}
    lines = [
        "| classifier | tokens of a prompt | new prompts a second on a core | memory | CPU |",
        "| --- | --- | --- | --- | --- |",
        *(row for cpu, folder in folders.items() for row in _sizes(cpu, folder)),
        "",
        "The built-in runs alone; ModernBERT-base behind HTTP, with 8 clients on the same cores.",
    ]
    for cpu, folder in folders.items():
        alone, serving = (origin(load(f"inference-{part}", folder)) for part in ("built_in", "serving"))
        lines += ["", f"Built-in, {cpu}: {alone}", "", f"ModernBERT-base, {cpu}: {serving}"]
    return lines


def _sizes(cpu: str, folder: Path) -> Iterator[str]:
    """Yield the rows of the CPUs of a folder."""
    alone, serving, soak = (load(f"inference-{part}", folder) for part in ("built_in", "serving", "soak"))
    cores, found = serving["machine"]["cores"], serving["found"]
    memory = load("startup")["median"]["used_rss_mib"], max(soak["found"]["mib"])
    for tokens in ("16", "128", "512"):
        ms = statistics.median(alone["found"]["ms"][tokens]["1"])
        yield f"| built-in | {tokens} | {1000 / ms:,.0f} | {memory[0]:.0f} MiB | {cpu} |"
    for workload, cells in found["closed"].items():
        rate = statistics.median(each["per_second"] for each in cells["8"]["ours int8"])
        tokens = f"{found['tokens'][workload]['mean']:.0f} (mean)"
        yield f"| ModernBERT-base, int8 | {tokens} | {rate / cores:,.0f} | {memory[1]:.0f} MiB | {cpu} |"


def soak(result: dict[str, Any]) -> list[str]:
    """Return what hostile clients and operations did to honest clients."""
    found = result["found"]
    resident = found["resident_mib"]
    quiet, attacked = ({each: found[kind][f"{each}_ms"] for each in ("p50", "p99")} for kind in ("quiet", "attacked"))
    return [
        "",
        "## Soak",
        "",
        f"Honest clients among hostile ones, restarts, reloads and signals, {len(found['attacks'])} kinds in turn, for",
        f"{result['seconds']:.0f} s (`make soak`){'' if result['full'] else ', a short run'}: {found['requests']}",
        f"requests, {len(result['faults'])} faults. p50 and p99 are {p50_and_p99(quiet)} without an attack and",
        f"{p50_and_p99(attacked)} with one, {result['p99_ratio']} times at p99 (target: at most 2). Resident memory is",
        f"{resident['second_quarter']} MiB between attacks in the second quarter, {resident['last_quarter']} MiB in",
        f"the last, and {resident['most']} MiB at most.",
        "[By attack](../benchmarks/results/soak.md). " + origin(result),
    ]


def described(result: dict[str, Any]) -> list[str]:
    found = result["median"]
    more = found["beside_p99_ms"] - found["quiet_p99_ms"]
    rows = [
        ("a reload of the shipped config", "", f"{found['plain_s']:.2f} s"),
        ("one that brings all of these adapters", "2 s", f"{found['first_s']:.2f} s"),
        ("one that changes nothing of them", "", f"{found['same_s']:.2f} s"),
        ("one that changes an example", "", f"{found['one_example_s']:.2f} s"),
        ("p99 of a decision while all of them are read, and before", "10 ms more", f"{more:.1f} ms more"),
        ("a start that finds the features of the one before", "2 s", f"{found['ready_s']:.2f} s"),
        ("resident memory after it, and after 400 texts", "250 MiB", _resident(found)),
    ]
    return [
        "## Described categories at load",
        "",
        f"{result['adapters']} adapters, each with a description and {result['examples']} examples, beside the shipped",
        f"config; medians of {len(result['rounds'])} rounds (`make bench-described`). Reading the config file is most",
        "of a reload that changes nothing of them.",
        origin(result),
        "",
        "| what | wanted | |",
        "| --- | --- | --- |",
        *(f"| {what} | {wanted} | {figure} |" for what, wanted, figure in rows),
        "",
    ]


def _resident(found: dict[str, float]) -> str:
    return f"{found['ready_rss_mib']:.0f} and {found['used_rss_mib']:.0f} MiB"


def reloads(result: dict[str, Any]) -> list[str]:
    latency, taken, resident = result["latency_ms"], result["reload_ms"], result["resident_mib"]
    lag = result["loop_lag_p99_ms"]
    rows = [
        ("requests", result["requests"]),
        ("lost", result["dropped"]),
        ("decided half by one config and half by the other", result["mixed"]),
        ("an answer in one piece before the reloads, p50 and p99", p50_and_p99(latency["quiet"])),
        ("one that met a reload, p50 and p99", p50_and_p99(latency["during_reloads"])),
        ("a reload, p50 and p99", p50_and_p99(taken["classifier_kept"])),
        ("a reload with another classifier, p50 and p99", p50_and_p99(taken["classifier_loaded"])),
        ("p99 of the event loop's lag, before and with reloads", f"{lag['quiet']:g} and {lag['with_reloads']:g} ms"),
        (
            "resident memory before, after a fifth of the reloads, after all",
            f"{resident['before']:.0f}, {resident['fifth']:.0f}, {resident['end']:.0f} MiB",
        ),
    ]
    return [
        "",
        "## Reload and restart",
        "",
        f"{result['reloads']} reloads with {result['clients']} clients that ask one thing after another, half of them",
        "streams (`make bench-reload`). Each changes categories, adapters, prompts, threshold, endpoint and key, and",
        f"{result['classifiers_loaded']} of them the classifier, too: for {result['classifiers_measured']} of those",
        "the host was measured anew, being busy. Clients and upstream share its cores.",
        origin(result),
        "",
        "| what | |",
        "| --- | --- |",
        *(f"| {what} | {figure} |" for what, figure in rows),
    ]


def p50_and_p99(spread: dict[str, float]) -> str:
    return f"{spread['p50']:.0f} and {spread['p99']:.0f} ms"


def restarts(result: dict[str, Any]) -> list[str]:
    exposure = result["exposure"]
    return [
        "",
        f"{result['restarts']} restarts on a socket that stays open, as `pointsman.socket` keeps it, with",
        f"{result['clients']} clients (`make bench-service`). Of {result['requests']} requests on as many connections,",
        f"{result['refused']} were refused or cut off, and {result['streams_cut_off']} of the streams that ran through",
        f"the end of a process. Whoever came meanwhile waited for {result['longest_wait_s']} s at most (median of the",
        f"restarts). {origin(result)}",
        "",
        f"`systemd-analyze security` gives the unit {exposure['cpu']} of 10 and, with `gpu.conf`, {exposure['gpu']};",
        "less is safer.",
    ]


def which_model() -> list[str]:
    """Return which models prompts get, as a model card tells it."""
    result = load("choices")
    rows = []
    for name, one in result["sets"].items():
        rows.append([f"**{choices.title(name, one)}**", *_overall(one, "shipped")])
        if choices.limited(one):
            rows.append(["of all rows", *(cell(one["ways"]["shipped"]["unlimited"][figure]) for figure in FIGURES)])
        rows.append(["with the former thresholds", *_overall(one, "former")])
        figures = [one["ways"]["shipped"]["figures"][figure] for figure in FIGURES]
        rows += [[category, *(cell(each[category]["rows"]) for each in figures)] for category in result["categories"]]
    former = ", ".join(f"{name} {result['thresholds']['former'][name]:.3f}" for name in ADAPTERS)
    return [
        "Which model a prompt gets with the shipped config, and which it should (`make bench-choices`).",
        *choices.ABOUT,
        "",
        *table(["", *FIGURES], rows),
        "",
        "The former thresholds are those of `pointsman.routing.precision: 0.95` above a `category_model.threshold` of",
        f"0.6: {former}.",
        "",
        "Legal rests on few sources. Rows for its reach:",
        "",
        *(f"- {choices.TITLES[name]}: {few_sources(one, 'legal')}" for name, one in result["sets"].items()),
    ]


def _overall(one: dict[str, Any], way: str) -> list[str]:
    return [cell(overall(one, way, figure)) for figure in FIGURES]


def accuracy() -> list[str]:
    """Return the table of the 14 labels."""
    found = {name: load(f"accuracy-{name}") for name in LABELLED}
    artifact = found["prompts"]["provenance"]["artifact"]
    latency = found["prompts"]["latency"]
    rows = [accuracy_row(f"{title}, 14 labels", found[name]) for name, title in LABELLED.items()]
    temperature, threshold = artifact["temperature"], artifact["suggested_threshold"]
    settings = f"Temperature {temperature:.3f}, suggested threshold {threshold}."
    speed = (
        f"The hand-written prompts (median {latency['median_tokens']:.0f} tokens) take {latency['median_ms']:.2f} ms "
        f"at the median and {latency['p95_ms']:.2f} ms at the 95th percentile, alone on one thread "
        "(`make bench-accuracy`)."
    )
    manifest = json.loads((BUILTIN / "pointsman.json").read_text())
    calibration = manifest["verification"]["calibration"]
    split = (
        f"On the {calibration['rows']} rows of users' text that it was calibrated on, the calibration error went from "
        f"{calibration['ece']['before']:.3f} to {calibration['ece']['after']:.3f}, and "
        f"{calibration['threshold']['coverage']:.1%} reach the threshold, of which "
        f"{calibration['threshold']['precision']:.1%} are right."
    )
    return [
        "| what | rows | result | 95 % interval | macro-F1 | calibration error |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"{settings} {split} {speed}",
    ]


def wanted() -> list[str]:
    """Return the figures that a model card must show, in addition to its targets."""
    sets = load("choices")["sets"]
    cpu = f"EPYC of family {load('inference-built_in')['machine']['family']}"
    errors = {title: load(f"accuracy-{name}")["judged"]["calibration_error"] for name, title in LABELLED.items()}
    errors |= {
        f"{choices.TITLES[name]}, models": one["ways"]["shipped"]["calibration_error"] for name, one in sets.items()
    }
    new = {source: (alone(source) or found)["calibration_error"] for source, found in _sources().items()}
    return [
        "| what | measured | wanted | |",
        "| --- | --- | --- | --- |",
        *(
            at_least(
                f"{figure}, {choices.TITLES[name]}", least, _with_interval(overall(sets[name], "shipped", figure))
            ).row()
            for figure, name, least in WANTED
        ),
        at_most("calibration error, the greatest of the sets above", 0.05, errors).row(),
        at_most("calibration error, the greatest of a source held out, float", 0.05, new).row(),
        *(
            at_most(f"ms for {tokens} tokens, one thread", most, {cpu: statistics.median(_one_thread(tokens))}).row()
            for tokens, most in (("32", 3), ("128", 8))
        ),
        "",
        "What is called float is from the report of the training, before int8 and temperature.",
        "",
        *_tried(),
    ]


def _tried() -> list[str]:
    """Return what was tried for the targets that are not met, each in a sentence or two."""
    config, shipped = load_config(ROOT / "config" / "config.yaml").config, artifact.load(artifact.BUILTIN)
    fitted = at_precision(config, shipped.manifest.labels, shipped.calibration)
    counts = {name: each.measured for name, each in fitted.items() if name in ADAPTERS and each.measured}
    shares = ", ".join(f"{name} {each.right} of {each.chosen}" for name, each in counts.items())
    exported = shipped.manifest.verification["latency_ms"]["median_by_tokens"]
    five = statistics.median(_one_thread("128")) * 5 / 6
    return [
        "What was tried for the targets that are not met, in short:",
        "",
        "- **Prompts of new sources:** nothing yet. The weights are older than these rows and their labels.",
        "- **Precision:** the former thresholds, which are fitted to sources that were held out. Of the calibration",
        f"  rows that reach theirs, these are right: {shares}.",
        "  No threshold makes legal choices 0.95 right, so legal has its most precise one. Reach is lower with them.",
        "- **Calibration error of a source held out:** the temperature is fitted to text of other sources; only rows",
        "  of this source would tell what it should be.",
        "- **Time:** five layers, which are right less often. Five sixths of the",
        f"  time would be {five:.1f} ms for 128 tokens, which is still too long. On the host of the export, 32 and 128",
        f"  tokens took {exported['32']['int8']:.2f} and {exported['128']['int8']:.2f} ms.",
    ]


def _with_interval(found: dict[str, float]) -> dict[str, float]:
    """Return a share, keyed by its 95 % interval and of how many it is."""
    return {cell(found).partition(" ")[2]: found["share"]}


def _one_thread(tokens: str) -> list[float]:
    times: list[float] = load("inference-built_in")["found"]["ms"][tokens]["1"]
    return times


def near_copies() -> list[str]:
    """Return how many rows were not trained on because a test has nearly the same text."""
    record = json.loads(RECORD.read_text())
    found = record["near_copies"]
    by_source = ", ".join(f"{source} {rows}" for source, rows in found["left_out"].items())
    return [
        f"Near copies: {sum(found['left_out'].values())} rows share at least {found['least_shared']} of their shingles",
        "with a validation row, a dev row or a test prompt, and were left out of the training, which has",
        f"{record['rows']['train']:,} others ({by_source}).",
    ]


def _sources() -> dict[str, dict[str, Any]]:
    """Return what the training without five sources says of each."""
    return {name: found for name, found in load("held-out")["validation"].items() if isinstance(found, dict)}


def held_out() -> list[str]:
    """Return the table of trainings without whole sources."""
    rows = [
        f"| {source} | {found['rows']} | "
        + " | ".join(_both(alone(source), found, figure) for figure in ("labels", "right_model", "calibration_error"))
        + " |"
        for source, found in _sources().items()
    ]
    return [
        "Trained without any row of a source, and judged in float on all of its rows: what to expect for text of an",
        "origin that was never in the training data. Each figure is of a training without this source alone, where",
        "there was one with the same texts, and in brackets of one without all five (`make bench-held-out`).",
        "",
        "| source | rows | 14 labels | right model | calibration error |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ]


def alone(source: str) -> dict[str, Any] | None:
    """Return the figures of a training that left out this source alone; None if there was none with today's texts."""
    name = f"held-out-{source}"
    if not (RESULTS / f"{name}.json").exists():
        return None
    run = load(name)
    if any(run[name] != load("held-out")[name] for name in ("sha256", "settings")):
        return None
    found: dict[str, Any] = run["validation"][source]
    return found


def _both(alone: dict[str, Any] | None, together: dict[str, Any], figure: str) -> str:
    return f"{'' if alone is None else f'{alone[figure]:.3f} '}({together[figure]:.3f})"


def accuracy_row(title: str, result: dict[str, Any]) -> str:
    judged = result["judged"]
    share = judged["accuracy"]
    cells = [title, str(share["whole"]), f"{share['share']:.3f}", f"{share['low']:.3f} to {share['high']:.3f}"]
    cells += [f"{judged[name]:.3f}" for name in ("macro_f1", "calibration_error")]
    return f"| {' | '.join(cells)} |"


def origin(result: dict[str, Any]) -> str:
    versions = result["versions"]
    return (
        f"{processor(result['machine'])}, Python {result['python']}, "
        f"onnxruntime {versions['onnxruntime']}, commit {result['commit']}, {result['time'][:10]}."
    )


if __name__ == "__main__":
    main()
