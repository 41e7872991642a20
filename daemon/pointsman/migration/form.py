"""Detect whether a file is a configuration of vLLM Semantic Router, and in which format."""

from __future__ import annotations

from pointsman.config.semantic_router import NEWER
from pointsman.config.words import listing
from pointsman.config.yaml_tree import Scalar, Table
from pointsman.errors import Problem
from pointsman.migration.nodes import find

_OLDER = ("classifier", "vllm_endpoints", "model_config", "default_model", "categories", "decisions")
_ENOUGH = 2
"""Minimum number of keys: files of other programs may have one of them, as Prometheus has `global`."""


def refusal(root: Table) -> Problem | None:
    """Return why the file cannot be migrated; None for a configuration of semantic-router."""
    if "pointsman" in root.entries:
        return _problem("this is already a Pointsman configuration", "run pointsman check on it", root, "pointsman")
    if _marks(root) >= _ENOUGH:
        return None
    inner = _wrapped(root)
    if inner is not None:
        fix = f"save the part under {inner} as a separate file and migrate that"
        return _problem(f"the configuration is inside another file, under {inner}", fix, root)
    fix = f"name a file with at least two of the keys {listing((*_OLDER, *NEWER))}"
    return _problem("this is not a configuration of vLLM Semantic Router", fix, root)


def is_newer(root: Table) -> bool:
    """Return whether the file has sections of semantic-router's command line or of version 0.3."""
    return any(key in root.entries for key in NEWER)


def _marks(root: Table) -> int:
    return sum(key in root.entries for key in (*_OLDER, *NEWER))


def _wrapped(root: Table) -> str | None:
    """Return the key path of a configuration inside Helm values or a ConfigMap."""
    values = find(root, "config")
    if isinstance(values, Table) and _marks(values) >= _ENOUGH:
        return "config"
    data = find(root, "data")
    texts = data.entries if isinstance(data, Table) else {}
    multiline = (key for key, node in texts.items() if isinstance(node, Scalar) and "\n" in node.text)
    named = next(multiline, None)
    return None if named is None or not named.endswith((".yaml", ".yml")) else f'data."{named}"'


def _problem(message: str, fix: str, root: Table, key: str = "") -> Problem:
    line = root.entries[key].line if key else None
    return Problem(path=key, line=line, message=message, fix=fix)
