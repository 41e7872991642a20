"""Run the benchmarks: PYTHONPATH=benchmarks:tests python -m inference WORK [PART ...]

WORK is a folder for models, peers' venvs (`peers/install.sh WORK/peers`) and logs: 12 GB. Each part is a process with a
time limit, and writes WORK/results/PART.json. Without PART, all parts without such a file are run, so that the next
call continues an interrupted one. At the end the results are copied to benchmarks/results, or to its folder `no-vnni`
if this CPU has no VNNI, and the report is rendered.

`WORK soak --share 30` is a soak of an hour instead of two minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from provenance import provenance

from inference.workplace import InferenceFolder, results

PARTS = {
    "batch1": 1000,
    "built_in": 120,
    "serving": 900,
    "routed": 240,
    "added": 240,
    "soak": 240,
    "overload": 120,
}
"""Time limit of each part in seconds."""

PEER_PACKAGES = {
    "optimum": ("optimum", "optimum-onnx", "onnxruntime", "transformers", "torch"),
    "openvino": ("openvino", "nncf"),
    "infinity": ("infinity-emb", "optimum-onnx", "onnxruntime", "transformers", "torch"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the rounds and seconds: 0.1 tries a part out")
    parser.add_argument("--here", action="store_true", help="in this process, and without a report")
    options = parser.parse_args()
    work = InferenceFolder(options.work.resolve())
    if options.here:
        for part in options.parts:
            _measure(work, part, options.share)
        return 0
    from inference.models import make_models  # torch, which takes seconds and which no part needs

    parts = options.parts or [part for part in PARTS if not _result(work, part).exists()]
    if {*parts} - {"built_in"}:
        make_models(work)
    status = run_parts(work, parts, options.share)
    output = results()
    output.mkdir(exist_ok=True)
    for part in PARTS:
        if _result(work, part).exists():
            shutil.copyfile(_result(work, part), output / f"inference-{part}.json")
    subprocess.run([sys.executable, "-m", "inference.report"], check=True)
    return status


def run_parts(work: InferenceFolder, parts: Sequence[str], share: float) -> int:
    """Run the parts one after another; return the exit status, 1 if any of them failed."""
    measured = [_spawn(work, part, share) for part in parts]
    return 0 if all(measured) else 1


def _measure(work: InferenceFolder, part: str, share: float) -> None:
    os.environ["STATE_DIRECTORY"] = str(work.part("state"))  # the daemons store their measurements there
    started = time.monotonic()
    found = importlib.import_module(f"inference.{part}").measure(work, share)
    whole = provenance() | {"peers": _versions(work), "seconds": round(time.monotonic() - started), "found": found}
    half = _result(work, part).with_suffix(".half")
    half.write_text(json.dumps(whole, indent=1) + "\n")
    half.rename(_result(work, part))


def _spawn(work: InferenceFolder, part: str, share: float) -> bool:
    """Return whether the part has finished."""
    print(f"== {part}", flush=True)
    command = [sys.executable, "-m", "inference", str(work.folder), part, "--share", str(share), "--here"]
    try:
        subprocess.run(command, check=True, timeout=PARTS[part] * max(1.0, share))
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{part} has no result: {error}", file=sys.stderr)
        return False
    return True


def _result(work: InferenceFolder, part: str) -> Path:
    return work.part("results") / f"{part}.json"


def _versions(work: InferenceFolder) -> dict[str, dict[str, str]]:
    """Return the versions of the relevant packages in each peer's venv."""
    ask = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    found = {}
    for peer, names in PEER_PACKAGES.items():
        if work.python(peer).exists():
            command = [str(work.python(peer)), "-c", ask, *names]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found[peer] = json.loads(done.stdout or "{}")
    return found


if __name__ == "__main__":
    sys.exit(main())
