"""Fit the judge of follow-ups (routing/subject.py) to the rows for development, and cross-validate it.

Prints the weights, and what the router keeps and releases with weights that were fitted to others: to other
conversations (of each of ROUNDS divisions into FOLDS, a fold's conversations are routed with the weights fitted to
those of the other folds), to the other set, and to other shapes of asks (turns.md lists them). After a change of the
classifier, this fits them again, and writes them into the code:

    PYTHONPATH=benchmarks python -m ask.judge --write

An ask is read again behind so many characters of the last ask and of its answer. Of several such contexts, this
compares what is kept and released with weights that are fitted for each, in the rows that were kept apart, too:

    PYTHONPATH=benchmarks python -m ask.judge --context 400+400 200+100 150+150 --held-out
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markdown import table

from ask.conversations import (
    APART,
    BEGINNINGS,
    DEVELOPMENT,
    FILES,
    FOURTH,
    NAMES,
    ROOT,
    SECOND,
    FollowUpRow,
    RoutedModels,
    content_free_texts,
    figures,
    keeps,
    outcome,
    read_rows,
)
from ask.unhurried import RetryingClassifier
from pointsman.adapters.catalog import ServedModels
from pointsman.app.prepare import prepare
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config
from pointsman.routing import subject
from pointsman.routing.follow_up import content_free
from pointsman.routing.history import EXCERPT_CHARACTERS
from pointsman.routing.policy import FollowUp, Policy
from pointsman.routing.reading import TextReader
from pointsman.routing.router import Router
from pointsman.routing.subject import FITTED, Features, Weights

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

FOLDS, ROUNDS = 10, 5
# The weight of the squared weights in the loss; the evidence is standardized.
RIDGE = 1.0
# Log-odds for a change that count as none: to leave a conversation's model costs its prefix cache.
RELUCTANCE = 0.1
STEPS = 50
CATEGORIES = {"technical": "technical", "medical": "medical", "legal": "legal", "everyday": "general"}
CODE = ROOT / "daemon" / "pointsman" / "routing" / "subject.py"
CONTEXT = (subject.ASK_CHARACTERS, subject.ANSWER_CHARACTERS)
COMPARED = ("kept_on_subject", "kept", "kept_content_free", "released_bare_right", "released", "read_again")
SHOWN = ("kept_on_subject", "kept_content_free", "released_bare_right", "unknown_kept", "unknown_released_bare_right")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--context", type=_context, nargs="+", default=[CONTEXT], metavar="ASK+ANSWER")
    parser.add_argument(
        "--held-out", action="store_true", help="compare contexts by the rows that were kept apart, too"
    )
    parser.add_argument("--write", action="store_true", help="write the weights, and the context, into the code")
    options = parser.parse_args()
    prepared = prepare(ROOT / "config" / "config.yaml")
    classifier = RetryingClassifier(prepared.classifier)
    try:
        if len(options.context) > 1:
            halves = [half for half in FILES if half not in APART or options.held_out]
            asyncio.run(compare(prepared.config, classifier, options.context, halves))
            return
        rows = [row for file in (DEVELOPMENT, SECOND, FOURTH) for row in read_rows(file)]
        read_context_after(options.context[0])
        fitted = asyncio.run(report(prepared.config, classifier, rows))
        if options.write:
            CODE.write_text(written(CODE.read_text(), fitted, options.context[0]))
    finally:
        prepared.classifier.encoder.close()


def _context(text: str) -> tuple[int, int]:
    ask, _, answer = text.partition("+")
    return int(ask), int(answer)


def read_context_after(context: tuple[int, int]) -> None:
    """Read asks again after this much of the last ask and of its answer."""
    subject.ASK_CHARACTERS, subject.ANSWER_CHARACTERS = context


def written(code: str, fitted: Weights, context: tuple[int, int]) -> str:
    """Return the code with other weights, and another context."""
    of = ", ".join([f"{name}={weight}" for name, weight in fitted.of._asdict().items()])
    code = re.sub(r"(?m)^FITTED = .*$", f"FITTED = Weights({fitted.always}, Features({of}))", code)
    return re.sub(
        r"(?m)^ASK_CHARACTERS, ANSWER_CHARACTERS = .*$",
        "ASK_CHARACTERS, ANSWER_CHARACTERS = {}, {}".format(*context),
        code,
    )


async def compare(
    config: Config, classifier: RetryingClassifier, contexts: Sequence[tuple[int, int]], halves: Sequence[str]
) -> None:
    """Print the kept and released conversations in each set, by context."""
    rows = {half: read_rows(FILES[half]) for half in halves}
    seen = [row for half in halves if half not in APART for row in rows[half]]
    found: dict[str, list[dict[str, Any]]] = {half: [] for half in halves}
    for context in contexts:
        read_context_after(context)
        weights = await fitted_to(config, classifier, seen)
        print("+".join(map(str, context)), weights)
        router = judging(config, classifier, weights)
        for half, listed in rows.items():
            found[half].append(figures([await outcome(router, row) for row in listed]))
    heads = ["share of rows", *["+".join(map(str, context)) for context in contexts]]
    for half, by_context in found.items():
        lines = [[NAMES[name], *(f"{one[name]['share']:.3f}" for one in by_context)] for name in COMPARED]
        print(f"\n{half}, {len(rows[half])} rows\n")
        print("\n".join(table(heads, lines)))


async def fitted_to(config: Config, classifier: Classifier, rows: Sequence[FollowUpRow]) -> Weights:
    """Return the weights fitted to all rows that the rule decides about."""
    decided = [row for row in rows if await is_judged(classifier, row.ask)]
    evidence = np.array([await evidence_of(config, classifier, row) for row in decided])
    return fit(evidence, np.array([row.kind == "change" for row in decided], dtype=float))


def judging(config: Config, classifier: Classifier, weights: Weights) -> Router:
    """Return a router that judges follow-ups by these weights."""
    router = Router(config, classifier, ServedModels)
    policy = Policy(config, classifier.labels, weights, classifier.calibration)
    router.policy, router.reader = policy, TextReader(classifier, policy, sticky=True)
    return router


async def report(config: Config, classifier: Classifier, rows: Sequence[FollowUpRow]) -> Weights:
    """Print the weights fitted to all rows, and the results with these and others; return them."""
    evidence = np.array([await evidence_of(config, classifier, row) for row in rows])
    changed = np.array([row.kind == "change" for row in rows], dtype=float)
    judged = np.array([await is_judged(classifier, row.ask) for row in rows])
    openers = list(dict.fromkeys(map(opener, rows)))
    conversation = np.array([openers.index(opener(row)) for row in rows])

    def of(chosen: Rows) -> Weights:
        return fit(evidence[chosen & judged], changed[chosen & judged])

    async def routed(weights: Weights, chosen: Rows) -> list[RoutedModels]:
        router = judging(config, classifier, weights)
        return [await outcome(router, row) for row, one in zip(rows, chosen, strict=True) if one]

    everything = np.ones(len(rows), dtype=bool)
    fitted = of(everything)

    async def unseen(fold: npt.NDArray[np.int_]) -> dict[str, Any]:
        """Return the figures of all rows, each fold routed with the weights fitted to the others."""
        return figures([one for out in np.unique(fold) for one in await routed(of(fold != out), fold == out)])

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
    same = [await keeps(Router(config, classifier, ServedModels), text) for text in content_free_texts()]
    print(f"\n{sum(same)} of {len(same)} other follow-ups without content kept each of {len(BEGINNINGS)} adapters")
    return fitted


def opener(row: FollowUpRow) -> str:
    """Return what tells a conversation from the others: the user's first message."""
    return next(message.content for message in row.history if message.role == "user")


