"""Run the steps of a training, in order."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from training.augment import pool
from training.data import EXAMS, OURS, Row, load_corpus, repeated
from training.loop import accuracy_by_source
from training.report import report
from training.student import Student, build_classifier, build_tokenizer
from training.teacher import Lessons, teach
from training.trainer import Settings, Trainer, predict


def train(data_dir: Path, output: Path, encoder: Path, settings: Settings, held_out: str | None) -> None:
    """Train on `data_dir` with the teacher's `encoder`, and write the checkpoint folder `output`."""
    work = output.with_name(f"{output.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(settings.seed)  # noqa: S311
    corpus = load_corpus(data_dir, rng, held_out)
    print(f"{len(corpus.train)} train, {len(corpus.valid)} valid, {len(corpus.unlabelled)} unlabelled", flush=True)
    _write_users(corpus.valid, work / "users.jsonl")
    own, others = teach(corpus, encoder, work, rng, settings.seed)
    torch.manual_seed(settings.seed)
    tokenizer, kept = build_tokenizer(encoder, [row.text for row in (*corpus.train, *corpus.unlabelled)])
    student = Student(build_classifier(encoder, kept), own.embeddings.shape[1])
    trainer = Trainer(student, tokenizer, settings, work / "state.pt")
    labelled, neighbours = repeated(corpus.train), pool(corpus.train)
    while trainer.epoch < settings.epochs:
        chosen = _sample(len(corpus.unlabelled), settings, trainer.epoch)
        rows = [*(corpus.train[i] for i in labelled), *(corpus.unlabelled[i] for i in chosen)]
        trainer.run_epoch(rows, _join(own, labelled, others, chosen), neighbours)
        best = predict(student.classifier, tokenizer, [row.text for row in corpus.valid]).argmax(-1).tolist()
        print(f"epoch {trainer.epoch}: {accuracy_by_source(corpus.valid, best)}", flush=True)
    student.classifier.save_pretrained(output)
    tokenizer.save_pretrained(output)
    print(report(student.classifier, tokenizer, corpus))


def _sample(n: int, settings: Settings, epoch: int) -> list[int]:
    """Return the indices, out of `n`, of the unlabelled texts that this epoch reads."""
    rng = random.Random(settings.seed + epoch)  # noqa: S311
    return rng.sample(range(n), min(settings.unlabelled_per_epoch, n))


def _join(own: Lessons, labelled: list[int], others: Lessons, chosen: list[int]) -> Lessons:
    """Return the lessons of the rows that this epoch reads."""
    return Lessons(
        np.concatenate([own.probabilities[labelled], others.probabilities[chosen]]),
        np.concatenate([own.embeddings[labelled], others.embeddings[chosen]]),
    )


def _write_users(rows: Sequence[Row], path: Path) -> None:
    """Write the validation rows that users wrote, for `pointsman export --calibrate`.

    Ours are left out: they are similar to rows that were trained on, and would make the probabilities too confident.
    """
    users = [row for row in rows if row.source not in EXAMS | OURS]
    lines = [json.dumps({"text": row.text, "label": row.label}) for row in users]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
