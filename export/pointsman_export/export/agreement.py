"""Check that the shipped graph chooses the float graph's labels on real text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pointsman.classify.tokenizer import Ids
from pointsman_export.common.errors import AgreementError
from pointsman_export.common.shares import percent
from pointsman_export.export.runtime import RunnableGraph, alone

WORST = 3
"""Number of labels that an error names."""
MORE_FLOAT = " keep more layers in float with a lower --max-error,"
REMEDIES = {
    "int8": MORE_FLOAT,
    "int8-f32": MORE_FLOAT,
    "int8-bf16": f"{MORE_FLOAT} or compute with --arithmetic f32,",
    "fp16": " export for the CPU,",
    "fp32": "",
}
"""Advice against a loss, by the precision of the shipped graph."""


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """The label of each text by the float graph (`expected`) and by the shipped graph (`found`)."""

    expected: list[str]
    found: list[str]

    @property
    def texts(self) -> int:
        return len(self.expected)

    @property
    def agreeing(self) -> int:
        return sum(one == other for one, other in zip(self.expected, self.found, strict=True))

    @property
    def share(self) -> float:
        return self.agreeing / self.texts

    def worst(self) -> str:
        """Name the labels that lose the most texts, and the labels that those texts got instead."""
        lost: dict[str, Counter[str]] = {}
        for one, other in zip(self.expected, self.found, strict=True):
            if one != other:
                lost.setdefault(one, Counter())[other] += 1
        totals = Counter(self.expected)
        ranked = sorted(lost, key=lambda label: (-lost[label].total(), label))[:WORST]
        return "; ".join(
            f"{label}: {lost[label].total()} of {totals[label]} became {', '.join(sorted(lost[label]))}"
            for label in ranked
        )


def check_agreement(
    floats: RunnableGraph,
    shipped: RunnableGraph,
    precision: str,
    prompts: Sequence[Ids],
    labels: list[str],
    gate: float,
) -> LabelAgreement:
    """Label each prompt with both graphs; raises AgreementError if they agree on less than the share `gate`."""
    agreement = LabelAgreement(chosen(floats, prompts, labels), chosen(shipped, prompts, labels))
    if agreement.share < gate:
        raise AgreementError(
            f"{precision} chooses the float graph's label for {agreement.agreeing} of {agreement.texts} texts "
            f"({percent(agreement.share)}), the gate is {percent(gate)}; worst: {agreement.worst()}; "
            f"try texts of your own with --texts,{REMEDIES[precision]} or accept the loss with a lower --gate"
        )
    return agreement


def chosen(graph: RunnableGraph, prompts: Sequence[Ids], labels: list[str]) -> list[str]:
    """Return the label of each prompt, run alone."""
    return [labels[index] for index in alone(graph, prompts).argmax(axis=1)]