async def evidence_of(config: Config, classifier: Classifier, row: FollowUpRow) -> Features:
    """Return the evidence of a row whose conversation is where it belongs."""
    found = await classifier.classify(row.ask)
    policy, category = Policy(config, classifier.labels), CATEGORIES[row.domain]
    asked = next(index for index, message in enumerate(reversed(row.history)) if message.role == "user")
    last = [message.content for message in row.history[-1 - asked :]]
    before = "\n".join([said[:EXCERPT_CHARACTERS] for said in last])
    lengths = (subject.ASK_CHARACTERS, subject.ANSWER_CHARACTERS)
    context = "\n".join([said[:max_characters] for said, max_characters in zip(last, lengths, strict=False)])
    both = await classifier.classify(f"{context}\n{row.ask}")
    together = policy.scores(both.probabilities)[category]
    return policy.evidence(
        FollowUp(category, row.ask, before, context, together=together), policy.scores(found.probabilities)
    )


async def is_judged(classifier: Classifier, ask: str) -> bool:
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
        round(float(weights[0] - scaled @ mean) - RELUCTANCE, 2),
        Features(*[round(float(one), 2) for one in scaled]),
    )


def _weights(fitted: Weights) -> list[list[str]]:
    rows = [("always", fitted.always, FITTED.always), *zip(Features._fields, fitted.of, FITTED.of, strict=True)]
    return [[name, f"{new:.2f}", f"{old:.2f}"] for name, new, old in rows]


def _span(shares: Iterable[float]) -> str:
    """Return the mean, and the least and the greatest of several."""
    listed = list(shares)
    mean = f"{sum(listed) / len(listed):.3f}"
    return mean if len(listed) == 1 else f"{mean} ({min(listed):.3f} to {max(listed):.3f})"


if __name__ == "__main__":
    main()
