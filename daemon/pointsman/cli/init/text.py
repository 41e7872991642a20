"""The config as text, with comments for whoever completes it; pure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import yaml

from pointsman.cli.init.plan import Category, Plan
from pointsman.cli.init.served import Adapter, Served
from pointsman.config.loops import own_listener
from pointsman.config.model import Endpoint, ServerOptions

ENDPOINT = "vllm"


def render(served: Served, planned: Plan, endpoint: Endpoint, key_file: str | None) -> str:
    """Return the config file's text."""
    version = f" {served.version}" if served.version else ""
    lines = [
        f"# Written by `pointsman init` for vLLM{version}. `pointsman check FILE` shows who answers what.",
        "",
        "# What decides which category a prompt is about.",
        "classifier:",
        "  category_model:",
        "    model_id: builtin    # or the folder that `pointsman export` or `pointsman fit` wrote",
        "    threshold: 0.6       # less sure than this: default_model answers",
        "",
        "vllm_endpoints:",
        f"  - name: {ENDPOINT}",
        *(f"    {line}" for line in _address(endpoint)),
        "",
        "# What vLLM serves: each base model with its adapters. A path is as vLLM sees it.",
        "model_config:",
        *(line for base in served.bases for line in _model(base, served.of(base))),
        "",
        "# Answers what fits no category.",
        f"default_model: {_quoted(served.default)}",
        "",
        "# mmlu_categories are the classifier's labels that a category covers; `general` covers the rest.",
        "categories:",
        *(line for category in planned.categories for line in _category(category)),
        "  - name: general",
        *_scores(served.default, None),
        *(line for adapter in planned.unknown for line in _unknown(adapter, planned.free)),
        *(() if served.adapters else _no_adapters()),
        *_own(endpoint, key_file),
    ]
    return "\n".join(lines) + "\n"


def _address(endpoint: Endpoint) -> list[str]:
    """Host and port, as semantic-router has them, where these are all."""
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


def _category(category: Category) -> Iterator[str]:
    yield f"  - name: {category.name}"
    yield f"    mmlu_categories: [{', '.join(category.labels)}]"
    yield from _scores(category.adapter.base, category.adapter.name)
    for adapter in category.others:
        yield "      # The same domain. The highest score answers; with `pointsman.routing.split: score` they share:"
        yield from _commented(_entry(adapter.base, adapter.name), 6)


def _scores(base: str, adapter: str | None) -> list[str]:
    return ["    model_scores:", *_entry(base, adapter)]


def _entry(base: str, adapter: str | None) -> list[str]:
    lora = [] if adapter is None else [f"        lora_name: {_quoted(adapter)}"]
    return [f"      - model: {_quoted(base)}", *lora, "        use_reasoning: false"]


def _unknown(adapter: Adapter, free: Sequence[str]) -> Iterator[str]:
    yield ""
    yield f"  # Neither its name nor its path tells the domain of {_quoted(adapter.name)}."
    yield "  # Uncomment it with the labels that are its own:"
    block = [
        f"  - name: {_quoted(adapter.name)}",
        f"    mmlu_categories: [{', '.join(free)}]",
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
    """Pointsman's own options, where the defaults will not do."""
    server = _listeners(endpoint)
    if server or key_file is not None:
        yield from ("", "pointsman:")
    if server:
        yield from ("  server:", *server)
    if key_file is not None:
        yield from ("  relay:", f"    api_key_file: {_quoted(key_file)}")


def _listeners(endpoint: Endpoint) -> list[str]:
    """Other ports than the defaults where vLLM has one of these."""
    defaults = ServerOptions()
    lines = []
    if own_listener(endpoint, defaults.listen):
        lines.append('    listen: ["127.0.0.1:8081"]    # vLLM has 8080')
    if own_listener(endpoint, [defaults.admin_listen]):
        lines.append("    admin_listen: 127.0.0.1:9191    # vLLM has 9190")
    return lines


def _quoted(text: str) -> str:
    """A YAML scalar on one line, whatever the text holds."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=sys.maxsize).rstrip("\n")
