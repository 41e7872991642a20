"""Insert adapters and categories into the text of a config, of which every other byte stays; pure functions.

Places come from the marks of PyYAML's nodes. Where an alias or an anchor makes them wrong, the result does not load as
meant, which the caller checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml

from pointsman.cli.init.served import Adapter
from pointsman.cli.init.text import lora


class CannotInsert(Exception):
    """The text has no place to insert into; the message says why."""


def inserted(text: str, loras: Mapping[str, Sequence[Adapter]], categories: Sequence[str]) -> str:
    """Return the text with more adapters, by base model, and the lines of categories; raises CannotInsert."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    models = _child(root, "model_config") if loras else None
    edits = [_adapters(text, _child(models, base), adapters) for base, adapters in loras.items()]
    if categories:
        listed = _child(root, "categories")
        if not isinstance(listed, yaml.SequenceNode) or listed.flow_style:
            raise CannotInsert("its `categories` are not a list of a line or more for each")
        edits.append(_lines(text, listed, categories))
    for at, more in sorted(edits, reverse=True):
        text = text[:at] + more + text[at:]
    return text


def _child(node: yaml.Node | None, key: str) -> yaml.Node:
    values = [value for name, value in node.value if name.value == key] if isinstance(node, yaml.MappingNode) else []
    if not values:
        raise CannotInsert(f"it has no `{key}` where it was looked for")
    found: yaml.Node = values[0]
    return found


def _adapters(text: str, model: yaml.Node, adapters: Sequence[Adapter]) -> tuple[int, str]:
    """Return the position and the text of more `loras` of a base model."""
    block = [line for adapter in adapters for line in lora(adapter)]
    flow = ", ".join(f"{{{', '.join(line[2:] for line in lora(adapter))}}}" for adapter in adapters)
    try:
        loras = _child(model, "loras")
    except CannotInsert:
        if not isinstance(model, yaml.MappingNode):
            raise
        if model.flow_style:
            return _items(model, f"loras: [{flow}]")
        return _lines(text, model, ["loras:", *(f"  {line}" for line in block)])
    if not isinstance(loras, yaml.SequenceNode):
        raise CannotInsert("its `loras` are no list")
    return _items(loras, flow) if loras.flow_style else _lines(text, loras, block)


def _items(node: yaml.CollectionNode, items: str) -> tuple[int, str]:
    """Return an insertion at the end of a collection in brackets."""
    if not node.value:
        return node.start_mark.index + 1, items
    return _last(node).end_mark.index, f", {items}"


def _lines(text: str, node: yaml.CollectionNode, lines: Sequence[str]) -> tuple[int, str]:
    """Return an insertion after the last line of a collection, and after the comments of its last item."""
    column = (node.value[0][0] if isinstance(node, yaml.MappingNode) else node).start_mark.column
    last: yaml.Node = node
    while isinstance(last, yaml.CollectionNode) and not last.flow_style:
        last = _last(last)
    end = len(text[: last.end_mark.index].rstrip())  # a block scalar ends with the empty lines after it
    at = text.find("\n", end) + 1 or len(text)
    comment = re.compile(rf" {{{column + 1},}}#.*\n?")
    while (found := comment.match(text, at)) is not None:
        at = found.end()
    newline = "\r\n" if "\r\n" in text else "\n"
    block = newline.join(" " * column + line for line in lines)
    return at, block + newline if text[at - 1] == "\n" else newline + block


def _last(node: yaml.CollectionNode) -> yaml.Node:
    last = node.value[-1]
    found: yaml.Node = last[1] if isinstance(node, yaml.MappingNode) else last
    return found
