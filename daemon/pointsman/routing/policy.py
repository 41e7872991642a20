"""Map probabilities, config and served adapters to a decision; pure, except for a cache of plans."""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import msgspec

from pointsman.adapters.catalog import Served
from pointsman.classify.calibration import Calibration
from pointsman.config.client_keys import Scope
from pointsman.config.labels import cover
from pointsman.config.model import Category, Config, Endpoint, ModelScore
from pointsman.routing.canaries import Arm
from pointsman.routing.edits import Edits, Reasoning, SystemPrompt
from pointsman.routing.subject import FITTED, Evidence, Weights, evidence_of
from pointsman.routing.thresholds import thresholds


class Reason(enum.StrEnum):
    """The reason of a decision; these strings are stable, as headers, log and metrics show them."""

    EXPLICIT_MODEL = "explicit_model"
    CLASSIFIED = "classified"
    STICKY = "sticky"
    LOW_CONFIDENCE = "low_confidence"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    NO_TEXT = "no_text"
    HELPER_TASK = "helper_task"
    AMBIGUOUS = "ambiguous"
    MIXED_PROMPTS = "mixed_prompts"
    TOO_MANY_PARTS = "too_many_parts"
    DEADLINE = "deadline"
    OVERLOADED = "overloaded"
    CLASSIFIER_ERROR = "classifier_error"
    ADAPTER_MISSING = "adapter_missing"
    ADAPTER_WITHOUT_TOOLS = "adapter_without_tools"
    NO_CATEGORY = "no_category"
    NOT_ALLOWED = "not_allowed"
    RULE = "rule"
    SHADOW = "shadow"
    HOLDBACK = "holdback"
    OFF = "off"


# A switch throws away vLLM's prefix cache, so its margin grows with the history: from this many bytes on it is twofold.
LONG_HISTORY = 64 * 1024
NOTHING: Mapping[str, str] = {}
# What the classifier's cache has comes again.
KNOWN_SCORES = 1024
# Of all categories and scopes; they are cleared when the served models change, too.
MOST_PLANS = 4096


class Held(msgspec.Struct, frozen=True):
    """What a follow-up holds on to: the conversation's category, unless the `ask` is about another.

    `before` is the beginning of the last ask and of its answer. `size` is the number of bytes of the history.
    """

    category: str
    ask: str
    before: str = ""
    size: int = 0


class Missed(msgspec.Struct, frozen=True):
    """The best category, which was not chosen, and its threshold, which its score did not reach."""

    category: str
    threshold: float


class Choice(msgspec.Struct, frozen=True):
    """A category (None for no category), its confidence, and the reason for choosing it.

    `missed` says what the score was too low for, if that is the reason. `model` answers, whatever the category is,
    where a `rule` says so; `never` are adapters that must not, with the names of the rules that say so. `arm` is that
    of the category's canary, and `canary` the adapter that comes before all others there.
    """

    category: str | None
    confidence: float | None
    reason: Reason
    missed: Missed | None = None
    model: str | None = None
    rule: str | None = None
    never: tuple[tuple[str, str], ...] = ()
    arm: Arm | None = None
    canary: str | None = None


class Would(msgspec.Struct, frozen=True):
    """The model that would answer, and the reason, if the rollout did not keep the request from it."""

    model: str
    reason: Reason


class Decision(msgspec.Struct, frozen=True):
    """A routing decision: `endpoints` are those that may serve `model`.

    `adapter`: `model` is an adapter that the client did not request by name. `missed` is that of the choice. `would` is
    None unless the request is kept from the category's models. `rule` is the name of the rule that decided, and
    `arm` the side of the category's canary.
    """

    model: str
    base_model: str
    endpoints: tuple[Endpoint, ...]
    category: str | None
    confidence: float | None
    reason: Reason
    edits: Edits
    adapter: bool = False
    missed: Missed | None = None
    would: Would | None = None
    rule: str | None = None
    arm: Arm | None = None


