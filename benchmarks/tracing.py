"""Measure what tracing costs a request: on the event loop, without sockets, and in the thread that sends the spans.

The same service as in path.py takes the same requests in turns, round by round: without a collector, with one of which
a client samples nothing, and with one that gets a span of each. Writes tracing.json and tracing.md to
benchmarks/results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvloop
from markdown import table
from path import EXPLICIT, HEAD, REQUESTS, body, quiet
from provenance import processor, provenance
from side_by_side import in_turn
from startup import RESULT, ROOT
from target import difference

from pointsman.app.prepare import Prepared, prepare
from pointsman.config.model import TracingOptions
from pointsman.observability.log import Log
from pointsman.observability.record import Record
from pointsman.observability.spans import AT_ONCE, Spans
from pointsman.observability.trace import begin

ROUNDS = 60
OFF, UNSAMPLED, SAMPLED = "off", "on, and not sampled", "on, with a span of each request"


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """Yield the URL of a collector that takes everything."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


async def requests(url: str, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a request in each round, by what is traced."""
    base = quiet(prepare(ROOT / "config" / "config.yaml"))
    turns, size = REQUESTS["one question", "1 KiB"]
    sent = body(size, turns, EXPLICIT)
    pieces = [HEAD.format(len(sent)).encode() + sent]
    services = {
        OFF: base,
        UNSAMPLED: _with(base, TracingOptions(endpoint=url, sample=0.0)),
        SAMPLED: _with(base, TracingOptions(endpoint=url)),
    }
    return await in_turn(services, pieces, rounds)


def _with(base: Prepared, options: TracingOptions) -> Prepared:
    return replace(base, config=replace(base.config, pointsman=replace(base.config.pointsman, tracing=options)))


class _Nowhere:
    dropped = 0

    def put(self, data: bytes, *, requests: bool = False) -> None:
        """Forget it."""


def spans(url: str, rounds: int) -> list[float]:
    """Return the microseconds of CPU time that the thread takes for a span, in each round."""
    made = Spans(TracingOptions(endpoint=url), Log("error", _Nowhere()), lambda: None)
    found = []
    for _ in range(rounds):
        ended = []
        for number in range(AT_ONCE):
            record = Record(f"{number:032x}", "/v1/chat/completions", "127.0.0.1", tokens=(100, 50), status=200)
            record.end()
            ended.append((record, begin(None, 1.0)))
        started = time.thread_time()
        made.export(ended)
        found.append(round((time.thread_time() - started) / AT_ONCE * 1e6, 3))
    made.close()
    return found


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    measured = result["requests"]
    more = {name: difference(measured[name], measured[OFF]) for name in (UNSAMPLED, SAMPLED)}
    rows = [[name, f"{min(times):.2f}", f"{more.get(name, 0.0):.2f}"] for name, times in measured.items()]
    return [
        "# What tracing costs",
        "",
        "CPU time of the event loop for a chat completion of 1 KiB that names its model, without the system calls of",
        "sockets (`make bench-tracing`). Microseconds, best of",
        f"{result['rounds']} rounds; the difference is the median of those of each round.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["tracing", "best", "more"], rows),
        "",
        f"The thread that makes and sends the spans, {AT_ONCE} at once, takes {min(result['spans']):.0f} microseconds",
        "of CPU time for each.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with collector() as url:
        measured = {"requests": uvloop.run(requests(url, rounds)), "spans": spans(url, rounds)}
    result = provenance() | {"rounds": rounds} | measured
    RESULT.with_name("tracing.json").write_text(json.dumps(result, indent=2) + "\n")
    page = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("tracing.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
