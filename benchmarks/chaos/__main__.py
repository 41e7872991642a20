"""Run random clients against random upstreams through one daemon: PYTHONPATH=benchmarks:tests python -m chaos

Then faults are injected on the wire, each of which the verdict must name. A run of ten minutes or more writes
benchmarks/results/chaos.json. Exits with 1 if anything was lost, or if the verdict missed a fault or named one that was
not injected.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from provenance import provenance

from chaos import selftest
from chaos.run import run

RESULT = Path(__file__).parents[1] / "results" / "chaos.json"
FULL_SECONDS = 600
SELFTEST_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the daemon's config and log")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = options.keep or Path(folder)
        output.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(run(output, options.seconds, options.seed))
        checked = asyncio.run(selftest.run(output, min(options.seconds, SELFTEST_SECONDS), options.seed))
    result = provenance() | {"seconds": options.seconds, "seed": options.seed} | found | {"self_test": checked}
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if options.seconds >= FULL_SECONDS:
        RESULT.write_text(text)
    sys.exit(1 if found["faults"] or checked["missed"] or checked["false_alarms"] else 0)


if __name__ == "__main__":
    main()
