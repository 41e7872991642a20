"""Run the steps of a training, in order."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training.corpus import DEV_SETS, load_corpus
from training.data import EXAMS, TrainingText, read_rows, sha256, write_rows
from training.figures import figures
from training.held_out import group
from training.model import build_classifier, load_tokenizer, round_trained
from training.near_copies import MIN_SHARED_PART
from training.predict import predict
from training.prompts import OURS
from training.record import cpu, record
from training.stopwatch import Stopwatch
from training.trainer import Settings, Trainer
from training.weights import write_trained
from training.wrap import pool


def train(data_dir: Path, output: Path, encoder: Path, settings: Settings) -> dict[str, Any]:
    """Train on `data_dir`, write the checkpoint folder `output`, and return its report, which it contains.

    The dev sets are only reported on if nothing is held out.
    """
    work = output.with_name(f"{output.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    stopwatch = Stopwatch(work / "seconds.json", work / "state.pt")
    held_out = group(settings.group)
    report = record(data_dir, encoder, settings, held_out)
    corpus = load_corpus(data_dir, held_out)
    print(
        f"{len(corpus.train)} rows and {len(corpus.fleets)} fleets to train on, {len(corpus.valid)} to validate on",
        file=sys.stderr,
        flush=True,
    )
    # Ours are left out: they are like rows that were trained on, and would make the probabilities too confident.
    write_rows(work / "users.jsonl", [row for row in corpus.valid if row.source not in EXAMS | OURS])
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer(encoder)
    made_of = {name: report[name] for name in ("settings", "sha256")}
    trainer = Trainer(build_classifier(encoder), tokenizer, settings, work / "state.pt", made_of)
    trainer.run(corpus.train, pool(corpus.train), corpus.fleets)
    report["run"] = {"seconds": stopwatch.seconds(), "cpu": cpu(), "threads": torch.get_num_threads()}
    round_trained(trainer.model)
    trainer.model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    write_trained(trainer.model, work / "trained.safetensors")
    sets = (
        {"validation": corpus.valid} if held_out.sources else {"validation": corpus.valid, "dev": _dev_rows(data_dir)}
    )
    report["weights"] = sha256(output / "model.safetensors")
    fleets = {"adapters": sum(len(fleet.adapters) for fleet in corpus.fleets)}
    report["rows"] = {"train": len(corpus.train), "valid": len(corpus.valid), **fleets}
    report["near_copies"] = {"least_shared": MIN_SHARED_PART, "left_out": corpus.near_copies}
    for name, rows in sets.items():
        probabilities = predict(trainer.model, tokenizer, [row.text for row in rows])
        report[name] = figures(rows, probabilities)
        if held_out.sources:
            write_rows(work / "held-out.jsonl", rows, probabilities)
    (output / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _dev_rows(data_dir: Path) -> list[TrainingText]:
    return [replace(row, source=name) for name in DEV_SETS for row in read_rows(data_dir / f"{name}.jsonl")]
