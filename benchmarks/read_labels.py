"""Judge which model answers a prompt, by labels that were read; pure functions, but for the reading of files.

A row's label says what is asked, and `also` has labels that would do as well. A choice is right if one of them belongs
to its category; what belongs to no adapter's category is the base model's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.config.model import Config
from pointsman.evaluation.metrics import expected_calibration_error
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.intervals import share_interval
from pointsman.routing.decision import Decision, Reason

PROMPTS = Path(__file__).parents[1] / "tests" / "data" / "prompts.jsonl"
OURS = "hand-written"
"""The source of the hand-written prompts."""
FILES = ("read_labels", "read_out_of_scope", "read_prompts")
TRAINED_ON = "dolly-openqa"
OUT_OF_SCOPE, SMALL_TALK = "clinc-oos", "clinc-smalltalk"
MAX_ROWS = 150
"""Maximum rows of a source and label."""
MIN_ROWS = 10
"""Minimum rows of a source in a mean over sources: one row would weigh as much as a hundred."""
BASE, OTHER = "base model", "another adapter"
FIGURES = ("right", "reach", "precision")


@dataclass(frozen=True, slots=True)
class LabelledPrompt:
    """A prompt; `labels` has its label, then those that would do as well."""

    text: str
    source: str
    labels: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """Return the request as a chat."""
        return json.dumps({"messages": [{"role": "user", "content": self.text}]}).encode()


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """The category that a row got, and those that it may get, its label's first: the category of an adapter, or BASE.

    `likeliest` is the best category before any threshold and its score; None if the row was not classified.
    """

    source: str
    wanted: tuple[str, ...]
    got: str
    likeliest: tuple[str, float] | None = None

    @property
    def right(self) -> bool:
        """Return whether the choice is an acceptable one."""
        return self.got in self.wanted

    @property
    def only(self) -> str | None:
        """Return the adapter's category if it alone is acceptable, or None."""
        return None if len(self.wanted) > 1 or BASE in self.wanted else self.wanted[0]

    def counts_for(self, figure: str) -> str | None:
        """Return the category for which this counts in a figure, None if it does not count."""
        if figure == "precision":
            return None if self.got == BASE else self.got
        return self.only if figure == "reach" else self.wanted[0]


def read(file: Path, **fields: str) -> list[LabelledPrompt]:
    """Return the rows of a file of JSON lines that have a label, and these values of fields."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        LabelledPrompt(row["text"], row.get("source", OURS), (row["label"], *row.get("also", ())))
        for row in rows
        if row["label"] is not None and all(row[name] == value for name, value in fields.items())
    ]


def sets(data: Path) -> dict[str, list[LabelledPrompt]]:
    """Return the rows by which the built-in classifier is judged; it was trained on none of them."""
    labels, out_of_scope, prompts = (data / f"{name}.jsonl" for name in FILES)
    return {
        "prompts": read(PROMPTS),
        "dev_user_prompts": read(labels, set="dev_user_prompts"),
        # Small talk has its intent as the source.
        "dev_out_of_scope": [
            row if row.source == OUT_OF_SCOPE else replace(row, source=SMALL_TALK) for row in read(out_of_scope)
        ],
        "read_prompts": [row for row in read(prompts) if row.source != TRAINED_ON],
    }


def sampled(rows: Iterable[LabelledPrompt]) -> list[LabelledPrompt]:
    """Return at most MAX_ROWS of each source and label, by the SHA-256 of their texts."""
    found: defaultdict[tuple[str, str], list[LabelledPrompt]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.text.encode()).digest()):
        found[row.source, row.labels[0]].append(row)
    return [row for some in found.values() for row in some[:MAX_ROWS]]


def targets_of_labels(config: Config, labels: Sequence[str]) -> dict[str, str]:
    """Return for each category and each label of the classifier the category of its adapter, or BASE."""
    scheme = CategoryScheme(config, labels)
    found = {
        name: BASE if model == config.default_model else name
        for name, model in zip(scheme.names, scheme.models(), strict=True)
    }
    known = {label: scheme.truth(label) for label in labels}
    return found | {label: found[scheme.names[index]] for label, index in known.items() if index is not None}


def choice(row: LabelledPrompt, decision: Decision, where: Mapping[str, str]) -> LabelChoice:
    """Return what a decision gave a row; `where` is from `targets_of_labels`."""
    got = decision.category if decision.adapter and decision.category is not None else BASE
    likeliest = None
    if decision.reason in (Reason.CLASSIFIED, Reason.LOW_CONFIDENCE):
        category = decision.category if decision.missed is None else decision.missed.category
        if category is not None and decision.confidence is not None:
            likeliest = where[category], decision.confidence
    return LabelChoice(row.source, tuple(dict.fromkeys(where[label] for label in row.labels)), got, likeliest)


def judge(choices: Sequence[LabelChoice], categories: Sequence[str]) -> dict[str, Any]:
    """Return each figure of all rows and of those of each category, by source; and what is wrong."""
    return {
        "figures": {
            figure: {
                "all": _figure([one for one in choices if one.counts_for(figure) is not None]),
                **{
                    category: _figure([one for one in choices if one.counts_for(figure) == category])
                    for category in categories
                },
            }
            for figure in FIGURES
        },
        "errors": errors(choices),
        "calibration_error": calibration_error(choices),
    }


def judged(rows: Sequence[LabelledPrompt], choices: Sequence[LabelChoice], categories: Sequence[str]) -> dict[str, Any]:
    """Return the figures of a sample of the rows, and those of them all over the categories."""
    of_row = dict(zip(rows, choices, strict=True))
    every = judge(choices, ())["figures"]
    return judge([of_row[row] for row in sampled(rows)], categories) | {
        "unlimited": {figure: of_all(every[figure]["all"]) for figure in FIGURES}
    }


def of_all(figure: dict[str, Any]) -> dict[str, float]:
    """Return the mean of a figure over its sources; of a single source, its share."""
    found: dict[str, float] = figure["mean" if len(figure["sources"]) > 1 else "rows"]
    return found


def share(part: int, whole: int) -> dict[str, float] | None:
    """Return a share with Wilson's 95 % interval; None of no rows."""
    if not whole:
        return None
    low, high = share_interval(part, whole)
    return {"part": part, "whole": whole, "share": part / whole, "low": low, "high": high}


