"""Run the benchmark: PYTHONPATH=benchmarks:tests python -m relay WORK

WORK is a folder with the peers (`peers/install.sh WORK/peers`), configs and logs. The result is written to
benchmarks/results/relay.json, and the report is rendered from it: 20 minutes on two otherwise idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

from provenance import provenance

from relay import report, requests, streams
from relay.proxies import commit_before, versions
from relay.workplace import RelayFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the rounds and the chunks: 0.1 tries it out")
    parser.add_argument("--before", type=Path, help="Python of another installation of Pointsman, to compare with")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder for the result and the report")
    options = parser.parse_args()
    work = RelayFolder.here(options.work, options.before)
    os.sched_setaffinity(0, {work.load_core})  # keeps the load generator off the proxy's core
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (hard_limit, hard_limit)
    )  # a stream takes two descriptors, of the proxies as well
    started = time.monotonic()
    found = {"requests": requests.measure(work, options.share), "streams": streams.measure(work, options.share)}
    result = provenance() | {
        "peers": versions(work),
        "before_commit": commit_before(work),
        "cores": {"load": work.load_core, "proxy": work.proxy_core},
        "seconds": round(time.monotonic() - started),
        "found": found,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "relay.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.results / "relay.md").write_text("\n".join(report.render(options.results)) + "\n")


if __name__ == "__main__":
    main()
