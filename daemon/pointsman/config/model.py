"""The config as one frozen object.

Each dataclass is one mapping of the file. A field's name is its key, its type what the loader accepts, its
default the default, and `option()` adds what the generated reference and the JSON schema say. Construction
does no I/O.

Outside `pointsman:` the names are vLLM Semantic Router's, so that its users know them.
"""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_EMPTY: Mapping[str, Any] = {}


def option(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
) -> Any:
    """A field with its line in the reference; without a default the key is required."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "above": above}
    if isinstance(default, Mapping) or (dataclasses.is_dataclass(default) and not isinstance(default, type)):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str = option("Name, used in `preferred_endpoints`, the log and metrics.")
    address: str = option("IP, host name, `http(s)://host[:port][/prefix]`, or `unix:/path` of a vLLM.")
    port: int | None = option(
        "TCP port; needed beside an IP or host name, refused beside `unix:` or a port in `address`.",
        None,
        minimum=1,
        maximum=65535,
    )
    weight: float = option("Share of the traffic among the endpoints that can serve a request.", 1.0, minimum=0)

    @property
    def base_url(self) -> str:
        """`http(s)://authority[/prefix]` without a trailing slash; `localhost` stands for a Unix socket."""
        if self.socket_path is not None:
            return "http://localhost"
        scheme, _, rest = self.address.rpartition("://")
        authority, slash, prefix = rest.partition("/")
        if not scheme and authority.count(":") > 1 and not authority.startswith("["):
            authority = f"[{authority}]"
        port = "" if self.port is None else f":{self.port}"
        return f"{scheme or 'http'}://{authority}{port}{slash}{prefix}".rstrip("/")

    @property
    def socket_path(self) -> str | None:
        """The path of a Unix socket, or None for TCP."""
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    name: str = option("The adapter's name in vLLM (`--lora-modules name=path`).")
    description: str = option("For people; not used in routing.", "")
    path: str | None = option(
        "The adapter's folder as vLLM sees it, or a name that vLLM resolves; for `pointsman.adapters.load` and "
        "`pointsman adapters load`.",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    currency: str = option("Currency of the prices.", "USD")
    prompt_per_1m: float = option("Price of a million prompt tokens.", 0.0, minimum=0)
    completion_per_1m: float = option("Price of a million completion tokens.", 0.0, minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One base model; its adapters inherit all of it."""

    reasoning_family: str | None = option("Key of `reasoning_families`: how this model's reasoning is switched.", None)
    preferred_endpoints: tuple[str, ...] = option("Endpoints that serve it; all of them when empty.", ())
    loras: tuple[Lora, ...] = option("The LoRA adapters that exist for it.", ())
    pricing: Pricing | None = option("Price, for whoever reads the log.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningFamily:
    type: Literal["chat_template_kwargs", "reasoning_effort"] = option("Where the switch goes in the request.")
    parameter: str = option("The key that is set: `enable_thinking`, `thinking`, `reasoning_effort`.")


BUILTIN_FAMILIES: Mapping[str, ReasoningFamily] = {
    "qwen3": ReasoningFamily(type="chat_template_kwargs", parameter="enable_thinking"),
    "deepseek": ReasoningFamily(type="chat_template_kwargs", parameter="thinking"),
    "gpt-oss": ReasoningFamily(type="reasoning_effort", parameter="reasoning_effort"),
    "gpt": ReasoningFamily(type="reasoning_effort", parameter="reasoning_effort"),
}

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    model: str = option("Base model; a key of `model_config`.")
    score: float = option(
        "The highest available wins, ties go to the first; with `split: score` it is a share.", 1.0, above=0
    )
    lora_name: str | None = option(
        "Adapter that answers; one of the model's `loras`. Without it the base answers.", None
    )
    use_reasoning: bool = option("Switch the model's reasoning on or off for this category.", False)
    reasoning_effort: Effort | None = option(
        "Effort where the family takes one; else `default_reasoning_effort`.", None
    )
    reasoning_description: str = option("For people; not used in routing.", "")

    @property
    def target(self) -> str:
        """The model name that vLLM is asked for."""
        return self.lora_name or self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    name: str = option("The category's name; matched to labels without regard to case.")
    description: str = option("For people; not used in routing.", "")
    mmlu_categories: tuple[str, ...] = option("The classifier's labels that this category covers.", ())
    labels: tuple[str, ...] = option("The same as `mmlu_categories`.", ())
    system_prompt: str = option("Put before the conversation when this category is chosen.", "")
    system_prompt_enabled: bool = option("Whether `system_prompt` is used.", True)
    system_prompt_mode: Literal["replace", "insert"] = option(
        "`replace` the client's system prompt, or `insert` ours before it.", "replace"
    )
    model_scores: tuple[ModelScore, ...] = option("Who may answer; at least one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryModel:
    model_id: str = option("Folder of an exported artifact (relative to this file), or `builtin`.", "builtin")
    use_modernbert: bool = option("Accepted for compatibility; only ModernBERT is served.", True)
    threshold: float = option("A category's probability below this is the fallback.", 0.6, minimum=0, maximum=1)
    use_cpu: bool = option(
        "CPU; `false` means CUDA, and an error where there is none. `pointsman.classifier.providers` says more.", True
    )
    category_mapping_path: str | None = option(
        "File (relative to this one) that must agree with the artifact's labels where it exists.", None
    )
    fallback_category: str | None = option(
        "Category for what is below the threshold, spelled as its `name`; else `default_model`, no category.",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSection:
    category_model: CategoryModel = option("The category classifier.", CategoryModel())


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    listen: tuple[str, ...] = option("Addresses of the data port: `host:port` or `unix:/path`.", ("127.0.0.1:8080",))
    admin_listen: str = option(
        "Address of the admin port (metrics, config): `host:port` or `unix:/path`.", "127.0.0.1:9190"
    )
    max_in_flight: int = option(
        "Requests served at once, each until the last byte of its answer; one more is refused with 503.",
        1_024,
        minimum=1,
    )
    max_in_flight_per_client: int = option(
        "Of these, those of one client address; one more is refused with 429. 0 is no limit, as it must be behind a "
        "reverse proxy, whose address is that of all clients. Clients of a Unix socket have no address and no limit.",
        0,
        minimum=0,
    )
    max_connections: int = option("Client connections at once; one more is refused with 503.", 2_048, minimum=1)
    header_timeout_ms: int = option("Time for the client to deliver a request's head; then 408.", 10_000, minimum=1)
    max_body_bytes: int = option("A larger request body is refused with 413.", 32 * 1024 * 1024, minimum=1024)
    body_timeout_ms: int = option("Time for the client to deliver a body; then 408.", 30_000, minimum=1)
    drain_timeout_ms: int = option("Time that running answers get at shutdown.", 30_000, minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    connect_timeout_ms: int = option("Time to connect to vLLM.", 2_000, minimum=1)
    first_byte_timeout_ms: int = option(
        "Time from the request to the first byte of the answer; 0 is no limit.", 600_000, minimum=0
    )
    idle_timeout_ms: int = option("Longest silence inside an answer; 0 is no limit.", 300_000, minimum=0)
    total_timeout_ms: int = option("Longest time of a whole answer; 0 is no limit.", 0, minimum=0)
    health_interval_ms: int = option(
        "How often each endpoint's `/health` is asked; one that fails twice gets no requests. 0 is never.",
        2_000,
        minimum=0,
    )
    breaker_failures: int = option(
        "Failures in a row (connection, first byte, 502, 503, 504) after which others get an endpoint's requests; "
        "0 is never.",
        5,
        minimum=0,
    )
    breaker_open_ms: int = option("Time until such an endpoint is tried again with one request.", 5_000, minimum=1)
    api_key_file: str | None = option(
        "File (relative to this one) with the key that vLLM wants; sent as `Authorization: Bearer`.", None
    )
    forward_authorization: bool = option("Pass the client's `Authorization` on to vLLM.", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierOptions:
    providers: tuple[Literal["cpu", "cuda", "tensorrt"], ...] = option(
        "ONNX Runtime providers: the first that this host has is used, and it is an error if it has none of them. "
        "Empty follows `use_cpu`; `[cuda, cpu]` falls back to CPU.",
        (),
    )
    device_id: int = option("Number of the GPU.", 0, minimum=0)
    gpu_mem_limit_mb: int | None = option(
        "GPU memory that ONNX Runtime may take, in MiB; no limit when not set.", None, minimum=1
    )
    threads: int = option(
        "Cores that the classifier may use; 0 takes every core that the process may use.", 0, minimum=0
    )
    batch_tokens: int | None = option(
        "Most tokens in one run, unless one text has more; measured on this host when not set.", None, minimum=1
    )
    deadline_ms: int | None = option(
        "Longest wait for a class; then the fallback answers. When not set it is 250 ms more than the longest text "
        "takes on this host while all workers run, as measured.",
        None,
        minimum=1,
    )
    cache_entries: int = option("Texts whose class is remembered; 0 remembers none.", 10_000, minimum=0)
    max_tokens: int | None = option(
        "Tokens that are read of a prompt; the artifact's own limit when not set.", None, minimum=8
    )
    head_share: float = option(
        "Of a longer prompt, the share of `max_tokens` taken from its head; the rest from its tail.",
        0.5,
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingOptions:
    split: Literal["best", "score"] = option(
        "`best`: the highest score wins; `score`: scores are shares (A/B), fixed per conversation.", "best"
    )
    sticky: bool = option("A follow-up turn keeps its conversation's category.", True)
    switch_margin: float = option("By how much another category must beat it to switch.", 0.2, minimum=0, maximum=1)
    sticky_entries: int = option("Conversations that are remembered.", 10_000, minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterOptions:
    poll_interval_ms: int = option("How often each endpoint's `/v1/models` is read; 0 is never.", 10_000, minimum=0)
    load: bool = option(
        "Load adapters that have a `path` into each endpoint that serves their base model and does not have them; "
        "vLLM must run with `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`.",
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    level: Literal["debug", "info", "warning", "error"] = option("Least severe line that is written.", "info")
    requests: bool = option("One `routing_decision` line for each request.", True)
    texts_file: str | None = option(
        "File (relative to this one) to which the text of classified prompts is appended, under the `text_hash` of the "
        "log's lines, for `pointsman eval --replay`. It holds what users wrote: not set, no text is kept.",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that is Pointsman's own: the key `pointsman:`."""

    server: ServerOptions = option("Listeners and limits.", ServerOptions())
    relay: RelayOptions = option("The way to vLLM.", RelayOptions())
    classifier: ClassifierOptions = option("How the classifier is run.", ClassifierOptions())
    routing: RoutingOptions = option("How a decision is made.", RoutingOptions())
    adapters: AdapterOptions = option("What each vLLM serves.", AdapterOptions())
    log: LogOptions = option("The log on stderr.", LogOptions())


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    classifier: ClassifierSection = option("Which classifier.", ClassifierSection())
    vllm_endpoints: tuple[Endpoint, ...] = option("The vLLM servers; at least one.")
    model_config: Mapping[str, Model] = option("The base models, by the name that vLLM serves them under.", _EMPTY)
    default_model: str = option("Answers when no category fits; a base model or an adapter.")
    categories: tuple[Category, ...] = option("The categories and who answers them.", ())
    reasoning_families: Mapping[str, ReasoningFamily] = option(
        "Added to, or in place of, the built-in families.", _EMPTY
    )
    default_reasoning_effort: Effort = option("Effort when an entry sets none.", "medium")
    auto_model_name: str = option("The model name that asks for routing; `auto` always does too.", "MoM")
    include_config_models_in_list: bool = option(
        "Accepted for compatibility; `/v1/models` always lists what is there.", True
    )
    pointsman: Options = option("Pointsman's own options.", Options())

    @property
    def auto_names(self) -> frozenset[str]:
        """Model names that ask for routing."""
        return frozenset({"auto", self.auto_model_name})

    @property
    def families(self) -> Mapping[str, ReasoningFamily]:
        """Built-in reasoning families and the config's."""
        return {**BUILTIN_FAMILIES, **self.reasoning_families}

    def base_of(self, name: str) -> str:
        """The base model of an adapter; any other name is its own base."""
        for base, model in self.model_config.items():
            if any(lora.name == name for lora in model.loras):
                return base
        return name

    def endpoints_of(self, name: str) -> tuple[Endpoint, ...]:
        """The endpoints that may serve a base model or adapter; all where the config names none."""
        model = self.model_config.get(self.base_of(name))
        if model is None or not model.preferred_endpoints:
            return self.vllm_endpoints
        return tuple(endpoint for endpoint in self.vllm_endpoints if endpoint.name in model.preferred_endpoints)
