"""Make the rows of others: all of HWU64's first fold, with its 18 scenarios as labels.

    python benchmarks/fit/others.py CLONE FILE.jsonl

CLONE is a clone of https://github.com/xliuhw/NLU-Evaluation-Data (CC BY 4.0).
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

FOLD = "CrossValidation/autoGeneFromRealAnno/autoGene_2018_03_22-13_01_25_169/CrossValidation/KFold_1"


def rows(clone: Path) -> Iterator[dict[str, str]]:
    """Yield each answer as it was annotated, of the fold's training and test sets."""
    for part in ("trainset", "testset/csv"):
        for file in sorted((clone / FOLD / part).glob("*.csv")):
            with file.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines, delimiter=";"):
                    yield {"text": row["answer_from_anno"], "label": row["scenario"]}


def main() -> None:
    clone, out = map(Path, sys.argv[1:])
    out.write_text("".join(json.dumps(row) + "\n" for row in rows(clone)))


if __name__ == "__main__":
    main()
