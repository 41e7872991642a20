"""What each vLLM serves now: a snapshot that decisions read, and the poller that keeps it fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

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
    """What is known to be served, by endpoint name. An endpoint that never answered may serve anything."""

    cards: Mapping[str, tuple[Card, ...]] = field(default_factory=dict)

    def serving(self, name: str, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Those of `endpoints` that serve `name`, or may."""
        return tuple(
            endpoint
            for endpoint in endpoints
            if endpoint.name not in self.cards or any(card.id == name for card in self.cards[endpoint.name])
        )

    def base_name(self, base: str, endpoints: tuple[Endpoint, ...]) -> str:
        """The name under which `base` is served.

        `vllm serve org/Model` without --served-model-name serves the base under its path; where the configured name
        is not served and all endpoints agree on a single base model, that one is meant.
        """
        if self.serving(base, endpoints):
            return base
        names = {card.id for endpoint in endpoints for card in self.cards[endpoint.name] if card.parent is None}
        return names.pop() if len(names) == 1 else base


def parse_models(body: bytes) -> tuple[Card, ...]:
    """The cards of a `/v1/models` answer; raises UpstreamError."""
    try:
        return tuple(msgspec.json.decode(body, type=_Cards).data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"`/v1/models` answered with something else ({error})") from error


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
        self._endpoints = endpoints
        self._fetch = fetch
        self._report = report
        self._state: dict[str, str] = {}
        self.served = Served()
        if previous is not None:
            same = {endpoint.name for endpoint in previous._endpoints if endpoint in endpoints}
            self._state = {name: state for name, state in previous._state.items() if name in same}
            self.served = Served({name: cards for name, cards in previous.served.cards.items() if name in same})
        self.answered = asyncio.Event()
        """Set once an endpoint has."""

    async def refresh(self) -> Served:
        """Ask every endpoint once, side by side."""
        results = await asyncio.gather(*map(self._ask, self._endpoints))
        fresh = {name: cards for name, cards in results if cards is not None}
        self.served = Served({**self.served.cards, **fresh})
        if fresh:
            self.answered.set()
        return self.served

    async def run(self, interval: float) -> None:
        """Refresh every `interval` seconds until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(interval)

    async def _ask(self, endpoint: Endpoint) -> tuple[str, tuple[Card, ...] | None]:
        cards: tuple[Card, ...] | None = None
        try:
            cards = parse_models(await self._fetch(endpoint))
            state = "serves " + ", ".join(card.id for card in cards)
        except UpstreamError as error:
            state = f"models unknown: {error.message}"
        if self._state.get(endpoint.name) != state:
            self._state[endpoint.name] = state
            self._report(endpoint.name, state)
        return endpoint.name, cards