class Policy:
    """The routing rules of one config, for the labels of one classifier."""

    def __init__(
        self,
        config: Config,
        labels: Sequence[str],
        judge: Weights = FITTED,
        calibrations: Sequence[Calibration | None] = (None,),
    ) -> None:
        """`judge` tells changes of subject from follow-ups; `calibrations` are those of the classifier's stages."""
        self._config = config
        self._judge = judge
        self._lower = config.classifier.category_model.threshold
        self._least = [_least(config, labels, calibration) for calibration in calibrations]
        """By stage, the score from which a category is chosen; that of None is from which none is."""
        cascade = config.pointsman.classifier.cascade
        self._sure_from = 0.0 if cascade is None else cascade.sure_from
        self._categories = {category.name: category for category in config.categories}
        coverage = cover(config, labels)
        self._rest = coverage.rest
        index = {label: position for position, label in enumerate(labels)}
        self._covered = {name: tuple(index[label] for label in coverage.labels_of[name]) for name in self._categories}
        self._planned_for: Served | None = None
        self._plans: dict[tuple[str | None, int | None, bool, Scope | None, str | None], _Plan] = {}
        tools = config.pointsman.adapters.tools
        self._without_tools = frozenset(name for name, able in tools.items() if not able)
        self._known_scores = functools.lru_cache(KNOWN_SCORES)(self.scores)

    def knows(self, category: str) -> bool:
        """Return whether the config has this category; a conversation may remember one of an earlier config."""
        return category in self._categories

    def threshold(self, category: str | None, stage: int = 0) -> float:
        """Return the score from which a category is chosen; that of None is from which none is."""
        return self._least[stage].get(category, self._lower)

    def sure(self, probabilities: Sequence[float]) -> bool:
        """Return whether the first artifact of a cascade is sure: of a category, or that none covers the text."""
        scores = self._known_scores(tuple(probabilities)).values()
        return max((*scores, 1.0 - sum(scores))) >= self._sure_from

    def scores(self, probabilities: Sequence[float]) -> dict[str, float]:
        """Return the score of each category: the sum of the probabilities of its labels."""
        score = probabilities.__getitem__
        return {name: sum(map(score, labels)) for name, labels in self._covered.items()}

    def choose(self, probabilities: Sequence[float], held: Held | None = None, stage: int = 0) -> Choice:
        """Return the best category, or the conversation's own (`held`) or the fallback.

        Without a conversation, the fallback is used if the best category does not reach its threshold, which is that
        of the artifact that gave the probabilities: `stage`.
        """
        least = self._least[stage]
        scores = self._known_scores(tuple(probabilities))
        best = max(scores, key=scores.__getitem__, default=None)
        score = 0.0 if best is None else scores[best]
        uncovered = 1.0 - sum(scores.values())
        if held is not None and held.category in scores and not self._ends(held, scores, least):
            return Choice(held.category, scores[held.category], Reason.STICKY)
        if best is not None and score >= least[best]:
            return Choice(best, score, Reason.CLASSIFIED)
        if uncovered >= max(self._lower, score):
            return Choice(self.fallback, score, Reason.NO_CATEGORY)
        missed = None if best is None else Missed(best, least[best])
        return Choice(self.fallback, score, Reason.LOW_CONFIDENCE, missed)

    def evidence(self, held: Held, scores: dict[str, float]) -> Evidence:
        """Return the evidence whether an ask with these scores is about something else."""
        other, score = self._best_other(scores, held.category)
        return evidence_of(held.ask, held.before, score, rest=other is None or other == self._rest)

    def _best_other(self, scores: dict[str, float], held: str) -> tuple[str | None, float]:
        """Return the best other category and its score; None for what no category covers."""
        others: list[tuple[str | None, float]] = [(None, 1.0 - sum(scores.values()))]
        others += [(name, score) for name, score in scores.items() if name != held]
        return max(others, key=lambda other: other[1])

    def _ends(self, held: Held, scores: dict[str, float], least: Mapping[str | None, float]) -> bool:
        """Return whether an ask is so surely about something else that its conversation changes its category.

        The other category must reach its threshold, and what no category covers the lower bound; and one that is not
        the rest must lead by the margin.
        """
        own = scores[held.category]
        other, score = self._best_other(scores, held.category)
        if own > score:
            return own >= least[held.category]
        rest = other is None or other == self._rest
        margin = self._config.pointsman.routing.switch_margin * (1 + min(1.0, held.size / LONG_HISTORY))
        if score < least[other] or (score - own <= margin and not rest):
            return False
        return self._judge.changed(self.evidence(held, scores))

    @property
    def fallback(self) -> str | None:
        """Return the category that is used when no other applies."""
        return self._config.classifier.category_model.fallback_category

    def explicit(self, model: str, served: Served) -> Decision:
        """Return the decision for a model that the client named: no edits, and an endpoint that serves it."""
        candidates = self._config.endpoints_of(model)
        return Decision(
            model=model,
            base_model=self._config.base_of(model),
            endpoints=served.serving(model, candidates)
            or served.serving(model, self._config.vllm_endpoints)
            or candidates,
            category=None,
            confidence=None,
            reason=Reason.EXPLICIT_MODEL,
            edits=Edits(),
        )

    def decide(
        self, choice: Choice, share: float, served: Served, *, tools: bool = False, scope: Scope | None = None
    ) -> Decision:
        """Return the decision for a choice; `share`, in [0, 1), selects a model where `split` divides by score.

        `tools`: the request carries tools. Then an adapter that is marked `tools: false` is passed over, and the
        client's system prompt is never replaced. No model outside of `scope` is ever decided for.
        """
        if served is not self._planned_for:
            self._planned_for = served
            self._plans.clear()
        if choice.model is not None or choice.never:
            return self._ruled(choice, share, served, scope, tools=tools)
        category = None if choice.category is None else self._categories[choice.category]
        drawn = None if category is None else self._drawn(category.model_scores, share, scope)
        key = choice.category, drawn, tools, scope, choice.canary
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._plan(category, drawn, served, tools, scope, canary=choice.canary)
        return _decision(choice, plan)

    def _ruled(self, choice: Choice, share: float, served: Served, scope: Scope | None, *, tools: bool) -> Decision:
        """Return the decision where rules name the model, or adapters that must not answer."""
        never = dict(choice.never)
        category = None if choice.category is None else self._categories[choice.category]
        drawn = None if category is None else self._drawn(category.model_scores, share, scope)
        if choice.model is not None:
            target = self._within([choice.model], served, tools, scope, never)
            return _decision(choice, _Plan(target, Edits(model=target.model)))
        plan = self._plan(category, drawn, served, tools, scope, never, choice.canary)
        barred = plan.target.fallback is Reason.RULE
        wanted = next(iter(never.values())) if barred else choice.rule
        return _decision(msgspec.structs.replace(choice, rule=wanted), plan)

    def _plan(
        self,
        category: Category | None,
        drawn: int | None,
        served: Served,
        tools: bool,
        scope: Scope | None,
        never: Mapping[str, str] = NOTHING,
        canary: str | None = None,
    ) -> _Plan:
        entries = () if category is None else _allowed(category.model_scores, scope)
        if category is None or not entries:
            default = self._config.default_model if scope is None else scope.default
            wanted = [default] if category is None else [entry.target for entry in category.model_scores]
            target = self._within(wanted, served, tools, scope, never)
            return _Plan(target, Edits(model=target.model))
        entries = self._ranked(entries, drawn)
        if canary is not None:
            base = self._config.base_of(canary)
            entries = (replace(entries[0], model=base, lora_name=canary), *entries)
        target = self._target([entry.target for entry in entries], served, tools, scope, never)
        entry = next((entry for entry in entries if entry.target == target.wanted), entries[0])
        return _Plan(target, Edits(target.model, self._reasoning(entry), _system_prompt(category, tools)))

    def _within(
        self, wanted: list[str], served: Served, tools: bool, scope: Scope | None, never: Mapping[str, str]
    ) -> _Target:
        """Return the target for models that may be outside of `scope`, whose default answers then."""
        if scope is None or any(map(scope.allows, wanted)):
            return self._target(wanted, served, tools, scope, never)
        target = self._target([scope.default], served, tools, scope, never)
        return replace(target, fallback=Reason.NOT_ALLOWED)

    def _target(
        self, wanted: list[str], served: Served, tools: bool, scope: Scope | None, never: Mapping[str, str]
    ) -> _Target:
        """Return the first of `wanted`, all in `scope`, that an endpoint serves, or else the base model of the first.

        With `tools`, adapters without them are passed over, and always those in `never`. Where that base model is
        outside of `scope`, its default answers, and where that is not served either, vLLM says so to the client.
        """
        barred = self._without_tools.union(never) if tools else never.keys()
        why = Reason.ADAPTER_WITHOUT_TOOLS if wanted[0] in barred else Reason.ADAPTER_MISSING
        why = Reason.RULE if wanted[0] in never else why
        for name in wanted:
            target = self._find(name, served)
            if target.endpoints and name not in barred:
                return replace(target, fallback=None if name == wanted[0] else why)
        base = self._find(self._config.base_of(wanted[0]), served)
        if scope is not None and not scope.allows(base.base_model):
            default = self._find(scope.default, served)
            endpoints = default.endpoints or self._config.endpoints_of(default.wanted)
            return replace(default, endpoints=endpoints, fallback=why, last=not default.endpoints)
        return replace(
            base,
            endpoints=base.endpoints or self._config.endpoints_of(base.base_model),
            fallback=None if wanted[0] == base.base_model else why,
        )

    def _find(self, name: str, served: Served) -> _Target:
        base = self._config.base_of(name)
        candidates = self._config.endpoints_of(name)
        model = served.base_name(name, candidates) if name == base else name
        return _Target(name, model, base, served.available(model, candidates))

    def _drawn(self, entries: tuple[ModelScore, ...], share: float, scope: Scope | None) -> int | None:
        """Return the index of the allowed entry that `share` selects with `split: score`, or None without a split."""
        if self._config.pointsman.routing.split != "score":
            return None
        entries = _allowed(entries, scope)
        if not entries:
            return None
        point = share * sum(entry.score for entry in entries)
        ends = accumulate(entry.score for entry in entries)
        return next((place for place, end in enumerate(ends) if point < end), len(entries) - 1)

    def _ranked(self, entries: tuple[ModelScore, ...], drawn: int | None) -> tuple[ModelScore, ...]:
        """Return the entries by score, highest first, with the drawn one before all; ties keep the config's order."""
        places = sorted(range(len(entries)), key=lambda place: (place != drawn, -entries[place].score))
        return tuple(entries[place] for place in places)

    def _reasoning(self, entry: ModelScore) -> Reasoning | None:
        model = self._config.model_config.get(entry.model)
        family = self._config.families.get(model.reasoning_family or "") if model else None
        if family is None:
            return None
        effort = (entry.reasoning_effort or self._config.default_reasoning_effort) if entry.use_reasoning else None
        return Reasoning(family.type, family.parameter, effort)


