"""Soak one daemon in honest and hostile traffic: PYTHONPATH=benchmarks:tests python -m soak

Writes benchmarks/results/soak.json and soak.md. Exits with 1 if an honest request was lost, if memory grew or exceeded
its bound, or if descriptors or work were left; latency alone is no failure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from markdown import publish
from provenance import provenance

from soak.figures import figures, ratio
from soak.honest import RATE
from soak.plan import plan
from soak.report import rendered
from soak.run import cores, run
from soak.verdict import judge

RESULT = Path(__file__).parents[1] / "results" / "soak.json"
SECONDS = 1800


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--keep", type=Path, help="folder for the daemon's files and the honest clients' record")
    options = parser.parse_args()
    planned, load, own = plan(options.seconds), round(os.getloadavg()[0], 1), len(cores()[0])
    with tempfile.TemporaryDirectory() as folder:
        output = options.keep or Path(folder)
        output.mkdir(parents=True, exist_ok=True)
        evidence = asyncio.run(run(output, planned))
    found, faults = figures(evidence), judge(evidence)
    about = {"seconds": options.seconds, "full": planned.full, "rate": RATE, "load_before": load}
    ratios = {f"{share}_ratio": ratio(found, share) for share in ("p50", "p99")}
    result = provenance() | {"own": own} | about | {"faults": faults} | ratios | {"found": found}
    publish(RESULT, result, rendered(result))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
