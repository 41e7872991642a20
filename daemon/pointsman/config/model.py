"""Define the config as one frozen object.

Each dataclass is one mapping of the file; those of its sections are in modules of their own. A field's name is its key,
its type says what the loader accepts, and `option()` adds the text for the generated reference and JSON schema.
Construction does no I/O.
"""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.config.access import AccessOptions
from pointsman.config.adapters import AdapterOptions
from pointsman.config.base_model import BUILTIN_FAMILIES, Effort, Lora, Model, Pricing, ReasoningFamily
from pointsman.config.category import Category, ModelScore
from pointsman.config.classifier import CategoryModel, ClassifierOptions, ClassifierSection
from pointsman.config.cors import CorsOptions
from pointsman.config.endpoint import Endpoint
from pointsman.config.log import LogOptions
from pointsman.config.option import EMPTY, option
from pointsman.config.relay import PathOptions, RelayOptions
from pointsman.config.rollout import Canary, CategoryRollout, Mode
from pointsman.config.routing import AskOptions, RoutingOptions
from pointsman.config.rules import Rule
from pointsman.config.server import ServerOptions
from pointsman.config.tls import TlsOptions
from pointsman.config.tracing import TracingOptions

__all__ = [
    "BUILTIN_FAMILIES",
    "DIRECT",
    "AccessOptions",
    "AdapterOptions",
    "AskOptions",
    "Canary",
    "Category",
    "CategoryModel",
    "CategoryRollout",
    "ClassifierOptions",
    "ClassifierSection",
    "Config",
    "CorsOptions",
    "Effort",
    "Endpoint",
    "LogOptions",
    "Lora",
    "Mode",
    "Model",
    "ModelScore",
    "Options",
    "PathOptions",
    "Pricing",
    "ReasoningFamily",
    "RelayOptions",
    "RoutingOptions",
    "Rule",
    "ServerOptions",
    "TlsOptions",
    "TracingOptions",
]


DIRECT = "direct:"
"""A prefix of a model's name: that model, even if its name is an alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that is Pointsman's own: the key `pointsman:`."""

    server: ServerOptions = option("Listeners and limits.", ServerOptions())
    relay: RelayOptions = option("Connections to vLLM: timeouts, health checks, keys.", RelayOptions())
    classifier: ClassifierOptions = option("Execution of the classifier.", ClassifierOptions())
    routing: RoutingOptions = option("Routing decisions.", RoutingOptions())
    adapters: AdapterOptions = option("Adapters that each vLLM serves.", AdapterOptions())
    access: AccessOptions = option("Who may ask.", AccessOptions())
    log: LogOptions = option("The log on stderr.", LogOptions())
    tracing: TracingOptions = option("Spans of requests, for OpenTelemetry.", TracingOptions())
    cors: CorsOptions = option("Web pages that may call the data port.", CorsOptions())


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    classifier: ClassifierSection = option("Choice of the classifier.", ClassifierSection())
    vllm_endpoints: tuple[Endpoint, ...] = option("The vLLM servers; at least one.")
    model_config: Mapping[str, Model] = option("The base models, by their names in vLLM.", EMPTY)
    default_model: str = option("Model that answers when no category fits: a base model or an adapter.")
    categories: tuple[Category, ...] = option("The categories and their models.", ())
    reasoning_families: Mapping[str, ReasoningFamily] = option(
        "Additional reasoning families; a built-in family of the same name is replaced.", EMPTY
    )
    default_reasoning_effort: Effort = option("Effort if an entry sets none.", "medium")
    auto_model_name: str = option("Model name that requests routing; `auto` always does, too.", "MoM")
    include_config_models_in_list: bool = option(
        "Accepted for compatibility; `/v1/models` always lists all models.", True
    )
    pointsman: Options = option("Pointsman's own options.", Options())

    @property
    def auto_names(self) -> frozenset[str]:
        """Return the model names that request routing."""
        return frozenset({"auto", self.auto_model_name})

    def aliases_of(self, key: str | None = None) -> tuple[str, ...]:
        """Return the aliases for the client with a key of this name, or None."""
        routing = self.pointsman.routing
        return routing.aliases if key is None else (*routing.aliases, *routing.key_aliases.get(key, ()))

    def routed_names(self, key: str | None = None) -> frozenset[str]:
        """Return all model names by which a client requests routing, aliases included."""
        return self.auto_names.union(self.aliases_of(key))

    @property
    def models(self) -> frozenset[str]:
        """Return the names of all base models and adapters."""
        return frozenset(self.model_config).union(lora.name for one in self.model_config.values() for lora in one.loras)

    @property
    def families(self) -> Mapping[str, ReasoningFamily]:
        """Return the built-in reasoning families and the config's."""
        return {**BUILTIN_FAMILIES, **self.reasoning_families}

    @property
    def choices(self) -> frozenset[str]:
        """Return the models and adapters that may answer a request for the automatic model."""
        entries = [entry for category in self.categories for entry in category.model_scores]
        return frozenset({self.default_model, *(entry.lora_name or entry.model for entry in entries)})

    @property
    def routable(self) -> frozenset[str]:
        """Return those and what canaries and rules name; any other adapter is unrouted: clients must ask for it."""
        routing = self.pointsman.routing
        canaries = [one.canary.adapter for one in routing.categories.values() if one.canary is not None]
        return self.choices.union(canaries, (rule.adapter for rule in routing.rules if rule.adapter is not None))

    def base_of(self, name: str) -> str:
        """Return the base model of an adapter; any other name is returned unchanged."""
        for base, model in self.model_config.items():
            if any(lora.name == name for lora in model.loras):
                return base
        return name

    def endpoints_of(self, name: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that may serve a model or adapter; all if the config names none."""
        model = self.model_config.get(self.base_of(name))
        if model is None or not model.preferred_endpoints:
            return self.vllm_endpoints
        return tuple(endpoint for endpoint in self.vllm_endpoints if endpoint.name in model.preferred_endpoints)
