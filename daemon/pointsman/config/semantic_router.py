"""Read what only files of vLLM Semantic Router have: decisions, keys that are ignored, and its newer format.

A decision whose rules are one domain becomes the category of that domain, before the tree is walked: `modelRefs` are
its `model_scores`, and its `system_prompt` plugin is its system prompt. Other rules are not supported and become
problems. Nodes keep their key paths and lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pointsman.config import elsewhere, model
from pointsman.config.words import choose, listing, show
from pointsman.config.yaml_tree import Items, Node, Scalar, Table, describe
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

_OWN = {"name", "description", "priority", "rules", "modelRefs", "plugins"}
PROMPT = {"system_prompt": "system_prompt", "enabled": "system_prompt_enabled", "mode": "system_prompt_mode"}
_IGNORED_PLUGINS = (
    "semantic-cache",
    "jailbreak",
    "pii",
    "hallucination",
    "header_mutation",
    "router_replay",
    "memory",
    "rag",
    "fast_response",
)


def ignored(kind: type, key: str) -> str | None:
    """Return what to do about an ignored key; None if semantic-router does not know the key either."""
    return next((fix for known, fix in IGNORED.get(kind, {}).items() if fnmatchcase(key, known)), None)


def newer_form(root: Table) -> Problem | None:
    """Return the problem of a file in the format of semantic-router's v0.2 command line or v0.3."""
    marks = [key for key in NEWER if key in root.entries and not elsewhere.is_ours(root.entries[key])]
    if not marks:
        return None
    message = f"the file is in semantic-router's newer form ({listing(marks)}), which is not supported"
    fix = "run pointsman migrate on it, which converts the file and reports on each part"
    return _problem(root.entries[marks[0]], message, fix)


@dataclass(frozen=True, slots=True)
class DecisionRewrite:
    """The root with categories only; `problems` are decisions that could not be read."""

    root: Table
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def rewrite_decisions(root: Table) -> DecisionRewrite:
    """Return the root with decisions as categories; a root without `decisions` is unchanged."""
    decisions = root.entries.get("decisions")
    if decisions is None:
        return DecisionRewrite(root)
    if not isinstance(decisions, Items):
        message = f"expected a list, found {describe(decisions)}"
        problem = _problem(decisions, message, "write categories with model_scores instead")
        return DecisionRewrite(_with_categories(root, {}), (problem,))
    reader = _DecisionReader(root)
    for decision in decisions.items:
        reader.read(decision)
    reader.finish()
    return DecisionRewrite(_with_categories(root, reader.categories), tuple(reader.problems), tuple(reader.warnings))


