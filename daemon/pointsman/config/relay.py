"""Define how requests are sent to vLLM, and check the paths that clients can reach."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pointsman.config import paths
from pointsman.config.option import EMPTY, option
from pointsman.config.secret import secret_warnings
from pointsman.config.source_map import SourceMap
from pointsman.config.words import choose
from pointsman.errors import Problem

MAX_PRIORITY = 1_000_000
"""For a path or a key, and as far below 0."""
PRIORITY_IGNORED = (
    "vLLM ignores priorities, as it orders its queue by arrival (pointsman.relay.scheduling_policy: fcfs)"
)
PRIORITY_FIX = "start each vLLM with --scheduling-policy priority and write scheduling_policy: priority, or remove it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOptions:
    add: tuple[str, ...] = option(
        "More of vLLM's paths for clients, such as `POST /v2/embed`; never those that administer vLLM.", ()
    )
    remove: tuple[str, ...] = option("Paths that clients cannot reach then, such as `POST /tokenize`.", ())
    priorities: Mapping[str, int] = option(
        "The priority in vLLM's queue of requests on a path, such as `POST /v1/embeddings: 10`, unless the key has one "
        "of its own. A lower number goes first; without one it is 0.",
        EMPTY,
        minimum=-MAX_PRIORITY,
        maximum=MAX_PRIORITY,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    connect_timeout_ms: int = option("Timeout for connecting to vLLM.", 2_000, minimum=1)
    first_byte_timeout_ms: int = option(
        "Timeout from sending a request to vLLM's response head; 0 means no limit.", 600_000, minimum=0
    )
    idle_timeout_ms: int = option(
        "Timeout between two parts of a response, or of the data on a websocket; 0 means no limit.", 300_000, minimum=0
    )
    total_timeout_ms: int = option("Timeout for a whole response; 0 means no limit.", 0, minimum=0)
    health_interval_ms: int = option(
        "Interval of each endpoint's `/health` checks; after two failures it gets no requests. 0 means never.",
        2_000,
        minimum=0,
    )
    breaker_failures: int = option(
        "Failures in a row (connection, first byte, 502, 503, 504) that open an endpoint's circuit breaker, if two "
        "clients or a `/health` check have seen some; 0 means never.",
        5,
        minimum=0,
    )
    breaker_open_ms: int = option(
        "Time until an endpoint with an open breaker gets one trial request.", 5_000, minimum=1
    )
    hold_ms: int = option(
        "Time that a request waits for an endpoint while none accepts connections, as when vLLM restarts; at most a "
        "quarter of `server.max_in_flight` wait. 0 means never.",
        0,
        minimum=0,
    )
    api_key_file: str | None = option(
        "File (relative to this one) with vLLM's API key, sent as `Authorization: Bearer`.", None, file=True
    )
    quarantine: bool = option(
        "Refuse a client's request for a minute with 422 if an endpoint died twice while it was in flight there.", True
    )
    paths: PathOptions = option("Paths to add to those that clients can reach, or to remove from them.", PathOptions())
    scheduling_policy: Literal["fcfs", "priority"] = option(
        "How every vLLM orders its queue, as its `--scheduling-policy` says. With `fcfs` it ignores priorities, so "
        "none may be configured.",
        "fcfs",
    )
    forward_authorization: bool = option("Forward the client's `Authorization` header to vLLM.", False)


def problems(options: RelayOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of the paths that are added, removed and have a priority."""
    for key, texts, parse in (
        ("add", options.paths.add, paths.added),
        ("remove", options.paths.remove, paths.removed),
    ):
        for i, text in enumerate(texts):
            try:
                parse(text)
            except ValueError as error:
                yield source_map.problem(("paths", key, i), f'expected a path, found "{text}"', str(error))
    forwarded = (*map(str, (*paths.ROUTED, *paths.RELAYED)), *options.paths.add)
    for text in options.paths.priorities:
        keys = ("paths", "priorities", text)
        if text not in forwarded:
            yield source_map.problem(keys, f'expected a path to vLLM, found "{text}"', choose(text, forwarded))
        elif options.scheduling_policy == "fcfs" and source_map.known("scheduling_policy"):
            yield source_map.problem(keys, PRIORITY_IGNORED, PRIORITY_FIX)


def warnings(options: RelayOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the paths that are added in vain, and the problems of the file with vLLM's key."""
    for i, text in enumerate(options.paths.add):
        if paths.is_listed(paths.added(text)):
            yield source_map.problem(("paths", "add", i), f'"{text}" need not be added', "remove it")
    yield from secret_warnings(options.api_key_file, source_map.below("api_key_file"), "the key in it")
