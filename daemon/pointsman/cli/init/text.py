"""Render the config, or parts of it, as text with comments on how to complete it; pure functions."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import yaml

from pointsman.cli.init.plan import InitPlan, PlannedCategory, TextCategory
from pointsman.cli.init.served import Adapter, VllmInventory
from pointsman.config.loops import own_listener
from pointsman.config.model import Endpoint, ServerOptions
from pointsman.config.server import DEFAULT_ADMIN

ENDPOINT = "vllm"
GUESS = "a guess from the name: say what it is for"


def render(
    served: VllmInventory,
    planned: InitPlan,
    described: Iterable[TextCategory],
    endpoint: Endpoint,
    key_file: str | None,
) -> str:
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
        "# mmlu_categories are the classifier's labels that a category covers; `general` covers the rest. One without",
        "# labels is for prompts like its description; it is more often right with `examples`, a list of prompts.",
        "categories:",
        *(f"  {line}" for category in planned.categories for line in label_category(category)),
        *(f"  {line}" for category in described for line in text_category(category)),
        "  - name: general",
        *(f"  {line}" for line in _scores(served.default, None)),
        *(() if served.adapters else _no_adapters()),
        *_own(endpoint, key_file),
    ]
    return "\n".join(lines) + "\n"


def remarks(planned: InitPlan, described: Iterable[TextCategory]) -> dict[Adapter, str]:
    """Return, for a terminal, the place of each adapter in the config."""
    return {
        **{category.adapter: f"{category.name}: {', '.join(category.labels)}" for category in planned.categories},
        **{x: f"commented out: same domain as {c.adapter.name}" for c in planned.categories for x in c.others},
        **{x.adapter: f"{x.name}: {GUESS if x.guessed else 'described by its card'}" for x in described},
    }


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
    yield from (f"      {line}" for adapter in adapters for line in lora(adapter))


def lora(adapter: Adapter) -> list[str]:
    """Return the lines of an item of `loras`."""
    path = [] if adapter.path is None else [f"  path: {_quoted(adapter.path)}"]
    return [f"- name: {_quoted(adapter.name)}", *path]


def label_category(category: PlannedCategory) -> Iterator[str]:
    """Yield the lines of a category, with the other adapters of its domain as comments."""
    yield f"- name: {_quoted(category.name)}"
    yield f"  mmlu_categories: [{', '.join(map(_quoted, category.labels))}]"
    yield from _scores(category.adapter.base, category.adapter.name)
    for adapter in category.others:
        yield "    # The same domain. The highest score answers; `pointsman.routing.split: score` divides traffic:"
        yield from (f"    # {line}" for line in _entry(adapter.base, adapter.name))


def text_category(category: TextCategory) -> Iterator[str]:
    """Yield the lines of a described category."""
    yield f"- name: {_quoted(category.name)}" + (f"    # for {_quoted(category.made_for)}" if category.made_for else "")
    yield f"  description: {_quoted(category.description)}" + (f"    # {GUESS}" if category.guessed else "")
    yield from _scores(category.adapter.base, category.adapter.name)


def _scores(base: str, adapter: str | None) -> list[str]:
    return ["  model_scores:", *(f"    {line}" for line in _entry(base, adapter))]


def _entry(base: str, adapter: str | None) -> list[str]:
    name = [] if adapter is None else [f"  lora_name: {_quoted(adapter)}"]
    return [f"- model: {_quoted(base)}", *name, "  use_reasoning: false"]


def _no_adapters() -> list[str]:
    return [
        "",
        "  # vLLM serves no adapter yet. Start it with --enable-lora --lora-modules NAME=PATH, and run",
        "  # `pointsman init --add`.",
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


def shown(text: str) -> str:
    """Return the text for a terminal."""
    return text if text.isprintable() else ascii(text)
