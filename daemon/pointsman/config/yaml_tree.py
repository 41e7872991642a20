"""Parse the file into a tree in which each value knows its key path and line.

Some input that PyYAML accepts silently is a problem here: duplicate keys, tags that construct objects, and endless
aliases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from pointsman.config.words import Keys, show
from pointsman.errors import Problem

_TAG = "tag:yaml.org,2002:"
_CONSTRUCTED = {_TAG + name for name in ("null", "bool", "int", "float")}
# A config needs no dates, and YAML 1.2 has none: a value that looks like one is text.
_TEXT = {_TAG + name for name in ("str", "timestamp", "value")}
_MERGE = _TAG + "merge"
_MAX_VALUES = 100_000
"""Far more than any config needs; nested aliases reach it within a few lines."""


@dataclass(frozen=True, slots=True)
class Scalar:
    keys: Keys
    line: int
    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    keys: Keys
    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    keys: Keys
    line: int
    entries: Mapping[str, Node]


Node: TypeAlias = Scalar | Items | Table


@dataclass(frozen=True, slots=True)
class ParsedYaml:
    """A parsed file; `root` is None if it is not a mapping."""

    root: Table | None
    problems: tuple[Problem, ...]


def parse(text: str) -> ParsedYaml:
    """Parse YAML text into a tree; never raises because of the text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        builder = _TreeBuilder()
        root = None if node is None else builder.build(node, (), node.start_mark.line + 1)
    except yaml.YAMLError as error:
        return ParsedYaml(None, (_syntax(error, text),))
    except RecursionError:
        message = "nested too deeply, or with aliases inside aliases"
        return ParsedYaml(None, (_problem((), None, message, "write the values out"),))
    except (ValueError, OverflowError):
        message = "an escape such as \\U00110000 stands for no character"
        return ParsedYaml(None, (_problem((), None, message, "write the character itself"),))
    if root is None or _is_null(root):
        fix = "write at least vllm_endpoints, default_model and categories, or start from config/config.yaml"
        return ParsedYaml(None, (*builder.problems, _problem((), None, "the file is empty", fix)))
    if not isinstance(root, Table):
        message = f"expected a mapping of keys, found {describe(root)}"
        fix = "write keys such as `default_model: NAME` at the left margin"
        return ParsedYaml(None, (*builder.problems, _problem((), root.line, message, fix)))
    return ParsedYaml(root, tuple(builder.problems))


def describe(node: Node) -> str:
    """Return a description of a value for a problem's message."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    text = node.text if len(node.text) <= 60 else node.text[:59] + "…"
    match node.value:
        case None:
            return "nothing"
        case bool() as truth:
            word = str(truth).lower()
            return word if text == word else f"`{text}`, which YAML reads as {word}"
        case int() | float():
            return f"the number {text}"
    return f'the text "{text}"'


class _TreeBuilder:
    """A converter of PyYAML's nodes, which collects their problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._constructor = yaml.SafeLoader("")
        self._count = 0

    def build(self, node: yaml.Node, keys: Keys, line: int) -> Node:
        self._count += 1
        if self._count > _MAX_VALUES:
            raise RecursionError
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return Table(keys, line, dict(self._entries(node, keys)))
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            items = enumerate(node.value)
            return Items(keys, line, tuple(self.build(x, (*keys, i), x.start_mark.line + 1) for i, x in items))
        if isinstance(node, yaml.ScalarNode) and node.tag in _TEXT:
            return Scalar(keys, line, node.value, node.value)
        if isinstance(node, yaml.ScalarNode) and node.tag in _CONSTRUCTED:
            return self._constructed(node, keys, line)
        shown = node.tag.replace(_TAG, "!!")
        self._report(keys, line, f"the tag {shown} is not supported", "remove the tag and write the value plainly")
        return Scalar(keys, line, None, "")

    def _constructed(self, node: yaml.ScalarNode, keys: Keys, line: int) -> Scalar:
        try:
            value = self._constructor.construct_object(node)
        except (ArithmeticError, ValueError, LookupError):
            kind = node.tag.replace(_TAG, "")
            self._report(keys, line, f'"{node.value[:60]}" is no {kind}', "write the value plainly")
            value = None
        return Scalar(keys, line, value, node.value)

    def _entries(self, mapping: yaml.MappingNode, keys: Keys) -> Iterator[tuple[str, Node]]:
        """Yield the mapping's own entries, then those merged with `<<` that it does not override."""
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value in mapping.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            name = self._name(key_node, keys, line)
            if name in lines:
                message = f"the key is given twice, first on line {lines[name]}"
                self._report((*keys, name), line, message, "keep one of the two")
            elif name is not None:
                lines[name] = line
                yield name, self.build(value, (*keys, name), line)
        for node in merged:
            source = self.build(node, keys, node.start_mark.line + 1)
            if not isinstance(source, Table):
                self._report(keys, source.line, f"`<<` expects a mapping, found {describe(source)}", "remove it")
                continue
            for name, child in source.entries.items():
                if name not in lines:
                    lines[name] = child.line
                    yield name, child

    def _name(self, node: yaml.Node, keys: Keys, line: int) -> str | None:
        key = self.build(node, keys, line)
        if isinstance(key, Scalar) and isinstance(key.value, str):
            return key.value
        text = key.text if isinstance(key, Scalar) else "…"
        self._report(keys, line, f"expected text as a key, found {describe(key)}", f'put it in quotes: "{text}"')
        return None

    def _report(self, keys: Keys, line: int, message: str, fix: str) -> None:
        self.problems.append(_problem(keys, line, message, fix))


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _problem(keys: Keys, line: int | None, message: str, fix: str) -> Problem:
    return Problem(path=show(keys), line=line, message=message, fix=fix)


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        said = ", ".join(part for part in (error.context, error.problem) if part)
        return _problem((), line, f"not YAML: {said}", _syntax_fix(said))
    position = getattr(error, "position", 0)
    line = text.count("\n", 0, position) + 1
    return _problem((), line, "not YAML: a control character", "remove it, or write it as an escape in quotes")


def _syntax_fix(said: str) -> str:
    if "'\\t'" in said:
        return "indent with spaces, not tabs"
    if "single document" in said:
        return "keep one document: remove the line `---` and what follows it"
    if "undefined alias" in said:
        return "define the anchor before it, or put text that begins with * in quotes"
    if "mapping values" in said or "':'" in said:
        return "check the indentation, put a space after each colon, and put text with a colon in quotes"
    return "check the indentation, brackets and quotes at this line and the one before"
