"""Compose what one run trains and validates on."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.adapters import Fleet, read_fleets
from training.data import EXAMS, TrainingText, read_rows
from training.held_out import NOTHING, HeldOut
from training.near_copies import NearCopies, normal
from training.prompts import OURS, WRITTEN, user_prompts
from training.wrap import TASKS

DEV_SETS = ("dev_mmlu_pro", "dev_user_prompts", "dev_out_of_scope")
"""Files that are only reported on, and of which no near copy is trained on."""

READ = ("read_labels", "read_prompts", "written_prompts")
"""Files whose labels were read, or written with the prompt."""

_BY_ASKER = frozenset({"expertqa", "dolly-openqa"})
"""Sources of `train.jsonl` whose labels say who asks, or nothing; what was read is in the other files."""

OTHER_JUDGES = ("fleets.json", "tasks.jsonl")
"""Files by which other classifiers than the built-in one are judged; not every folder of data has them."""

ROOT = Path(__file__).parents[1]
OUR_PROMPTS = ROOT / "tests" / "data"
"""Prompts that test the classifier, as rows."""

OUR_JUDGES = tuple(ROOT / "benchmarks" / name for name in ("ask", "fit", "judges", "language"))
"""Folders of questions, conversations and material by which the service is judged."""

FLEETS = "fleets"
"""What the texts of invented adapters count as, among the near copies."""

_MIN_WORDS = 5
"""Shorter texts of these, and of the others, are what everybody says."""

_EXAM_VALID, _USER_VALID = 0.05, 0.125
"""Validation share of exams, and of other people's sources, which the calibration needs."""

_READS = {
    "mmlu": 0.5,
    "expertqa": 2,
    "clinc-smalltalk": 2,
    WRITTEN: 3,
    "pointsman": 0.5,
    "pointsman-plain": 2,
    TASKS: 6,
}
"""Times that an epoch reads a row of a source, on average: the exams lack people who ask in their own words."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The rows of a run."""

    train: list[TrainingText]
    valid: list[TrainingText]
    fleets: list[Fleet]
    held_out_fleets: list[Fleet]
    near_copies: dict[str, int]
    """By source, the rows that were left out of `train` because they are near copies of `valid` or of a test set."""


def load_corpus(data_dir: Path, held_out: HeldOut = NOTHING) -> Corpus:
    """Read `data_dir` and split it; raises CannotTrain.

    Sources that are held out are the whole validation, which shows what the model does with text of an origin that it
    never saw. Otherwise a share of every source is, of exams evenly and of users' texts the last rows of each
    label: a person's questions stand together, and must not be on both sides.
    """
    rows = [row for row in read_rows(data_dir / "train.jsonl") if row.source not in _BY_ASKER]
    rows += [row for name in READ for row in read_rows(data_dir / f"{name}.jsonl")]
    rows += [TrainingText(*prompt) for prompt in user_prompts()]
    if held_out.sources:
        train = [row for row in rows if row.source not in held_out.sources]
        valid = [row for row in rows if row.source in held_out.sources]
    else:
        train, valid = _split(rows)
    valid = _distinct(valid)
    tests = [text for path in reserved_files(data_dir) for text in _texts(path)]
    known = NearCopies(tests + [row.text for row in valid])
    left_out: Counter[str] = Counter()
    retained = []
    for row in _distinct(train):
        if known.has(row.text):
            left_out[row.source] += 1
        else:
            retained.append(row)

    def is_left_out(text: str) -> bool:
        found = known.has(text)
        left_out[FLEETS] += found
        return found

    fleets = held_out.split(read_fleets(data_dir, is_left_out))
    return Corpus(retained, valid, *fleets, dict(left_out))


def reserved_files(data_dir: Path) -> list[Path]:
    """Return the files of which no near copy is trained on."""
    others = [path for name in OTHER_JUDGES if (path := data_dir / name).exists()]
    folders = (OUR_PROMPTS, *OUR_JUDGES)
    ours = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in _READERS]
    return [*(data_dir / f"{name}.jsonl" for name in DEV_SETS), *others, *ours]


def sample(rows: Sequence[TrainingText], rng: random.Random) -> list[TrainingText]:
    """Return the rows that one epoch reads, each as often as `_READS` says."""
    chosen = []
    for row in rows:
        whole, rest = divmod(_READS.get(row.source, 1), 1)
        chosen += [row] * (int(whole) + (rng.random() < rest))
    return chosen


_READERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
    ".txt": lambda text: text.split("\n\n"),
    ".yaml": yaml.safe_load,
}


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file of rows; of another one, all that it says."""
    if path.stem in DEV_SETS or (path.parent == OUR_PROMPTS and path.suffix == ".jsonl"):
        yield from (row.text for row in read_rows(path))
        return
    values: list[Any] = [_READERS[path.suffix](path.read_text(encoding="utf-8"))]
    while values:
        match values.pop():
            case str(text) if len(text.split()) >= _MIN_WORDS:
                yield text
            case list(some):
                values += some
            case dict(some):
                values += some.values()


def _split(rows: Iterable[TrainingText]) -> tuple[list[TrainingText], list[TrainingText]]:
    kinds: dict[tuple[str, str], list[TrainingText]] = defaultdict(list)
    for row in rows:
        kinds[row.source, row.label].append(row)
    train: list[TrainingText] = []
    valid: list[TrainingText] = []
    for (source, _), kind in kinds.items():
        if source in EXAMS:
            every = round(1 / _EXAM_VALID)
            valid += kind[every - 1 :: every]
            train += [row for i, row in enumerate(kind, 1) if i % every]
        else:
            cut = len(kind) - (0 if source in OURS else round(len(kind) * _USER_VALID))
            train += kind[:cut]
            valid += kind[cut:]
    return train, valid


def _distinct(rows: Iterable[TrainingText]) -> list[TrainingText]:
    first: dict[str, TrainingText] = {}
    for row in rows:
        first.setdefault(normal(row.text), row)
    return list(first.values())
