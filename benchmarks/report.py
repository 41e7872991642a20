"""Renders docs/benchmarks.md from the result files, so that no number in the docs is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(["# Benchmarks", "", *startup(load("startup"))]))


def load(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def startup(result: dict[str, Any]) -> list[str]:
    median, runs = result["median"], result["runs"]
    rows = [
        ("time from `serve` to ready", "ready_s", "s", "2"),
        ("resident memory, ready", "ready_rss_mib", "MiB", "200"),
        ("resident memory after 400 prompts", "used_rss_mib", "MiB", "200"),
    ]
    return [
        "Rendered by `make docs` from the files in `benchmarks/results/`. Medians; this kind of machine is noisy.",
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
        ),
        "",
    ]


def origin(result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    return (
        f"{machine['cores']} cores of {machine['cpu']}, Python {result['python']}, "
        f"onnxruntime {versions['onnxruntime']}, commit {result['commit']}, {result['time'][:10]}."
    )


if __name__ == "__main__":
    main()
