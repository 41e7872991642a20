"""A snapshot of the models that each vLLM serves, which decisions read; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError


class ModelCard(msgspec.Struct):
    """One entry of `/v1/models`; `parent` is an adapter's base model, None for a base model, and `root` its path."""

    id: str
    parent: str | None = None
    max_model_len: int | None = None
    root: str | None = None


class _ModelList(msgspec.Struct):
    data: list[ModelCard]


@dataclass(frozen=True, slots=True)
class ServedModels:
    """A snapshot of the served models, by endpoint name; an endpoint that never answered may serve any model.

    `withheld` are names for which an endpoint gets no requests, even if it lists them.
    """

    cards: Mapping[str, tuple[ModelCard, ...]] = field(default_factory=dict)
    withheld: Mapping[str, frozenset[str]] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    """Endpoints that are unreachable."""

    def serving(self, name: str, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Return those of `endpoints` that serve `name` or may serve it."""
        return tuple(
            endpoint
            for endpoint in endpoints
            if (endpoint.name not in self.cards or any(card.id == name for card in self.cards[endpoint.name]))
            and name not in self.withheld.get(endpoint.name, ())
        )

    def available(self, name: str, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Return the endpoints that serve `name`; none if these are all down while another of `endpoints` is up."""
        serving = self.serving(name, endpoints)
        if not self.down or self.down.issuperset(endpoint.name for endpoint in endpoints):
            return serving
        return () if self.down.issuperset(endpoint.name for endpoint in serving) else serving

    def base_name(self, base: str, endpoints: tuple[Endpoint, ...]) -> str:
        """Return the name under which `base` is served.

        `vllm serve org/Model` without --served-model-name serves the base model under its path. If the configured name
        is not served and all endpoints list one and the same base model, that name is returned.
        """
        if self.serving(base, endpoints):
            return base
        names = {card.id for endpoint in endpoints for card in self.cards.get(endpoint.name, ()) if card.parent is None}
        return names.pop() if len(names) == 1 else base

    def models(self) -> dict[str, ModelCard]:
        """Return the entries of all models that get requests, by name."""
        return {
            card.id: card
            for endpoint, cards in self.cards.items()
            for card in cards
            if card.id not in self.withheld.get(endpoint, ())
        }

    def down_too(self, endpoints: tuple[Endpoint, ...]) -> ServedModels:
        """Return a copy with these endpoints marked as down."""
        return replace(self, down=self.down.union(endpoint.name for endpoint in endpoints))

    def only(self, endpoint: str, endpoints: tuple[Endpoint, ...]) -> ServedModels:
        """Return a copy in which the others of `endpoints` are down and serve nothing."""
        others = [other.name for other in endpoints if other.name != endpoint]
        return replace(self, cards={**self.cards, **dict.fromkeys(others, ())}, down=self.down.union(others))

    def without(self, endpoint: str, name: str) -> ServedModels:
        """Return a copy in which `endpoint` does not serve `name`."""
        withheld = {**self.withheld, endpoint: self.withheld.get(endpoint, frozenset()) | {name}}
        return replace(self, withheld=withheld)


def parse_models(body: bytes) -> tuple[ModelCard, ...]:
    """Return the entries of a `/v1/models` response; raises UpstreamError."""
    try:
        return tuple(msgspec.json.decode(body, type=_ModelList).data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"`/v1/models` is not a model list ({error}); check the address") from error
