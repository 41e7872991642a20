"""What each vLLM serves: a snapshot that decisions read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError


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
