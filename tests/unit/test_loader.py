"""How adapters are brought to a vLLM: one at a time, proved before they are used, and when a failure is tried again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from pointsman.adapters.inventory import inventory
from pointsman.adapters.loader import Loader, pause
from pointsman.adapters.poller import Poller
from pointsman.config.model import AdapterOptions, Config, Endpoint, Lora, Model, Options
from pointsman.config.overlay import UnloadedAdapter
from pointsman.errors import RequestError, UpstreamError, UpstreamTimeout
from support.toy_config import BASE, A, B, config
from support.virtual_loop import VirtualLoop

T = TypeVar("T")


@pytest.mark.parametrize(("times", "seconds"), [(1, 10), (2, 20), (5, 160), (6, 300), (7, 300), (10_000, 300)])
def test_what_vllm_refuses_is_tried_again_ever_more_seldom_down_to_once_in_five_minutes(
    times: int, seconds: float
) -> None:
    assert pause(times, deadly=False) == seconds


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 10), (6, 320), (13, 40_960), (14, 81_920), (15, 86_400), (10_000, 86_400)]
)
def test_what_may_have_killed_vllm_is_tried_ever_more_seldom_down_to_once_a_day(times: int, seconds: float) -> None:
    assert pause(times, deadly=True) == seconds


class Vllms:
    """Takes a second for each change, and notes what is under way at each endpoint at the same time."""

    def __init__(self) -> None:
        self.served: dict[str, list[str]] = {"a": [], "b": []}
        self.busy: dict[str, int] = {"a": 0, "b": 0}
        self.most: dict[str, int] = {"a": 0, "b": 0}
        self.calls: list[tuple[str, str]] = []
        self.roots: dict[str, str] = {}
        self.paths: list[str] = []
        self.silent: set[str] = set()
        self.refused: set[str] = set()

    async def _change(self, endpoint: Endpoint, verb: str, name: str) -> None:
        self.calls.append((verb, name))
        self.busy[endpoint.name] += 1
        self.most[endpoint.name] = max(self.most[endpoint.name], self.busy[endpoint.name])
        await asyncio.sleep(1.0)
        self.busy[endpoint.name] -= 1
        if verb in self.refused:
            raise UpstreamError(f"no {verb}")

    async def load(self, endpoint: Endpoint, name: str, path: str) -> None:
        await self._change(endpoint, "load", name)
        self.paths.append(path)
        self.served[endpoint.name].append(name)

    async def unload(self, endpoint: Endpoint, name: str) -> None:
        await self._change(endpoint, "unload", name)
        self.served[endpoint.name].remove(name)

    async def probe(self, endpoint: Endpoint, name: str) -> None:
        await self._change(endpoint, "probe", name)

    async def models(self, endpoint: Endpoint) -> bytes:
        if endpoint.name in self.silent:
            raise UpstreamTimeout("no answer")
        served = self.served[endpoint.name]
        loras = [{"id": name, "parent": BASE, "root": self.roots.get(name)} for name in served]
        return json.dumps({"data": [{"id": BASE}, *loras]}).encode()


LORAS = Model(loras=tuple(Lora(name=f"{letter}-lora", path=f"/{letter}") for letter in "xyz"))
LOADED = config(endpoints=(A,), base=LORAS, pointsman=Options(adapters=AdapterOptions(load=True)))


def loading(
    vllms: Vllms, served: Config | None = None, unloaded: dict[str, UnloadedAdapter] | None = None
) -> tuple[Loader, Poller]:
    served = served or config(endpoints=(A, B), base=LORAS)
    poller = Poller(served.vllm_endpoints, vllms.models, lambda *_: None)
    api: Any = vllms
    return Loader(served, poller, api, lambda *_: None, {} if unloaded is None else unloaded), poller


def test_a_vllm_is_changed_by_one_request_at_a_time_and_another_beside_it(clock: VirtualLoop) -> None:
    """vLLM adds adapters between the steps of its engine: two at once hold each other up, or fail."""
    vllms = Vllms()

    async def all_at_once() -> None:
        loader, _ = loading(vllms)
        await asyncio.gather(*(loader.load(f"{letter}-lora") for letter in "xyz"))
        await asyncio.gather(loader.unload("x-lora"), loader.load("y-lora"), loader.unload("z-lora"))

    task = clock.do(lambda: clock.create_task(all_at_once()))
    clock.advance(60.0)
    task.result()
    assert vllms.most == {"a": 1, "b": 1}
    assert vllms.served == {"a": ["y-lora"], "b": ["y-lora"]}


def test_who_asks_for_an_adapter_that_is_being_loaded_loads_it_no_second_time(clock: VirtualLoop) -> None:
    vllms = Vllms()

    async def twice() -> None:
        loader, _ = loading(vllms)
        await asyncio.gather(loader.load("x-lora"), loader.load("x-lora"))

    task = clock.do(lambda: clock.create_task(twice()))
    clock.advance(60.0)
    task.result()
    assert sorted(vllms.calls) == [("load", "x-lora")] * 2 + [("probe", "x-lora")] * 2, "once at each endpoint"


def test_an_adapter_gets_no_requests_before_it_has_answered_one_of_ours(clock: VirtualLoop) -> None:
    vllms = Vllms()
    loader, poller = clock.do(loading, vllms, config(base=LORAS))
    clock.do(lambda: clock.create_task(loader.load("x-lora")))
    served: list[bool] = []
    for _ in range(4):
        clock.advance(0.75)
        served.append(bool(poller.served.serving("x-lora", (A,))))
    assert served == [False, False, True, True]


def done(clock: VirtualLoop, work: Coroutine[Any, Any, T]) -> T:
    """The result of work that takes less than a minute."""
    task = clock.create_task(work)
    clock.advance(60.0)
    return task.result()


def test_what_was_unloaded_is_loaded_again_from_where_vllm_had_it(clock: VirtualLoop) -> None:
    """Also if the config does not know it, or not its path, and by the loader of a later config."""
    vllms, unloaded = Vllms(), dict[str, UnloadedAdapter]()
    vllms.served["a"] += ["stranger", "x-lora"]
    vllms.roots = {"stranger": "/srv/stranger", "x-lora": "/srv/x"}
    served = config(endpoints=(A,), base=Model(loras=(Lora(name="x-lora"),)))

    async def away_and_back() -> None:
        loader, _ = loading(vllms, served, unloaded)
        for name in ("stranger", "x-lora"):
            assert await loader.unload(name) == {"a": None}
        loader, _ = loading(vllms, served, unloaded)
        for name in ("stranger", "x-lora"):
            assert await loader.load(name) == {"a": None}

    done(clock, away_and_back())
    assert vllms.paths == ["/srv/stranger", "/srv/x"]
    assert unloaded["stranger"] == UnloadedAdapter(base=BASE, path="/srv/stranger")


def test_the_path_in_the_config_comes_first(clock: VirtualLoop) -> None:
    vllms = Vllms()
    vllms.served["a"] += ["x-lora"]
    vllms.served["b"] += ["x-lora"]
    vllms.roots = {"x-lora": "/srv/x"}
    unloaded = dict[str, UnloadedAdapter]()
    loader, _ = loading(vllms, unloaded=unloaded)
    done(clock, loader.unload("x-lora"))
    assert unloaded["x-lora"].path == "/x"


def test_what_could_not_be_loaded_again_is_unloaded_by_force_alone(clock: VirtualLoop) -> None:
    vllms = Vllms()
    vllms.served["a"] += ["stranger"]
    unloaded = dict[str, UnloadedAdapter]()
    loader, _ = loading(vllms, unloaded=unloaded)
    with pytest.raises(RequestError, match=r"could not be loaded again: vLLM reports no path .* use --force") as caught:
        done(clock, loader.unload("stranger"))
    assert (caught.value.status, vllms.calls) == (409, [])
    assert done(clock, loader.unload("stranger", force=True)) == {"a": None}
    assert unloaded == {}


def test_an_adapter_is_unloaded_where_it_is_served_while_another_vllm_has_never_answered(clock: VirtualLoop) -> None:
    vllms = Vllms()
    vllms.silent.add("b")
    vllms.served["a"] += ["x-lora"]
    loader, _ = loading(vllms)

    assert done(clock, loader.unload("x-lora")) == {"a": None}
    assert vllms.calls == [("unload", "x-lora")]
    with pytest.raises(RequestError, match="y-lora is served nowhere") as caught:
        done(clock, loader.unload("y-lora"))
    assert caught.value.status == 404


def test_an_unload_that_fails_is_reported_and_the_adapter_is_wanted_as_before(clock: VirtualLoop) -> None:
    vllms = Vllms()
    vllms.served["a"] += ["x-lora"]
    vllms.refused.add("unload")
    loader, poller = loading(vllms, LOADED)
    assert done(clock, loader.unload("x-lora")) == {"a": "no unload"}
    vllms.served["a"].clear()
    done(clock, poller.refresh())
    done(clock, loader.settle(A))
    assert "x-lora" in vllms.served["a"]


def test_a_failure_is_shown_while_its_vllm_is_down_and_forgotten_once_it_is_back(clock: VirtualLoop) -> None:
    """It may be a new process then."""
    vllms = Vllms()
    vllms.refused.add("load")
    loader, poller = loading(vllms, LOADED)
    done(clock, loader.load("x-lora"))

    def shown() -> list[object]:
        adapter = inventory(LOADED, poller, clock.time())[0]["adapters"][0]
        return [adapter[key] for key in ("name", "state", "failures", "retry_in_s")]

    loader.health_changed("a", False)
    assert shown() == ["x-lora", "failed", 1, 0], "its pause of 10 s is over"
    loader.health_changed("a", True)
    assert shown() == ["x-lora", "missing", 0, None]