def mean_over_sources(shares: Iterable[Mapping[str, float]]) -> dict[str, float] | None:
    """Return the mean of the shares of at least MIN_ROWS rows, with its 95 % interval; None if there are none.

    The interval is that of a sum of independent shares, from the distances to their own bounds (MOVER).
    """
    known = [one for one in shares if one["whole"] >= MIN_ROWS]
    if not known:
        return None
    mean = sum(one["share"] for one in known) / len(known)
    below, above = (
        math.sqrt(sum((one[bound] - one["share"]) ** 2 for one in known)) / len(known) for bound in ("low", "high")
    )
    return {"sources": len(known), "share": mean, "low": mean - below, "high": mean + above}


def errors(choices: Sequence[LabelChoice]) -> dict[str, dict[str, int]]:
    """Return the rows of each kind of error.

    `lost`: rows of one adapter alone that do not reach it, by what they get. `astray`: rows at an adapter that is not
    acceptable, by what is.
    """
    lost = [one for one in choices if one.only is not None and not one.right]
    astray = [one for one in choices if one.got != BASE and not one.right]
    return {
        "lost": _split([one.got == BASE for one in lost]),
        "astray": _split([BASE in one.wanted for one in astray]),
    }


def calibration_error(choices: Sequence[LabelChoice]) -> float:
    """Return the expected calibration error of the best category's score, before any threshold."""
    known = [(one.likeliest, one.wanted) for one in choices if one.likeliest is not None]
    confidence = np.array([likeliest[1] for likeliest, _ in known])
    return expected_calibration_error(confidence, np.array([likeliest[0] in wanted for likeliest, wanted in known]))


def _figure(counted: Sequence[LabelChoice]) -> dict[str, Any]:
    by_source: defaultdict[str, list[bool]] = defaultdict(list)
    for one in counted:
        by_source[one.source].append(one.right)
    sources = {source: found for source, hits in sorted(by_source.items()) if (found := share(sum(hits), len(hits)))}
    return {
        "rows": share(sum(one.right for one in counted), len(counted)),
        "mean": mean_over_sources(sources.values()),
        "sources": sources,
    }


def _split(at_base: Sequence[bool]) -> dict[str, int]:
    return {BASE: sum(at_base), OTHER: len(at_base) - sum(at_base)}
