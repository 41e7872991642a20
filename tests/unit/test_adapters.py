"""What each vLLM serves, and what is asked of it when."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels, parse_models
from pointsman.adapters.poller import Poller
from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError, UpstreamUnreachable
from support.process import PATIENCE_SECONDS
from support.toy_config import A, B
from support.virtual_loop import VirtualLoop

BASE, LORA = ModelCard("base"), ModelCard("lora", "base")


def listing(*cards: Any) -> bytes:
    return json.dumps({"object": "list", "data": cards}).encode()


# --- /v1/models ------------------------------------------------------------------------------------------------


def test_vllms_answer_is_read_and_what_we_do_not_know_is_skipped() -> None:
    body = listing(
        {"id": "base", "object": "model", "root": "/m", "parent": None, "max_model_len": 4096, "permission": [{}]},
        {"id": "lora", "object": "model", "root": "/l", "parent": "base", "max_model_len": None},
        {"id": "plain"},
    )
    assert parse_models(body) == (
        ModelCard("base", None, 4096, "/m"),
        ModelCard("lora", "base", None, "/l"),
        ModelCard("plain"),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":[{}]}',
        b'{"data":[{"id":5}]}',
        b'{"data":[{"id":"\xff"}]}',
        b'{"data":' + b"[" * 100_000,
    ],
)
def test_any_other_answer_is_the_endpoints_fault(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="is not a model list"):
        parse_models(body)


# --- the snapshot ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "serving"),
    [
        pytest.param({}, (A, B), id="nothing known: any may"),
        pytest.param({"a": (BASE, LORA)}, (A, B), id="one known, the other may"),
        pytest.param({"a": (BASE,), "b": (BASE, LORA)}, (B,), id="both known"),
        pytest.param({"a": (BASE,)}, (B,), id="one known not to"),
        pytest.param({"a": (), "b": ()}, (), id="none"),
    ],
)
def test_who_serves_a_name(cards: dict[str, tuple[ModelCard, ...]], serving: tuple[Endpoint, ...]) -> None:
    assert ServedModels(cards).serving("lora", (A, B)) == serving
    assert ServedModels(cards).serving("lora", (A,)) == tuple(endpoint for endpoint in serving if endpoint is A)


def test_a_withheld_name_is_served_by_nobody_whether_or_not_its_endpoint_is_known() -> None:
    served = ServedModels({"a": (BASE, LORA)}).without("a", "lora").without("b", "lora")
    assert served.serving("lora", (A, B)) == ()
    assert served.serving("base", (A, B)) == (A, B)
    assert served.models() == {"base": BASE}


@pytest.mark.parametrize(
    ("down", "available"),
    [
        pytest.param((), (B,), id="none is down"),
        pytest.param(("a",), (B,), id="it is with one that is up"),
        pytest.param(("b",), (), id="it is with one that is down, and another is up"),
        pytest.param(("a", "b"), (B,), id="all are down: it may be a mistake"),
    ],
)
def test_a_name_is_not_available_where_only_an_endpoint_that_is_down_serves_it(
    down: tuple[str, ...], available: tuple[Endpoint, ...]
) -> None:
    served = ServedModels({"a": (BASE,), "b": (BASE, LORA)}, down=frozenset(down))
    assert served.available("lora", (A, B)) == available
    assert served.serving("lora", (A, B)) == (B,)


PATH, OTHER = ModelCard("org/model"), ModelCard("other")


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        pytest.param({}, "base", id="nothing known"),
        pytest.param({"a": (BASE, PATH), "b": ()}, "base", id="served by its name"),
        pytest.param(
            {"a": (PATH, ModelCard("lora", "org/model")), "b": (PATH,)}, "org/model", id="all agree on another"
        ),
        pytest.param({"a": (PATH,)}, "base", id="one is not known yet"),
        pytest.param({"a": (PATH,), "b": (OTHER,)}, "base", id="they disagree"),
        pytest.param({"a": (PATH, OTHER), "b": ()}, "base", id="one has two"),
        pytest.param({"a": (), "b": ()}, "base", id="none has any"),
    ],
)
def test_the_name_that_a_base_is_served_under(cards: dict[str, tuple[ModelCard, ...]], name: str) -> None:
    assert ServedModels(cards).base_name("base", (A, B)) == name


def test_only_one_endpoint_is_left_where_nobody_else_can_answer() -> None:
    path = ModelCard("/models/base")
    served = ServedModels({"a": (BASE, LORA), "b": (path,)}).only("b", (A, B))
    assert served.serving("lora", (A, B)) == ()
    assert served.base_name("base", (A, B)) == "/models/base"


def test_that_one_is_asked_even_while_it_is_down() -> None:
    served = ServedModels({"b": (BASE, LORA)}).only("b", (A, B)).down_too((B,))
    assert served.available("lora", (A, B)) == (B,)


# --- the poller ------------------------------------------------------------------------------------------------


class Vllms:
    """Two servers: what each answers, or the error that it fails with."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | UpstreamError] = {"a": listing({"id": "base"}), "b": listing({"id": "base"})}
        self.reports: list[tuple[str, str, bool]] = []
        self.poller = Poller((A, B), self.fetch, lambda *report: self.reports.append(report))

    async def fetch(self, endpoint: Endpoint) -> bytes:
        answer = self.answers[endpoint.name]
        if isinstance(answer, UpstreamError):
            raise answer
        return answer


async def test_before_the_first_poll_nothing_is_known() -> None:
    assert Vllms().poller.served == ServedModels()


