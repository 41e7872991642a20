"""The place of a request in a trace, by W3C's Trace Context."""

from __future__ import annotations

import re

import pytest

from pointsman.http1.forwarded_headers import forwarded_headers
from pointsman.observability.trace import begin

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_clients_trace_is_continued_with_a_span_of_its_own() -> None:
    found = begin(f"00-{TRACE}-{PARENT}-01".encode(), 0.0)
    line = re.fullmatch(r"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01\r\n", found.line.decode())

    assert line is not None
    assert (line[1], found.name, f"{found.parent_id:016x}") == (TRACE, TRACE, PARENT)
    assert line[2] not in (PARENT, f"{0:016x}")
    assert int(line[2], 16) == found.span_id


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_whether_a_clients_trace_is_exported_the_client_decides(flags: str, sampled: bool) -> None:
    for share in (0.0, 1.0):
        found = begin(f"00-{TRACE}-{PARENT}-{flags}".encode(), share)
        assert (found.sampled, found.line.endswith(b"-01\r\n")) == (sampled, sampled)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
        f" 00-{TRACE}-{PARENT}-01",
        "00-1-2-01",
    ],
)
def test_without_a_valid_trace_one_begins_here(given: str | None) -> None:
    found = begin(None if given is None else given.encode(), 1.0)

    assert found.parent_id == 0
    assert found.name != TRACE
    assert found.sampled


def test_a_later_version_may_say_more() -> None:
    assert begin(f"01-{TRACE}-{PARENT}-01-more".encode(), 0.0).name == TRACE


def test_of_the_traces_that_begin_here_a_share_is_exported() -> None:
    assert not any(begin(None, 0.0).sampled for _ in range(100))
    assert all(begin(None, 1.0).sampled for _ in range(100))
    assert 350 < sum(begin(None, 0.5).sampled for _ in range(1000)) < 650


@pytest.mark.parametrize(("traced", "crosses"), [(False, True), (True, False)])
def test_vllm_gets_the_clients_span_only_where_there_is_none_of_ours(traced: bool, crosses: bool) -> None:
    field = (b"traceparent", f"Traceparent: 00-{TRACE}-{PARENT}-01".encode())
    state = (b"tracestate", b"tracestate: a=1")
    lines = forwarded_headers([field, state], None, credentials=False, traced=traced)

    assert (field[1] in lines) == crosses
    assert state[1] in lines
