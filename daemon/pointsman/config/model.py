"""Define the config as one frozen object.

Each dataclass is one mapping of the file. A field's name is its key, its type says what the loader accepts, and
`option()` adds the text for the generated reference and JSON schema. Construction does no I/O.

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
    """Return a field with its line for the reference; without a default the key is required."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "above": above}
    if isinstance(default, Mapping) or (dataclasses.is_dataclass(default) and not isinstance(default, type)):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str = option("Name, used in `preferred_endpoints`, the log and metrics.")
    address: str = option("Address of a vLLM: IP, host name, `http(s)://host[:port][/prefix]`, or `unix:/path`.")
    port: int | None = option(
        "TCP port; required with an IP or host name, not allowed with `unix:` or a port in `address`.",
        None,
        minimum=1,
        maximum=65535,
    )
    weight: float = option(
        "Relative share of the traffic among the endpoints that can serve a request.", 1.0, minimum=0
    )

    @property
    def base_url(self) -> str:
        """Return `http(s)://authority[/prefix]` without a trailing slash; `localhost` stands for a Unix socket."""
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
        """Return the path of a Unix socket, or None for TCP."""
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    name: str = option("The adapter's name in vLLM (`--lora-modules name=path`).")
    description: str = option("For documentation; not used in routing.", "")
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
    """One base model; its adapters inherit all of its settings."""

    reasoning_family: str | None = option(
        "Key of `reasoning_families`, which says how to turn reasoning on and off.", None
    )
    preferred_endpoints: tuple[str, ...] = option("Endpoints that serve this model; empty means all.", ())
    loras: tuple[Lora, ...] = option("LoRA adapters of this model.", ())
    pricing: Pricing | None = option("Price; for documentation.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningFamily:
    type: Literal["chat_template_kwargs", "reasoning_effort"] = option("Where in the request reasoning is set.")
    parameter: str = option("The key that is set, such as `enable_thinking`, `thinking` or `reasoning_effort`.")


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
        "The available model with the highest score answers, the first of equals; with `split: score` it is a share.",
        1.0,
        above=0,
    )
    lora_name: str | None = option(
        "Adapter that answers, one of the model's `loras`; without it the base model answers.", None
    )
    use_reasoning: bool = option("Turn the model's reasoning on or off for this category.", False)
    reasoning_effort: Effort | None = option(
        "Effort, if the family has one; default: `default_reasoning_effort`.", None
    )
    reasoning_description: str = option("For documentation; not used in routing.", "")

    @property
    def target(self) -> str:
        """Return the model name to request from vLLM."""
        return self.lora_name or self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    name: str = option("Name of the category; compared with labels case-insensitively.")
    description: str = option("For documentation; not used in routing.", "")
    mmlu_categories: tuple[str, ...] = option("The classifier's labels that this category covers.", ())
    labels: tuple[str, ...] = option("Alias of `mmlu_categories`.", ())
    system_prompt: str = option("System prompt that is added to requests of this category.", "")
    system_prompt_enabled: bool = option("Use `system_prompt`.", True)
    system_prompt_mode: Literal["replace", "insert"] = option(
        "`replace` the client's system prompt, or `insert` this one before it, which is better; in a request that "
        "carries tools it is always inserted.",
        "replace",
    )
    model_scores: tuple[ModelScore, ...] = option("Models that may answer; at least one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryModel:
    model_id: str = option("Folder of an exported artifact (relative to this file), or `builtin`.", "builtin")
    use_modernbert: bool = option("Accepted for compatibility; only ModernBERT is served.", True)
    threshold: float = option(
        "Minimum probability of a category; below it the fallback applies.", 0.6, minimum=0, maximum=1
    )
    use_cpu: bool = option("Run on CPU; `false` requires CUDA. `pointsman.classifier.providers` overrides it.", True)
    category_mapping_path: str | None = option(
        "File (relative to this one) that must agree with the artifact's labels, if it exists.", None
    )
    fallback_category: str | None = option(
        "Name of the category for prompts below the threshold; without it `default_model` answers.",
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
        "Maximum requests in flight, each until the last byte of its response; more are refused with 503.",
        1_024,
        minimum=1,
    )
    max_in_flight_per_client: int = option(
        "Maximum requests in flight of one client address (an IPv6 /64); more are refused with 429. 0 is no limit. "
        "Clients of a Unix socket and `trusted_proxies` have none.",
        0,
        minimum=0,
    )
    max_connections: int = option(
        "Maximum client connections; for another one an idle connection of the client that has most is closed, or it "
        "is refused with 503. Lower where the process may open fewer files.",
        2_048,
        minimum=1,
    )
    max_connections_per_client: int = option(
        "Maximum connections of one client address (an IPv6 /64); more are refused with 429. 0 is no limit. Clients of "
        "a Unix socket and `trusted_proxies` have none.",
        0,
        minimum=0,
    )
    trusted_proxies: tuple[str, ...] = option(
        "Networks of reverse proxies, such as `127.0.0.1` or `10.0.0.0/8`: one address there is many clients, so no "
        "limit of one client applies to it.",
        (),
    )
    header_timeout_ms: int = option("Timeout for receiving a request head; answered with 408.", 10_000, minimum=1)
    max_body_bytes: int = option("A larger request body is refused with 413.", 32 * 1024 * 1024, minimum=1024)
    body_timeout_ms: int = option("Timeout for receiving a request body; answered with 408.", 30_000, minimum=1)
    min_body_rate: int = option(
        "Minimum bytes per second of a request body, averaged over each 10 s; a slower one is answered with 408. 0 "
        "means no limit.",
        4_096,
        minimum=0,
    )
    max_buffered_bytes: int | None = option(
        "Maximum bytes of requests in memory, from a body's announcement until it is needed no more; at least four "
        "times `max_body_bytes`, as one client may hold a quarter. A body without room waits unread for up to 10 s, "
        "then 503. By default 256 MiB, or eight times `max_body_bytes` if that is more. Edited and joined copies "
        "come on top: the process may take twice as much.",
        None,
        minimum=16 * 1024 * 1024,
    )
    send_timeout_ms: int = option(
        "Timeout for a client that does not read its response: the connection is closed, and vLLM stops generating.",
        60_000,
        minimum=1,
    )
    drain_timeout_ms: int = option("Time for responses in progress to finish at shutdown.", 30_000, minimum=0)

    @property
    def buffered_bytes(self) -> int:
        """Return `max_buffered_bytes`, or its default."""
        return self.max_buffered_bytes or max(256 * 1024 * 1024, 8 * self.max_body_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    connect_timeout_ms: int = option("Timeout for connecting to vLLM.", 2_000, minimum=1)
    first_byte_timeout_ms: int = option(
        "Timeout from sending a request to vLLM's response head; 0 means no limit.", 600_000, minimum=0
    )
    idle_timeout_ms: int = option("Timeout between two parts of a response; 0 means no limit.", 300_000, minimum=0)
    total_timeout_ms: int = option("Timeout for a whole response; 0 means no limit.", 0, minimum=0)
    health_interval_ms: int = option(
        "Interval of each endpoint's `/health` checks; after two failures it gets no requests. 0 means never.",
        2_000,
        minimum=0,
    )
    breaker_failures: int = option(
        "Failures in a row (connection, first byte, 502, 503, 504) that open an endpoint's circuit breaker; "
        "0 means never.",
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
        "File (relative to this one) with vLLM's API key, sent as `Authorization: Bearer`.", None
    )
    quarantine: bool = option(
        "Refuse a client's request for a minute with 422 if an endpoint died twice while it was in flight there.", True
    )
    forward_authorization: bool = option("Forward the client's `Authorization` header to vLLM.", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierOptions:
    providers: tuple[Literal["cpu", "cuda", "tensorrt"], ...] = option(
        "ONNX Runtime providers; the first one available on this host is used, and it is an error if none is. "
        "Empty means as `use_cpu` says; `[cuda, cpu]` falls back to CPU.",
        (),
    )
    device_id: int = option("Number of the GPU.", 0, minimum=0)
    gpu_mem_limit_mb: int | None = option(
        "GPU memory limit of ONNX Runtime in MiB; no limit by default.", None, minimum=1
    )
    threads: int = option(
        "CPU cores for the classifier; 0 means a quarter of those that the process may use, at least 2 (where there "
        "are 2) and at most 8.",
        0,
        minimum=0,
    )
    batch_tokens: int | None = option(
        "Maximum tokens of one run, unless a single text has more; measured on this host by default.", None, minimum=1
    )
    deadline_ms: int = option(
        "Maximum time for a classification; after it the fallback applies. A text may wait for half of it, and is "
        "truncated to what runs within the other half on this host.",
        500,
        minimum=2,
    )
    load_timeout_ms: int = option(
        "Maximum time for loading, proving and measuring a classifier; after it the service does not start, or keeps "
        "the former classifier. TensorRT may need minutes at its first start.",
        60_000,
        minimum=1,
    )
    cache_entries: int = option("Number of cached classifications; 0 disables the cache.", 10_000, minimum=0)
    language_gate: bool = option(
        "Send texts in a language that the artifact does not declare to the fallback. `false` classifies them, too.",
        True,
    )
    max_tokens: int | None = option(
        "Maximum tokens of a prompt that are classified; the artifact's limit by default, or fewer: see `deadline_ms`.",
        None,
        minimum=8,
    )
    head_share: float = option(
        "Share of `max_tokens` taken from the head of a longer prompt; the rest is taken from its tail.",
        0.5,
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    mode: Literal["last_user", "ask", "all"] = option(
        "`ask`: the part of the last user message that a person wrote as a question or instruction; `last_user`: that "
        "message as it is; `all`: all messages.",
        "ask",
    )
    strip: tuple[str, ...] = option(
        "More names of what is not the ask: a tag, a label, or a heading, such as `<acme_notes>`, `Ticket data:` or "
        "`# Archive`. `*` stands for anything.",
        (),
    )
    take: tuple[str, ...] = option("More names of what holds the ask, such as `<acme_question>` or `Caller says:`.", ())
    body_field: str | None = option(
        "Top-level field of the body in which a client states the ask, as in the header `x-pointsman-ask`.", None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingOptions:
    split: Literal["best", "score"] = option(
        "`best`: the highest score wins; `score`: scores are shares (A/B), drawn once for each conversation.", "best"
    )
    ask: AskOptions = option("What of a request is classified.", AskOptions())
    sticky: bool = option("Keep a conversation's category in follow-up turns.", True)
    switch_margin: float = option(
        "Lead that another category needs to replace it; up to twice as much in a long conversation.",
        0.2,
        minimum=0,
        maximum=1,
    )
    sticky_entries: int = option("Number of turns to remember, of all conversations.", 10_000, minimum=1)
    sticky_seconds: int = option("Time for which a turn is remembered.", 3_600, minimum=1)
    session_headers: tuple[str, ...] = option(
        "Further request headers in which clients name their session, beside the built-in ones.", ()
    )
    session_fields: tuple[str, ...] = option(
        "Further body fields in which clients name their session, such as `chat` or `metadata.chat`.", ()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterOptions:
    poll_interval_ms: int = option("Interval of polling each endpoint's `/v1/models`; 0 is never.", 10_000, minimum=0)
    load: bool = option(
        "Load adapters that have a `path` into each endpoint that serves their base model but not them; "
        "vLLM must run with `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`.",
        False,
    )
    tools: Mapping[str, bool] = option(
        "By adapter: `false` if it was not trained to call tools. A request that carries tools then goes to the next "
        "entry or the base model.",
        _EMPTY,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    level: Literal["debug", "info", "warning", "error"] = option("Least severe level that is logged.", "info")
    requests: bool = option("Log one `routing_decision` line for each request.", True)
    texts_file: str | None = option(
        "File (relative to this one) to which classified texts are appended, with the `text_hash` of the "
        "log's lines, for `pointsman eval --replay`. It contains what users wrote; by default no text is stored.",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that is Pointsman's own: the key `pointsman:`."""

    server: ServerOptions = option("Listeners and limits.", ServerOptions())
    relay: RelayOptions = option("Connections to vLLM: timeouts, health checks, keys.", RelayOptions())
    classifier: ClassifierOptions = option("Execution of the classifier.", ClassifierOptions())
    routing: RoutingOptions = option("Routing decisions.", RoutingOptions())
    adapters: AdapterOptions = option("Adapters that each vLLM serves.", AdapterOptions())
    log: LogOptions = option("The log on stderr.", LogOptions())


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    classifier: ClassifierSection = option("Choice of the classifier.", ClassifierSection())
    vllm_endpoints: tuple[Endpoint, ...] = option("The vLLM servers; at least one.")
    model_config: Mapping[str, Model] = option("The base models, by their names in vLLM.", _EMPTY)
    default_model: str = option("Model that answers when no category fits: a base model or an adapter.")
    categories: tuple[Category, ...] = option("The categories and their models.", ())
    reasoning_families: Mapping[str, ReasoningFamily] = option(
        "Additional reasoning families; a built-in family of the same name is replaced.", _EMPTY
    )
    default_reasoning_effort: Effort = option("Effort where an entry sets none.", "medium")
    auto_model_name: str = option("Model name that requests routing; `auto` always does, too.", "MoM")
    include_config_models_in_list: bool = option(
        "Accepted for compatibility; `/v1/models` always lists all models.", True
    )
    pointsman: Options = option("Pointsman's own options.", Options())

    @property
    def auto_names(self) -> frozenset[str]:
        """Return the model names that request routing."""
        return frozenset({"auto", self.auto_model_name})

    @property
    def families(self) -> Mapping[str, ReasoningFamily]:
        """Return the built-in reasoning families and the config's."""
        return {**BUILTIN_FAMILIES, **self.reasoning_families}

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
