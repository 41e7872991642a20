"""The arithmetic of the relay's benchmark: each figure against a value that is known otherwise."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import target
from ask.routes import SampleRouter
from relay.arrivals import ChunkArrivals
from relay.proxies import in_order
from relay.report import render
from relay.stream_load import request_length, starts

from relay import cpu, exchange, nginx, requests

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
WRK = """\
Running 2s test @ http://127.0.0.1:9010/v1/chat/completions
  Latency Distribution
     50%  174.00us
     75%    1.02ms
     99%    2.03s
  154893 requests in 2.10s, 187.07MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:  73765.35
"""
# Starts a child that works, tells when it is done, and waits: the work is the child's, not the parent's.
PARENT = """
import subprocess, sys
work = "import time\\nwhile time.process_time() < 0.2: pass\\nprint(1, flush=True)\\ninput()"
child = subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE, stdin=sys.stdin)
print(child.stdout.readline().decode(), flush=True)
child.wait()
"""


@pytest.mark.heavy
def test_the_cpu_of_a_proxy_is_that_of_its_workers_too() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    tree = cpu.tree(parent.pid)
    whole, alone = (cpu.since({}, cpu.spent(pids)) for pids in (tree, [parent.pid]))
    resident, proportional = cpu.resident_kib(tree), cpu.proportional_kib(tree)
    parent.communicate(b"\n")
    assert len(tree) == 2
    assert whole - alone >= 0.2
    assert resident >= proportional > 0


def test_the_cpu_of_a_process_is_what_it_says_itself() -> None:
    assert cpu.spent([os.getpid()])[os.getpid()] == pytest.approx(sum(os.times()[:2]), abs=0.1)
    assert cpu.in_kernel([os.getpid()])[os.getpid()] == pytest.approx(os.times().system, abs=0.1)


def test_a_process_that_began_meanwhile_counts_from_its_beginning_and_one_that_ended_not_at_all() -> None:
    assert cpu.since({1: 1.0, 2: 5.0}, {1: 1.5, 3: 0.25}) == pytest.approx(0.75)


def test_a_programs_name_does_not_hide_its_parent() -> None:
    assert cpu.parent_of("12 (a) b (c) S 7 12 12 0 -1") == 7


def test_requests_and_answers_have_the_size_that_they_are_said_to_have() -> None:
    for size in requests.SIZES.values():
        bodies = exchange.requests(size, exchange.AUTO)
        assert [len(body) for body in bodies] == [size - less for less in range(16)]
        assert {json.loads(body)["model"] for body in bodies} == {exchange.AUTO}
    assert [len(exchange.completion(more)) for more in (0, 15)] == [exchange.KIB, exchange.KIB + 15]
    assert json.loads(exchange.completion(15))["object"] == "chat.completion"


def test_questions_that_are_new_differ_in_their_first_16_digits_alone() -> None:
    before, after = exchange.new_requests(exchange.KIB)
    body = b"%b%016d%b" % (before, 7, after)
    assert len(body) == exchange.KIB
    assert json.loads(body)["messages"][1]["content"].startswith("0000000000000007")


@pytest.mark.heavy
async def test_an_automatic_request_reaches_an_adapter() -> None:
    """By the shipped config, whether its question was asked before or is new, so that all edits are made."""
    routes = SampleRouter()
    for size in requests.SIZES.values():
        before, after = exchange.new_requests(size)
        first, *_, last = exchange.requests(size, exchange.AUTO)
        for body in (first, last, b"%b%016d%b" % (before, 1_764_288_000_000_001, after)):
            assert await routes.model(body) == exchange.MODEL


def test_the_head_of_a_stream_is_new_each_time() -> None:
    assert exchange.stream_head(1) != exchange.stream_head(2)


def test_an_upstreams_answers_have_as_many_lengths_as_requests_and_the_rest_of_the_share(tmp_path: Path) -> None:
    config = nginx.upstream(tmp_path, 80)
    assert config.count("6.25% '") == 15
    assert all(f"'{exchange.completion(more)}';" in config for more in range(16))


def test_what_wrk_says_is_read_in_its_units() -> None:
    assert requests.parse(WRK) == pytest.approx(
        {
            "requests": 154893,
            "per_second": 73765.35,
            "p50_us": 174.0,
            "p99_us": 2_030_000.0,
            "failed": 15,
        }
    )


@pytest.mark.parametrize("step", [1, 7, 300, 10_000])
def test_a_stream_is_read_the_same_however_it_is_cut(step: int) -> None:
    whole = exchange.stream_head(1) + b"".join(exchange.chunk(1000 * sent) for sent in (1, 2, 3)) + exchange.STREAM_END
    delays: list[int] = []
    arrivals = ChunkArrivals(delays)
    ended = []
    for at in range(0, len(whole), step):
        arrivals.feed(whole[at : at + step], 5000)
        ended.append(arrivals.ended)
    assert delays == [4000, 3000, 2000]
    assert (arrivals.chunks, arrivals.first) == (3, 5000)
    assert ended == [False] * (len(ended) - 1) + [True]


def test_a_head_that_ends_in_a_nought_is_not_the_end_of_a_stream() -> None:
    arrivals = ChunkArrivals([])
    arrivals.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nServer-Timing: upstream;dur=0.070\r\n\r\n", 1)
    assert not arrivals.ended


def test_a_chunk_has_the_size_that_its_frame_says() -> None:
    size, _, rest = exchange.chunk(123).partition(b"\r\n")
    assert len(rest) == int(size, 16) + 2
    assert json.loads(rest.removeprefix(b"data: "))["choices"][0]["delta"]["content"] == f"@{123:019}"


def test_streams_do_not_send_at_the_same_time() -> None:
    begun = starts(512, 0.5, 0.01)
    phases = sorted(at % 0.01 for at in begun)
    gaps = [after - before for before, after in itertools.pairwise(phases)]
    assert 0.0 <= begun[0] < begun[-1] <= 0.51
    assert max(gaps) < 3 * 0.01 / 512
    assert len(starts(16, 0.5, 0.01)) == 16


def test_a_request_is_whole_with_its_last_byte_and_the_next_one_does_not_count() -> None:
    sized = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    bare = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    for asked in (sized, chunked, bare):
        assert [request_length(asked[:end]) for end in range(len(asked))] == [None] * len(asked)
        assert request_length(asked) == request_length(asked + bare) == len(asked)


def test_a_slow_round_that_hits_both_leaves_ratio_and_difference_as_they_are() -> None:
    assert target.ratio([4.0, 40.0, 4.0], [2.0, 20.0, 2.0]) == 2.0
    assert target.difference([4.0, 40.0, 4.0], [2.0, 38.0, 2.0]) == 2.0
    assert math.isnan(target.difference([], [1.0]))


def test_every_other_round_goes_backwards() -> None:
    """So no proxy always comes behind the same other one."""
    ways = {"a": 1, "b": 2, "c": 3}
    assert [in_order(ways, turn) for turn in range(2)] == [
        [("a", 1), ("b", 2), ("c", 3)],
        [("c", 3), ("b", 2), ("a", 1)],
    ]


def test_the_report_says_what_was_measured_and_why_a_target_is_not_met(tmp_path: Path) -> None:
    """It is rendered from the result, and names each unmet target again with its reason."""
    shutil.copy(RESULTS / "relay.json", tmp_path)
    lines = render(tmp_path)
    assert lines == (RESULTS / "relay.md").read_text("utf-8").splitlines()
    unmet = [line.split("|")[1].strip() for line in lines if line.endswith("| not met |")]
    explained = "\n".join(line for line in lines if line.startswith("- "))
    assert unmet
    assert [what for what in unmet if what not in explained] == []


def test_a_missed_target_does_not_look_met() -> None:
    assert "| 1.0004 |" in target.at_most("x", 1.0, {"": 1.0004}).row()
    assert "| 1 |" in target.at_most("x", 1.0, {"": 0.9996}).row()
