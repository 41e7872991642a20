"""Watch the canaries of the service, and report when one must be rolled back."""

from __future__ import annotations

from collections.abc import Callable

from pointsman.config.model import Config, ModelScore, RoutingOptions
from pointsman.experiments.canary_analysis import CanaryAnalysis, RequestOutcome
from pointsman.experiments.failure import has_failed
from pointsman.observability.record import Record
from pointsman.routing.canaries import Arm


class CanaryMonitor:
    """The analyses of the canaries that have a share now, by category."""

    def __init__(self) -> None:
        self._analyses: dict[str, CanaryAnalysis] = {}
        self._stable: dict[str, tuple[ModelScore, ...]] = {}
        self.roll_back: Callable[[str, str, str], None] = lambda *_: None
        """Called with the category, the adapter, and why."""

    def follow(self, config: Config, routing: RoutingOptions) -> None:
        """Watch the canaries of these options; a trial continues while its canary and the stable arm are the same."""
        stable = {one.name: one.model_scores for one in config.categories}
        found = {}
        for name, one in routing.categories.items():
            if one.canary is not None and 0 < one.canary.percent < 100:
                known = self._analyses.get(name)
                same = known is not None and known.canary == one.canary and self._stable.get(name) == stable.get(name)
                found[name] = known if known is not None and same else CanaryAnalysis(one.canary)
        self._analyses, self._stable = found, stable

    def forget(self, category: str) -> None:
        """Let the trial of a category begin anew with the next `follow`."""
        self._analyses.pop(category, None)

    def observe(self, record: Record) -> None:
        """Count a request that has ended."""
        routed = record.routed
        if routed is None or routed.remembered is None or routed.remembered.mixed or record.endpoint is None:
            return
        decision = routed.decision
        analysis = self._analyses.get(decision.category or "")
        if analysis is None or decision.arm not in (Arm.CANARY, Arm.STABLE) or record.status == 499:
            return
        why = analysis.add(
            RequestOutcome(
                arm=decision.arm,
                draw=routed.remembered.share,
                client=record.client,
                failed=has_failed(record.status, record.error, decision.reason),
                first_byte=record.first_byte,
                model=decision.model,
                endpoint=record.endpoint,
                at=record.ended,
            )
        )
        if why is not None:
            del self._analyses[decision.category or ""]
            self.roll_back(decision.category or "", analysis.canary.adapter, why)

    def counts(self, category: str) -> dict[str, int] | None:
        """Return the number of counted conversations by arm, or None without an analysis."""
        analysis = self._analyses.get(category)
        return None if analysis is None else analysis.counts()
