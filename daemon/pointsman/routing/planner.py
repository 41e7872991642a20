"""Plan which model answers for a chosen category, by the served models; pure, except for a cache of plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.config.client_keys import KeyScope
from pointsman.config.model import Category, Config, Endpoint, ModelScore
from pointsman.routing.decision import CategoryChoice, Decision, Reason
from pointsman.routing.edits import Edits, ReasoningEdit, SystemPrompt

NOTHING: Mapping[str, str] = {}
# Of all categories and scopes; the cache is cleared when the served models change.
MAX_PLANS = 4096
# Clients may name any model.
MAX_EXPLICIT_MODELS = 1024


class Planner:
    """The models of one config, and the edits for each category."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._categories = {category.name: category for category in config.categories}
        self._splits = config.pointsman.routing.split == "score"
        self._planned_for: ServedModels | None = None
        self._explicit: dict[str, Decision] = {}
        self._plans: dict[tuple[str | None, int | None, bool, KeyScope | None, str | None], _CategoryPlan] = {}
        tools = config.pointsman.adapters.tools
        self._without_tools = frozenset(name for name, able in tools.items() if not able)

    def explicit(self, model: str, served: ServedModels) -> Decision:
        """Return the decision for a model that the client named: no edits, and an endpoint that serves it."""
        if served is not self._planned_for:
            self._forget_plans_for_others(served)
        decision = self._explicit.get(model)
        if decision is None:
            if len(self._explicit) >= MAX_EXPLICIT_MODELS:
                self._explicit.clear()
            decision = self._explicit[model] = self._named(model, served)
        return decision

    def _named(self, model: str, served: ServedModels) -> Decision:
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
        self,
        choice: CategoryChoice,
        share: float,
        served: ServedModels,
        *,
        tools: bool = False,
        scope: KeyScope | None = None,
    ) -> Decision:
        """Return the decision for a choice; `share`, in [0, 1), selects a model if `split` divides by score.

        `tools`: the request carries tools. Then an adapter that is marked `tools: false` is skipped, and the client's
        system prompt is never replaced. Only models in `scope` are chosen.
        """
        if served is not self._planned_for:
            self._forget_plans_for_others(served)
        category = None if choice.category is None else self._categories[choice.category]
        drawn = None
        if self._splits and category is not None:
            drawn = self._drawn(category.model_scores, share, scope)
        if choice.model is not None or choice.never:
            return self._ruled(choice, category, drawn, _ModelLimits(served, tools, scope, dict(choice.never)))
        key = choice.category, drawn, tools, scope, choice.canary
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            limits = _ModelLimits(served, tools, scope)
            plan = self._plans[key] = self._plan(category, drawn, limits, choice.canary)
        return _decision(choice, plan)

    def _forget_plans_for_others(self, served: ServedModels) -> None:
        """Clear the plans for other served models."""
        self._planned_for = served
        self._plans.clear()
        self._explicit.clear()

    def _ruled(
        self, choice: CategoryChoice, category: Category | None, drawn: int | None, limits: _ModelLimits
    ) -> Decision:
        """Return the decision if rules name the model, or adapters that must not answer."""
        if choice.model is not None:
            return _decision(choice, self._plan_in_scope([choice.model], limits))
        plan = self._plan(category, drawn, limits, choice.canary)
        barred = plan.target.fallback is Reason.RULE
        rule = next(iter(limits.never.values())) if barred else choice.rule
        return _decision(msgspec.structs.replace(choice, rule=rule), plan)

    def _plan(
        self, category: Category | None, drawn: int | None, limits: _ModelLimits, canary: str | None
    ) -> _CategoryPlan:
        scope = limits.scope
        if category is None:
            return self._plan_in_scope([self._config.default_model if scope is None else scope.default], limits)
        entries = self._ranked(_allowed(category.model_scores, scope), drawn)
        if not entries:
            return self._plan_in_scope([entry.target for entry in category.model_scores], limits)
        if canary is not None:
            base = self._config.base_of(canary)
            entries = (replace(entries[0], model=base, lora_name=canary), *entries)
        target = self._target([entry.target for entry in entries], limits)
        entry = next((entry for entry in entries if entry.target == target.wanted), entries[0])
        prompt = _system_prompt(category, limits.tools)
        return _CategoryPlan(target, Edits(target.model, self._reasoning(entry), prompt))

    def _plan_in_scope(self, wanted: list[str], limits: _ModelLimits) -> _CategoryPlan:
        """Return the plan for models that may be outside the scope, whose default answers then."""
        scope = limits.scope
        if scope is None or any(map(scope.allows, wanted)):
            target = self._target(wanted, limits)
        else:
            target = replace(self._target([scope.default], limits), fallback=Reason.NOT_ALLOWED)
        return _CategoryPlan(target, Edits(model=target.model))

    def _target(self, wanted: list[str], limits: _ModelLimits) -> _ModelTarget:
        """Return the first of `wanted`, all in the scope, that an endpoint serves, else the base model of the first.

        Adapters that must not answer are skipped, and with tools, adapters without tools. If that base model is outside
        the scope, the scope's default answers; if that is not served either, vLLM tells the client.
        """
        never, served, scope = limits.never, limits.served, limits.scope
        barred = self._without_tools.union(never) if limits.tools else never.keys()
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

    def _find(self, name: str, served: ServedModels) -> _ModelTarget:
        base = self._config.base_of(name)
        candidates = self._config.endpoints_of(name)
        model = served.base_name(name, candidates) if name == base else name
        return _ModelTarget(name, model, base, served.available(model, candidates))

    def _drawn(self, entries: tuple[ModelScore, ...], share: float, scope: KeyScope | None) -> int | None:
        """Return the index of the allowed entry that `share` selects if `split` divides by score, else None."""
        entries = _allowed(entries, scope)
        if not entries:
            return None
        point = share * sum(entry.score for entry in entries)
        ends = accumulate(entry.score for entry in entries)
        return next((index for index, end in enumerate(ends) if point < end), len(entries) - 1)

    def _ranked(self, entries: tuple[ModelScore, ...], drawn: int | None) -> tuple[ModelScore, ...]:
        """Return the entries by score, highest first, after the drawn one; ties keep the config's order."""
        order = sorted(range(len(entries)), key=lambda index: (index != drawn, -entries[index].score))
        return tuple(entries[index] for index in order)

    def _reasoning(self, entry: ModelScore) -> ReasoningEdit | None:
        model = self._config.model_config.get(entry.model)
        family = self._config.families.get(model.reasoning_family or "") if model else None
        if family is None:
            return None
        effort = (entry.reasoning_effort or self._config.default_reasoning_effort) if entry.use_reasoning else None
        return ReasoningEdit(family.type, family.parameter, effort)