def _decision(choice: Choice, plan: _Plan) -> Decision:
    return Decision(
        model=plan.target.model,
        base_model=plan.target.base_model,
        endpoints=plan.target.endpoints,
        category=choice.category,
        confidence=choice.confidence,
        reason=plan.target.fallback or choice.reason,
        edits=plan.edits,
        adapter=plan.target.wanted != plan.target.base_model and not plan.target.last,
        missed=choice.missed,
        rule=choice.rule,
        arm=choice.arm,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The part of a decision that all requests of a category share until the served models change."""

    target: _Target
    edits: Edits


@dataclass(frozen=True, slots=True)
class _Target:
    """A model to send to: `wanted` is its name in the config, `model` its name in vLLM.

    `fallback`: why it is not the preferred model; None if it is. `last`: no other model may answer, even where this one
    is not served.
    """

    wanted: str
    model: str
    base_model: str
    endpoints: tuple[Endpoint, ...]
    fallback: Reason | None = None
    last: bool = False


def _allowed(entries: tuple[ModelScore, ...], scope: Scope | None) -> tuple[ModelScore, ...]:
    return entries if scope is None else tuple(entry for entry in entries if scope.allows(entry.target))


def _least(config: Config, labels: Sequence[str], calibration: Calibration | None) -> Mapping[str | None, float]:
    found = thresholds(config, labels, calibration)
    return {None: config.classifier.category_model.threshold} | {name: one.value for name, one in found.items()}


def _system_prompt(category: Category, tools: bool) -> SystemPrompt | None:
    if not category.system_prompt or not category.system_prompt_enabled:
        return None
    # The prompt of a client with tools tells the model how to use them.
    return SystemPrompt(category.system_prompt, "insert" if tools else category.system_prompt_mode)
