"""List the keys of semantic-router that are ignored, and detect its newer file format."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from pointsman.config import elsewhere, model
from pointsman.config.words import listing
from pointsman.config.yaml_tree import Table
from pointsman.errors import Problem

_REMOVE = "remove it if only Pointsman reads this file"
_KEY_FILE = "put the key in a file and name that file in pointsman.relay.api_key_file"
_SCHEME = "write the address as a URL: http://… or https://…"
_ENTRY = "set it in the entries of model_scores"


def _plain(*keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, _REMOVE)


IGNORED: Mapping[type, Mapping[str, str]] = {
    model.Config: {
        **_plain("api", "authz", "bert_model", "clear_route_cache", "complexity_model", "config_source"),
        **_plain("embedding_models", "embedding_rules", "external_models", "fact_check_rules"),
        **_plain("feedback_detector", "hallucination_mitigation", "keyword_rules", "looper", "memory"),
        **_plain("modality_detector", "model_selection", "mom_registry", "prompt_compression", "prompt_guard"),
        **_plain("provider_profiles", "ratelimit", "response_api", "router", "router_replay", "semantic_cache"),
        **_plain("strategy", "streamed_body_mode", "tools", "user_feedback_rules", "vector_store", "version"),
        "observability": "metrics are served on pointsman.server.admin_listen, and the log is pointsman.log",
    },
    model.ClassifierSection: _plain("mcp_category_model", "pii_model", "preference_model"),
    model.CategoryModel: _plain("use_mmbert_32k"),
    model.Endpoint: {
        **_plain("health_check_path", "model", "models", "provider_profile", "type"),
        "api_key": _KEY_FILE,
        "protocol": _SCHEME,
    },
    model.Model: {
        **_plain("api_format", "capabilities", "description", "external_model_ids", "image_gen_backend"),
        **_plain("modality", "param_size", "pii_policy", "quality_score"),
        "access_key": _KEY_FILE,
        "reasoning_effort": _ENTRY,
        "use_reasoning": _ENTRY,
    },
    model.Category: {
        **_plain("jailbreak_*", "pii_*", "semantic_cache_*"),
        "reasoning_description": _ENTRY,
        "reasoning_effort": _ENTRY,
        "use_reasoning": _ENTRY,
    },
}
"""Ignored keys (or patterns of keys) of each mapping, with what to do about them."""

NEWER = ("listeners", "providers", "routing", "global", "signals", "recipes")


def ignored(kind: type, key: str) -> str | None:
    """Return what to do about an ignored key; None if semantic-router does not know the key either."""
    return next((fix for known, fix in IGNORED.get(kind, {}).items() if fnmatchcase(key, known)), None)


def newer_form(root: Table) -> Problem | None:
    """Return the problem of a file in the format of semantic-router's v0.2 command line or v0.3."""
    marks = [key for key in NEWER if key in root.entries and not elsewhere.is_ours(root.entries[key])]
    if not marks:
        return None
    return Problem(
        path=marks[0],
        line=root.entries[marks[0]].line,
        message=f"the file is in semantic-router's newer form ({listing(marks)}), which is not supported",
        fix="run pointsman migrate on it, which converts the file and reports on each part",
    )