def _decision(choice: CategoryChoice, plan: _CategoryPlan) -> Decision:
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


class _ModelLimits(NamedTuple):
    """The limits of the models that may answer: `never` are adapters that must not, with their rules' names."""

    served: ServedModels
    tools: bool
    scope: KeyScope | None
    never: Mapping[str, str] = NOTHING


@dataclass(frozen=True, slots=True)
class _CategoryPlan:
    """The part of a decision that all requests of a category share until the served models change."""

    target: _ModelTarget
    edits: Edits


@dataclass(frozen=True, slots=True)
class _ModelTarget:
    """A model to send to: `wanted` is its name in the config, `model` its name in vLLM.

    `fallback`: why it is not the preferred model; None if it is. `last`: no other model may answer, even if this one is
    not served.
    """

    wanted: str
    model: str
    base_model: str
    endpoints: tuple[Endpoint, ...]
    fallback: Reason | None = None
    last: bool = False


def _allowed(entries: tuple[ModelScore, ...], scope: KeyScope | None) -> tuple[ModelScore, ...]:
    return entries if scope is None else tuple(entry for entry in entries if scope.allows(entry.target))


def _system_prompt(category: Category, tools: bool) -> SystemPrompt | None:
    if not category.system_prompt or not category.system_prompt_enabled:
        return None
    # The prompt of a client with tools tells the model how to use them.
    return SystemPrompt(category.system_prompt, "insert" if tools else category.system_prompt_mode)
