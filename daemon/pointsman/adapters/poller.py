"""What each vLLM serves now: a snapshot that decisions read, and the poller that keeps it fresh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError

Fetch = Callable[[Endpoint], Awaitable[bytes]]
"""Reads an endpoint's `/v1/models`; raises UpstreamError."""


class Card(msgspec.Struct):
    """One entry of `/v1/models`; `parent` is an adapter's base model, None for a base."""

    id: str
    parent: str | None = None
    max_model_len: int | None = None


class _Cards(msgspec.Struct):
    data: list[Card]


@dataclass(frozen=True, slots=True)
class Served:
    """What is known to be served, by endpoint name. An endpoint that never answered may serve anything.

    `withheld` are names that an endpoint gets no requests for, whatever its cards say.
    """

    cards: Mapping[str, tuple[Card, ...]] = field(default_factory=dict)
    withheld: Mapping[str, frozenset[str]] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    """Endpoints that cannot be reached."""

    def serving(self, name: str, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Those of `endpoints` that serve `name`, or may."""
        return tuple(
            endpoint
            for endpoint in endpoints
            if (endpoint.name not in self.cards or any(card.id == name for card in self.cards[endpoint.name]))
            and name not in self.withheld.get(endpoint.name, ())
        )

    def available(self, name: str, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Those that serve it; none where they are all down and another of `endpoints` could answer with another."""
        serving = self.serving(name, endpoints)
        if not self.down or self.down.issuperset(endpoint.name for endpoint in endpoints):
            return serving
        return () if self.down.issuperset(endpoint.name for endpoint in serving) else serving

    def base_name(self, base: str, endpoints: tuple[Endpoint, ...]) -> str:
        """The name under which `base` is served.

        `vllm serve org/Model` without --served-model-name serves the base under its path; where the configured name
        is not served and all endpoints agree on a single base model, that one is meant.
        """
        if self.serving(base, endpoints):
            return base
        names = {card.id for endpoint in endpoints for card in self.cards.get(endpoint.name, ()) if card.parent is None}
        return names.pop() if len(names) == 1 else base

    def models(self) -> dict[str, Card]:
        """All that gets requests, by name."""
        return {
            card.id: card
            for endpoint, cards in self.cards.items()
            for card in cards
            if card.id not in self.withheld.get(endpoint, ())
        }

    def down_too(self, endpoints: tuple[Endpoint, ...]) -> Served:
        """The same with these endpoints down."""
        return replace(self, down=self.down.union(endpoint.name for endpoint in endpoints))

    def without(self, endpoint: str, name: str) -> Served:
        """The same but for one name of one endpoint."""
        withheld = {**self.withheld, endpoint: self.withheld.get(endpoint, frozenset()) | {name}}
        return replace(self, withheld=withheld)


def parse_models(body: bytes) -> tuple[Card, ...]:
    """The cards of a `/v1/models` answer; raises UpstreamError."""
    try:
        return tuple(msgspec.json.decode(body, type=_Cards).data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"`/v1/models` answered with something else ({error})") from error


@dataclass(frozen=True, slots=True)
class Failure:
    """An adapter that could not be loaded: how often in a row, why, and the loop's time of the next try.

    `deadly`: vLLM gave no answer, so that it may be down because of it.
    """

    times: int
    message: str
    again: float
    deadly: bool


@dataclass(slots=True, eq=False)
class Host:
    """What is known of one vLLM and its adapters. It outlives a config that keeps the endpoint."""

    cards: tuple[Card, ...] | None = None
    """What it last said that it serves."""
    trouble: str | None = None
    """Why it did not say so when it was last asked."""
    refused: set[str] = field(default_factory=set)
    """Names that it answered with 404 since."""
    withheld: set[str] = field(default_factory=set)
    """Adapters that are not proved to answer yet, or are about to go."""
    held: set[str] = field(default_factory=set)
    """Adapters that an operator unloaded: they stay away until one loads them."""
    failures: dict[str, Failure] = field(default_factory=dict)
    loading: str | None = None
    down: bool = False
    """No connection to it comes about."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its adapters are changed."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where it should be asked at once."""

    def lists(self, name: str) -> bool:
        """Whether it said that it serves `name`."""
        return any(card.id == name for card in self.cards or ())


class Poller:
    """Keeps `served` fresh; an endpoint that fails keeps what it last said."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        fetch: Fetch,
        report: Callable[[str, str], None],
        previous: Poller | None = None,
    ) -> None:
        """`report(endpoint name, message)` is called when an endpoint's state changes.

        What `previous` knows of endpoints that are the same stays known.
        """
        self.endpoints = endpoints
        self._fetch = fetch
        self._report = report
        known = {_place(one): previous.hosts[one.name] for one in previous.endpoints} if previous else {}
        self.hosts: dict[str, Host] = {one.name: known.get(_place(one)) or Host() for one in endpoints}
        self.served = Served()
        self.answered = asyncio.Event()
        """Set once an endpoint has."""
        self.publish()

    async def refresh(self) -> Served:
        """Ask every endpoint once, side by side."""
        await asyncio.gather(*map(self.poll, self.endpoints))
        return self.served

    async def run(self, interval: float, settle: Callable[[Endpoint], Awaitable[None]]) -> None:
        """Ask every endpoint each `interval` seconds until cancelled, and `settle` what its answer calls for."""
        await asyncio.gather(*(self._watch(endpoint, interval, settle) for endpoint in self.endpoints))

    async def _watch(self, endpoint: Endpoint, interval: float, settle: Callable[[Endpoint], Awaitable[None]]) -> None:
        host = self.hosts[endpoint.name]
        while True:
            host.wake.clear()
            await self.poll(endpoint)
            await settle(endpoint)
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await host.wake.wait()

    async def poll(self, endpoint: Endpoint) -> None:
        """Ask one endpoint."""
        host = self.hosts[endpoint.name]
        before = host.cards, host.trouble
        try:
            host.cards = parse_models(await self._fetch(endpoint))
        except UpstreamError as error:
            host.trouble = error.message
        else:
            host.trouble = None
            host.refused.clear()
        if (host.cards, host.trouble) != before:
            known = "serves " + ", ".join(card.id for card in host.cards or ())
            self._report(endpoint.name, known if host.trouble is None else f"models unknown: {host.trouble}")
        self.publish()

    def refused(self, endpoint: str, name: str) -> None:
        """An endpoint answered that it does not serve `name`: it gets no request for it until it lists it again."""
        self.hosts[endpoint].refused.add(name)
        self.publish()
        self.wake(endpoint)

    def wake(self, endpoint: str) -> None:
        """Ask an endpoint at once."""
        self.hosts[endpoint].wake.set()

    def publish(self) -> None:
        """Let decisions know what has changed in `hosts`."""
        served = Served(
            {name: host.cards for name, host in self.hosts.items() if host.cards is not None},
            {name: frozenset(gone) for name, host in self.hosts.items() if (gone := host.refused | host.withheld)},
            frozenset(name for name, host in self.hosts.items() if host.down),
        )
        if served != self.served:
            self.served = served
        if served.cards:
            self.answered.set()


def _place(endpoint: Endpoint) -> tuple[str, str, int | None]:
    return endpoint.name, endpoint.address, endpoint.port