class _DecisionReader:
    """A reader of all decisions; `categories` are those that have models."""

    def __init__(self, root: Table) -> None:
        self._domains = dict(_named(root.entries.get("categories")))
        self.categories: dict[str, Node] = {
            name: node for name, node in self._domains.items() if "model_scores" in node.entries
        }
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def read(self, decision: Node) -> None:
        """Read one decision: add a category or a problem."""
        if not isinstance(decision, Table):
            self._refuse(decision, f"expected a mapping, found {describe(decision)}")
            return
        domain = self._domain(decision)
        if domain is None:
            return
        name = str(domain.value).casefold()
        if name in self.categories:
            self._refuse(domain, f'the domain "{domain.text}" has models in two places')
            return
        category = self._domains.get(name)
        entries = {} if category is None else dict(category.entries)
        entries |= {key: node for key, node in decision.entries.items() if key not in _OWN}
        entries.setdefault("name", domain)
        entries |= {key: decision.entries[key] for key in ("description",) if key in decision.entries}
        entries |= self._plugins(decision.entries.get("plugins"))
        if "modelRefs" in decision.entries:
            entries["model_scores"] = _weight_as_score(decision.entries["modelRefs"])
        self.categories[name] = Table(decision.keys, decision.line, entries)

    def finish(self) -> None:
        """Add warnings for domains without models."""
        for name, node in self._domains.items():
            if name not in self.categories:
                message = "no decision uses this category, so default_model answers it"
                self.warnings.append(_problem(node, message, "add a decision, or give it model_scores"))

    def _domain(self, decision: Table) -> Scalar | None:
        """Return the name of the only domain in the rules; None, with a problem, for other rules."""
        rules = decision.entries.get("rules")
        if not isinstance(rules, Table):
            self._refuse(decision, "a decision without rules cannot be read as a category")
            return None
        conditions = rules.entries.get("conditions", Items(rules.keys, rules.line, (rules,)))
        if not isinstance(conditions, Items) or len(conditions.items) != 1:
            self._refuse(rules, "expected exactly one condition; combined rules are not supported")
            return None
        condition = conditions.items[0]
        operator = _text(rules.entries.get("operator"))
        kind = _text(condition.entries.get("type")) if isinstance(condition, Table) else None
        if not isinstance(condition, Table) or "conditions" in condition.entries or kind is None:
            self._refuse(condition, "expected one condition with type and name; nested rules are not supported")
        elif kind != "domain":
            self._refuse(condition, f'expected the type domain, found "{kind}"; other signals are not supported')
        elif operator is not None and operator.upper() not in ("AND", "OR"):
            self._refuse(rules, f'expected the operator AND or OR, found "{operator}"')
        else:
            name = condition.entries.get("name")
            if isinstance(name, Scalar) and name.value is not None:
                return name
            self._refuse(condition, "the domain's name is missing")
        return None

    def _plugins(self, plugins: Node | None) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for plugin in plugins.items if isinstance(plugins, Items) else (plugins,) if plugins else ():
            kind = _text(plugin.entries.get("type")) if isinstance(plugin, Table) else None
            settings = plugin.entries.get("configuration") if isinstance(plugin, Table) else None
            if kind == "system_prompt" and isinstance(settings, Table):
                found |= {PROMPT.get(key, key): node for key, node in settings.entries.items()}
            elif kind in _IGNORED_PLUGINS:
                message = f"the plugin {kind} is known to semantic-router but ignored here"
                self.warnings.append(_problem(plugin, message, "remove it if only Pointsman reads this file"))
            else:
                fix = choose(kind or "", ["system_prompt", *_IGNORED_PLUGINS])
                self.problems.append(_problem(plugin, "expected a plugin with type and configuration", fix))
        return found

    def _refuse(self, node: Node, message: str) -> None:
        fix = "write it under categories, with model_scores, and with mmlu_categories if it covers several labels"
        self.problems.append(_problem(node, message, fix))


def _named(categories: Node | None) -> Iterator[tuple[str, Table]]:
    for node in categories.items if isinstance(categories, Items) else ():
        name = _text(node.entries.get("name")) if isinstance(node, Table) else None
        if isinstance(node, Table) and name is not None:
            yield name.casefold(), node


def _with_categories(root: Table, categories: dict[str, Node]) -> Table:
    """Return the root without `decisions`; invalid categories are kept, so that the walk reports them."""
    entries = {key: node for key, node in root.entries.items() if key != "decisions"}
    given, decisions = root.entries.get("categories"), root.entries["decisions"]
    if given is None or isinstance(given, Items):
        named = [node for _, node in _named(given)]
        others = [node for node in given.items if node not in named] if given else []
        entries["categories"] = Items(decisions.keys, decisions.line, (*categories.values(), *others))
    return Table(root.keys, root.line, entries)


def _weight_as_score(references: Node) -> Node:
    if not isinstance(references, Items):
        return references
    return Items(references.keys, references.line, tuple(_renamed(item) for item in references.items))


def _renamed(reference: Node) -> Node:
    if not isinstance(reference, Table):
        return reference
    entries = {"score" if key == "weight" else key: node for key, node in reference.entries.items()}
    return Table(reference.keys, reference.line, entries)


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, Scalar) and node.value is not None else None


def _problem(node: Node, message: str, fix: str) -> Problem:
    return Problem(path=show(node.keys), line=node.line, message=message, fix=fix)
