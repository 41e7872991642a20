"""Report the accuracy of a trained classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from training.data import DEV_GROUPS, LABELS, NEVER_TRAINED_ON, Corpus, Row
from training.trainer import predict


def report(classifier: Any, tokenizer: Any, corpus: Corpus) -> str:
    """Format the accuracy on the validation and dev sets, and the likeliest labels of the guide's questions."""
    lines = [
        f"validation          {_accuracy(classifier, tokenizer, corpus.valid):.4f}",
        f"dev_mmlu_pro        {_accuracy(classifier, tokenizer, corpus.dev_mmlu_pro):.4f}",
        f"dev_user_prompts    {_accuracy(classifier, tokenizer, corpus.dev_user_prompts, _group):.4f}",
        f"dev_out_of_scope    {_accuracy(classifier, tokenizer, corpus.dev_out_of_scope, _scope):.4f}",
    ]
    for text, row in zip(NEVER_TRAINED_ON, predict(classifier, tokenizer, NEVER_TRAINED_ON), strict=True):
        best = row.topk(3)
        likely = (f"{LABELS[i]} {p:.3f}" for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True))
        lines.append(f"{text}  {', '.join(likely)}")
    return "\n".join(lines)


def _accuracy(classifier: Any, tokenizer: Any, rows: Sequence[Row], name: Callable[[str], str] = str) -> float:
    """Return the share of `rows` whose label is the `name` of the likeliest label."""
    best = predict(classifier, tokenizer, [row.text for row in rows]).argmax(-1).tolist()
    return sum(name(LABELS[i]) == row.label for i, row in zip(best, rows, strict=True)) / len(rows)


def _group(label: str) -> str:
    return DEV_GROUPS.get(label, "general")


def _scope(label: str) -> str:
    return "out_of_scope" if label == "other" else label
