"""What trainings say of sources that they held out is judged as what the service says."""

from __future__ import annotations

from typing import Any

import held_out

from support.config_files import LABELS


def row(text: str, label: str, source: str, sure_of: str) -> dict[str, Any]:
    said = dict.fromkeys(LABELS, 0.1 / (len(LABELS) - 1)) | {sure_of: 0.9}
    return {"text": text, "label": label, "source": source, "probabilities": said}


def test_rows_are_routed_by_the_shipped_config_and_any_label_that_would_do_is_right() -> None:
    rows = [
        row("may I sublet", "law", "a", "law"),
        row("is it a rash", "health", "a", "other"),
        row("why is the sky blue", "physics", "b", "history"),  # both are the base model's
        row("which bridge is safe", "history", "b", "engineering"),
        row("what is a fair price", "economics", "b", "law"),
    ]

    found = held_out.judge_rows(rows, {"what is a fair price": ["law"]})["ways"]["shipped"]["figures"]

    right = found["right"]["all"]["sources"]
    assert {source: (one["part"], one["whole"]) for source, one in right.items()} == {"a": (1, 2), "b": (2, 3)}
    assert (found["reach"]["all"]["rows"]["part"], found["reach"]["all"]["rows"]["whole"]) == (1, 2)
    assert (found["precision"]["all"]["rows"]["part"], found["precision"]["all"]["rows"]["whole"]) == (2, 3)
