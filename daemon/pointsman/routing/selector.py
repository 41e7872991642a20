"""Select the model for a chosen category: experiments, the client's scope, and what is served."""

from __future__ import annotations

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.config.client_keys import KeyScope
from pointsman.config.model import Endpoint, RoutingOptions
from pointsman.routing.canaries import Arm, Canaries, canaries_of
from pointsman.routing.decision import CategoryChoice, Counterfactual, Decision, Reason
from pointsman.routing.planner import Planner
from pointsman.routing.rollout import Rollout, rollout_of


class ModelSelection(msgspec.Struct, frozen=True, gc=False):
    """A choice, the position of its conversation in the experiments, and what limits the models that may answer.

    The request carries `tools`, the client may use the models in `scope` (None for all), and only the endpoint `at` can
    answer, as it has the response that is continued.
    """

    choice: CategoryChoice
    share: float = 0.0
    tools: bool = False
    scope: KeyScope | None = None
    at: Endpoint | None = None


class ModelSelector:
    """The models of one config, with the experiments that commands and the service have changed."""

    def __init__(self, planner: Planner, endpoints: tuple[Endpoint, ...], routing: RoutingOptions) -> None:
        self._planner = planner
        self._endpoints = endpoints
        self._rollout = rollout_of(routing)
        self.off = self._rollout is not None and self._rollout.off
        """Nothing is routed."""
        self._canaries = canaries_of(routing)

    def select(self, selection: ModelSelection, served: ServedModels) -> Decision:
        """Return the decision, by the served models."""
        at = selection.at
        if at is not None:
            served = served.only(at.name, self._endpoints)
        choice = selection.choice if self._canaries is None else self._on_arm(self._canaries, selection)
        decision = self._plan(choice, selection, served, selection.share)
        if self._rollout is not None and (choice.category is not None or choice.model is not None):
            decision = self._rolled_out(self._rollout, decision, choice, selection, served)
        return decision if at is None else bound(decision, at)

    def _on_arm(self, canaries: Canaries, selection: ModelSelection) -> CategoryChoice:
        """Return the choice on its arm of the category's canary."""
        choice, scope = selection.choice, selection.scope
        # A key that is limited to some models takes no part: its answers would not be comparable.
        if choice.category is None or (scope is not None and scope.models is not None):
            return choice
        arm, canary = canaries.arm(choice.category, selection.share, scope)
        return msgspec.structs.replace(choice, arm=arm, canary=canary)

    def _rolled_out(
        self,
        rollout: Rollout,
        decision: Decision,
        choice: CategoryChoice,
        selection: ModelSelection,
        served: ServedModels,
    ) -> Decision:
        """Return the decision, or the one for the default model if the rollout withholds the request."""
        why = rollout.withholds(choice.category, selection.share)
        if why is None:
            drawn = decision.arm is None and rollout.draws(choice.category)
            return msgspec.structs.replace(decision, arm=Arm.ROUTED) if drawn else decision
        arm = Arm.HOLDBACK if why is Reason.HOLDBACK else None
        withheld = CategoryChoice(None, choice.confidence, why, choice.missed, never=choice.never, arm=arm)
        would = Counterfactual(decision.model, decision.reason)
        default = self._plan(withheld, selection, served, 0.0)
        return msgspec.structs.replace(default, category=decision.category, rule=decision.rule, would=would)

    def _plan(self, choice: CategoryChoice, selection: ModelSelection, served: ServedModels, share: float) -> Decision:
        return self._planner.decide(choice, share, served, tools=selection.tools, scope=selection.scope)


def bound(decision: Decision, endpoint: Endpoint) -> Decision:
    """Return the decision for one endpoint alone."""
    return msgspec.structs.replace(decision, endpoints=(endpoint,))
