"""Fit the judge of follow-ups (routing/subject.py) to the rows for development, and cross-validate it.

Prints the weights to be written into the code, and what the router keeps and releases with weights that were fitted
to others: to other conversations (of each of ROUNDS divisions into FOLDS, a fold's conversations are routed with the
weights fitted to those of the other folds), to the other set, and to other shapes of asks (turns.md lists them). Run
it again after a change of the classifier:

    PYTHONPATH=benchmarks python -m ask.judge
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markdown import table

from ask.conversations import (
    BEGINNINGS,
    DEVELOPMENT,
    FOURTH,
    NAMES,
    ROOT,
    SECOND,
    Outcome,
    Row,
    content_free_texts,
    figures,
    keeps,
    outcome,
    read_rows,
)
from ask.unhurried import Unhurried
from pointsman.adapters.catalog import Served
from pointsman.app.prepare import prepare
from pointsman.classify.text_classifier import TextClassifier
from pointsman.config.model import Config
from pointsman.routing.follow_up import content_free
from pointsman.routing.history import EXCERPT_CHARS
from pointsman.routing.policy import Held, Policy
from pointsman.routing.reading import TextReader
from pointsman.routing.router import Router
from pointsman.routing.subject import FITTED, Evidence, Weights

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

FOLDS, ROUNDS = 10, 5
# The weight of the weights' squares beside the loss; the evidence is standardized.
RIDGE = 1.0
# Log-odds for a change that count as none: to leave a conversation's model costs its prefix cache.
RELUCTANCE = 0.1
STEPS = 50
CATEGORIES = {"technical": "technical", "medical": "medical", "legal": "legal", "everyday": "general"}
SHOWN = ("kept_on_subject", "kept_content_free", "released_bare_right", "unknown_kept", "unknown_released_bare_right")


def main() -> None:
    prepared = prepare(ROOT / "config" / "config.yaml")
    try:
        rows = [row for file in (DEVELOPMENT, SECOND, FOURTH) for row in read_rows(file)]
        asyncio.run(report(prepared.config, Unhurried(prepared.classifier), rows))
    finally:
        prepared.classifier.close()


async def report(config: Config, classifier: TextClassifier, rows: Sequence[Row]) -> None:
    evidence = np.array([await evidence_of(config, classifier, row) for row in rows])
    changed = np.array([row.kind == "change" for row in rows], dtype=float)
    judged = np.array([await is_judged(classifier, row.ask) for row in rows])
    openers = list(dict.fromkeys(map(opener, rows)))
    conversation = np.array([openers.index(opener(row)) for row in rows])

    def fitted_to(chosen: Rows) -> Weights:
        return fit(evidence[chosen & judged], changed[chosen & judged])

    async def routed(weights: Weights, chosen: Rows) -> list[Outcome]:
        router = Router(config, classifier, Served)
        policy = Policy(config, classifier.labels, weights, [stage.calibration for stage in classifier.stages])
        router.policy, router.reader = policy, TextReader(classifier, policy, sticky=True)
        return [await outcome(router, row) for row, one in zip(rows, chosen, strict=True) if one]

    everything = np.ones(len(rows), dtype=bool)
    fitted = fitted_to(everything)

    async def unseen(fold: npt.NDArray[np.int_]) -> dict[str, Any]:
        """Return the figures of all rows, each fold routed with the weights fitted to the others."""
        return figures([one for out in np.unique(fold) for one in await routed(fitted_to(fold != out), fold == out)])

    def of_conversations(number: int) -> npt.NDArray[np.int_]:
        return np.asarray(np.random.default_rng(number).permutation(len(openers))[conversation] % FOLDS)

    shapes = sorted({row.shape for row in rows})
    second = np.array([bool(row.shape) for row in rows]).astype(int)
    shape = np.array([shapes.index(row.shape) for row in rows])
    # The first set has no shapes, and most changes are abrupt: these are divided by conversation instead.
    large = np.array([row.shape in ("", "abrupt") for row in rows])
    columns = {
        "the code's": [figures(await routed(FITTED, everything))],
        "fitted to all": [figures(await routed(fitted, everything))],
        "to other conversations": [await unseen(of_conversations(number)) for number in range(ROUNDS)],
        "to the other set": [await unseen(second)],
        "to other shapes": [await unseen(np.where(large, len(shapes) + of_conversations(0), shape))],
    }
    print(f"{len(rows)} rows of {len(openers)} conversations\n")
    print("\n".join(table(["weight", "fitted", "in the code"], _weights(fitted))), "\n")
    lines = [
        [NAMES[name], *(_span(one[name]["share"] for one in found) for found in columns.values())] for name in SHOWN
    ]
    print("\n".join(table(["share of rows", *columns], lines)))
    for name in ("lost", "held"):
        print(f"\n{name}: {' '.join(columns['fitted to all'][0][name])}")
    kept = [await keeps(Router(config, classifier, Served), text) for text in content_free_texts()]
    print(f"\n{sum(kept)} of {len(kept)} other follow-ups without content kept each of {len(BEGINNINGS)} adapters")


def opener(row: Row) -> str:
    """Return what tells a conversation from the others: the user's first message."""
    return next(message.content for message in row.history if message.role == "user")


async def evidence_of(config: Config, classifier: TextClassifier, row: Row) -> Evidence:
    """Return the evidence of a row whose conversation is where it belongs."""
    found = await classifier.classify(row.ask)
    policy, held = Policy(config, classifier.labels), CATEGORIES[row.domain]
    asked = next(place for place, message in enumerate(reversed(row.history)) if message.role == "user")
    before = "\n".join([message.content[:EXCERPT_CHARS] for message in row.history[-1 - asked :]])
    both = await classifier.classify(f"{before}\n{row.ask}")
    together = policy.scores(both.probabilities)[held]
    return policy.evidence(Held(held, row.ask, before, together=together), policy.scores(found.probabilities))


async def is_judged(classifier: TextClassifier, ask: str) -> bool:
    """Return whether the rule decides about an ask, and not its lack of content or its language."""
    return not content_free(ask) and (await classifier.classify(ask)).supported


def fit(evidence: Floats, changed: Floats) -> Weights:
    """Return the weights of a logistic regression, by Newton's method; shapes [n, evidence] and [n]."""
    mean, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-9
    inputs = np.column_stack([np.ones(len(evidence)), (evidence - mean) / spread])
    ridge = RIDGE * np.diag([0.0, *[1.0] * evidence.shape[1]])
    weights = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (changed - likely) - ridge @ weights
        weights = weights + np.linalg.solve(inputs.T @ (inputs * (likely * (1 - likely))[:, None]) + ridge, slope)
    scaled = weights[1:] / spread
    return Weights(
        round(float(weights[0] - scaled @ mean) - RELUCTANCE, 2), Evidence(*[round(float(one), 2) for one in scaled])
    )


def _weights(fitted: Weights) -> list[list[str]]:
    rows = [("always", fitted.always, FITTED.always), *zip(Evidence._fields, fitted.of, FITTED.of, strict=True)]
    return [[name, f"{new:.2f}", f"{old:.2f}"] for name, new, old in rows]


def _span(shares: Iterable[float]) -> str:
    """Return the mean, and the least and the greatest of several."""
    listed = list(shares)
    mean = f"{sum(listed) / len(listed):.3f}"
    return mean if len(listed) == 1 else f"{mean} ({min(listed):.3f} to {max(listed):.3f})"


if __name__ == "__main__":
    main()
