"""Render the config as text, with comments on how to complete it; pure functions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import yaml

from pointsman.cli.init.plan import InitPlan, PlannedCategory, words
from pointsman.cli.init.served import Adapter, VllmInventory
from pointsman.config.loops import own_listener
from pointsman.config.model import Endpoint, ServerOptions
from pointsman.config.server import DEFAULT_ADMIN

ENDPOINT = "vllm"


def render(served: VllmInventory, planned: InitPlan, endpoint: Endpoint, key_file: str | None) -> str:
    """Return the text of the config file."""
    version = f" {served.version}" if served.version else ""
    lines = [
        f"# Written by `pointsman init` for vLLM{version}. `pointsman check FILE` shows which model answers what.",
        "",
        "# The classifier that chooses a prompt's category.",
        "classifier:",
        "  category_model:",
        "    model_id: builtin    # or a folder written by `pointsman export` or `pointsman fit`",
        "    threshold: 0.5       # below this score, default_model answers",
        "",
        "vllm_endpoints:",
        f"  - name: {ENDPOINT}",
        *(f"    {line}" for line in _address(endpoint)),
        "",
        "# The base models that vLLM serves, with their adapters. Paths are as vLLM sees them.",
        "model_config:",
        *(line for base in served.bases for line in _model(base, served.of(base))),
        "",
        "# Answers prompts that fit no category.",
        f"default_model: {_quoted(served.default)}",
        "",
        "# mmlu_categories are the classifier's labels that a category covers; `general` covers the rest.",
        "categories:",
        *(line for category in planned.categories for line in _category(category)),
        "  - name: general",
        *_scores(served.default, None),
        *(line for adapter in planned.unknown for line in _unknown(adapter)),
        *(() if served.adapters else _no_adapters()),
        *_own(endpoint, key_file),
    ]
    return "\n".join(lines) + "\n"


def _address(endpoint: Endpoint) -> list[str]:
    """Return the address as host and port, as semantic-router has them, or else as a URL."""
    url = urlsplit(endpoint.base_url)
    if endpoint.socket_path is None and url.scheme == "http" and not url.path and url.hostname:
        return [f"address: {_quoted(url.hostname)}", f"port: {url.port or 80}"]
    return [f"address: {_quoted(endpoint.address)}"]


def _model(base: str, adapters: Sequence[Adapter]) -> Iterator[str]:
    if not adapters:
        yield f"  {_quoted(base)}: {{}}"
        return
    yield f"  {_quoted(base)}:"
    yield "    loras:"
    for adapter in adapters:
        yield f"      - name: {_quoted(adapter.name)}"
        if adapter.path is not None:
            yield f"        path: {_quoted(adapter.path)}"


def _category(category: PlannedCategory) -> Iterator[str]:
    yield f"  - name: {category.name}"
    yield f"    mmlu_categories: [{', '.join(category.labels)}]"
    yield from _scores(category.adapter.base, category.adapter.name)
    for adapter in category.others:
        yield "      # The same domain. The highest score answers; `pointsman.routing.split: score` divides traffic:"
        yield from _commented(_entry(adapter.base, adapter.name), 6)


def _scores(base: str, adapter: str | None) -> list[str]:
    return ["    model_scores:", *_entry(base, adapter)]


def _entry(base: str, adapter: str | None) -> list[str]:
    lora = [] if adapter is None else [f"        lora_name: {_quoted(adapter)}"]
    return [f"      - model: {_quoted(base)}", *lora, "        use_reasoning: false"]


def _unknown(adapter: Adapter) -> Iterator[str]:
    yield ""
    yield f"  # No label tells what {_quoted(adapter.name)} is for. Say it in a sentence, better with prompts that it"
    yield "  # should get, and uncomment the category:"
    block = [
        f"  - name: {_quoted(adapter.name)}",
        f"    description: {_quoted(' '.join(words(adapter.name)) or adapter.name)}    # a guess by its name",
        "    examples: []",
        *_scores(adapter.base, adapter.name),
    ]
    yield from _commented(block, 2)


def _commented(lines: Sequence[str], column: int) -> list[str]:
    return [f"{line[:column]}# {line[column:]}" for line in lines]


def _no_adapters() -> list[str]:
    return [
        "",
        "  # vLLM serves no adapter yet. Start it with --enable-lora --lora-modules NAME=PATH, and run",
        "  # `pointsman init --force` again.",
    ]


def _own(endpoint: Endpoint, key_file: str | None) -> Iterator[str]:
    """Yield Pointsman's own options for which the defaults do not work."""
    server = _listeners(endpoint)
    if server or key_file is not None:
        yield from ("", "pointsman:")
    if server:
        yield from ("  server:", *server)
    if key_file is not None:
        yield from ("  relay:", f"    api_key_file: {_quoted(key_file)}")


def _listeners(endpoint: Endpoint) -> list[str]:
    """Return other ports than the defaults if vLLM uses one of them."""
    defaults = ServerOptions()
    lines = []
    if own_listener(endpoint, defaults.listen):
        lines.append('    listen: ["127.0.0.1:8081"]    # vLLM has 8080')
    if own_listener(endpoint, [DEFAULT_ADMIN]):
        lines.append("    status_listen: 127.0.0.1:9191    # vLLM has 9190")
    return lines


def _quoted(text: str) -> str:
    """Return the text as a one-line YAML scalar."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=sys.maxsize).rstrip("\n")