async def test_an_endpoint_that_fails_keeps_what_it_last_said_and_the_others_go_on() -> None:
    vllms = Vllms()
    assert await vllms.poller.refresh() == ServedModels({"a": (BASE,), "b": (BASE,)})
    vllms.answers = {"a": UpstreamUnreachable("gone"), "b": listing({"id": "base"}, {"id": "lora", "parent": "base"})}
    await vllms.poller.refresh()
    assert vllms.poller.served == ServedModels({"a": (BASE,), "b": (BASE, LORA)})


async def test_only_a_change_is_reported() -> None:
    vllms = Vllms()
    for answer in (
        listing({"id": "base"}),
        listing({"id": "base"}),
        UpstreamUnreachable("gone"),
        UpstreamUnreachable("gone"),
    ):
        vllms.answers["a"] = answer
        await vllms.poller.refresh()
    vllms.answers["a"] = listing({"id": "base"}, {"id": "lora"})
    await vllms.poller.refresh()
    assert [report for report in vllms.reports if report[0] == "a"] == [
        ("a", "serves base", True),
        ("a", "models unknown: gone", False),
        ("a", "serves base, lora", True),
    ]


async def test_an_adapter_that_is_lost_is_named_as_no_good_news() -> None:
    vllms = Vllms()
    vllms.answers["a"] = listing({"id": "base"}, {"id": "lora", "parent": "base"}, {"id": "law", "parent": "base"})
    await vllms.poller.poll(A)
    vllms.answers["a"] = listing({"id": "base"}, {"id": "law", "parent": "base"})
    await vllms.poller.poll(A)
    assert vllms.reports[1:] == [("a", "no longer serves lora", False), ("a", "serves base, law", True)]


@pytest.mark.parametrize("names", ["withheld", "unloaded"])
async def test_one_that_was_unloaded_from_here_is_not_lost(names: str) -> None:
    vllms = Vllms()
    vllms.answers["a"] = listing({"id": "base"}, {"id": "lora", "parent": "base"})
    await vllms.poller.poll(A)
    getattr(vllms.poller.hosts["a"], names).add("lora")
    vllms.answers["a"] = listing({"id": "base"})
    await vllms.poller.poll(A)
    assert vllms.reports[1:] == [("a", "serves base", True)]


async def test_what_an_endpoint_refused_is_not_served_until_it_lists_it_anew() -> None:
    vllms = Vllms()
    vllms.answers["a"] = listing({"id": "base"}, {"id": "lora", "parent": "base"})
    await vllms.poller.refresh()
    vllms.poller.refused("a", "lora")
    assert vllms.poller.served.serving("lora", (A, B)) == ()
    assert vllms.poller.hosts["a"].wake.is_set()
    await vllms.poller.refresh()
    assert vllms.poller.served.serving("lora", (A, B)) == (A,)


async def test_names_that_clients_make_up_are_not_kept() -> None:
    """Each would take memory, and change what decisions are made by."""
    vllms = Vllms()
    for number in range(2_000):
        vllms.poller.refused("b", f"unheard-of-{number}")
    assert len(vllms.poller.hosts["b"].refused) == 1_024, "while nothing is known of it, any may be real"
    served = await vllms.poller.refresh()
    vllms.poller.refused("a", "unheard-of")
    assert vllms.poller.served is served
    assert vllms.poller.hosts["a"].wake.is_set()


def test_however_often_it_is_woken_it_polls_ten_times_a_second(clock: VirtualLoop) -> None:
    polls: list[float] = []

    async def fetch(_: Endpoint) -> bytes:
        polls.append(clock.time())
        poller.wake("a")
        return listing({"id": "base"})

    async def settle(_: Endpoint) -> None:
        poller.wake("a")

    poller = clock.do(Poller, (A,), fetch, lambda *_: None)
    clock.do(lambda: clock.create_task(poller.run(A, 600, settle)))
    clock.advance(0.95)
    assert len(polls) == 10
    assert all(after - before > 0.09 for before, after in itertools.pairwise(polls))


async def test_decisions_keep_what_they_know_while_nothing_changes() -> None:
    """The very object: what is worked out for it holds as long."""
    vllms = Vllms()
    served = await vllms.poller.refresh()
    assert await vllms.poller.refresh() is served


async def test_a_new_config_keeps_what_is_known_of_endpoints_that_stay() -> None:
    vllms = Vllms()
    await vllms.poller.refresh()
    heavier, moved = replace(A, weight=5.0), replace(B, port=9)
    poller = Poller((heavier, moved), vllms.fetch, lambda *_: None, vllms.poller)
    assert poller.served == ServedModels({"a": (BASE,)})
    assert poller.answered.is_set()


async def test_endpoints_are_asked_side_by_side() -> None:
    barrier = asyncio.Barrier(2)

    async def fetch(_: Endpoint) -> bytes:
        await barrier.wait()
        return listing({"id": "base"})

    async with asyncio.timeout(PATIENCE_SECONDS):
        served = await Poller((A, B), fetch, lambda *_: None).refresh()
    assert served.cards.keys() == {"a", "b"}


@pytest.mark.parametrize("turns", range(6))
async def test_it_can_be_cancelled_at_the_moment_when_it_is_woken(turns: int) -> None:
    """So many turns of the event loop later."""

    async def settle(_: Endpoint) -> None:
        pass

    poller = Poller((A,), Vllms().fetch, lambda *_: None)
    task = asyncio.create_task(poller.run(A, 600, settle))
    for _ in range(10):
        await asyncio.sleep(0)
    poller.wake("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    assert await asyncio.wait([task], timeout=PATIENCE_SECONDS) == ({task}, set())
