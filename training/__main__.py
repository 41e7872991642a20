"""`python -m training DATA_DIR -o CHECKPOINT_DIR`: train the built-in classifier.

A teacher (see `teacher`) gives soft labels and sentence embeddings; a small ModernBERT learns both.
The state is saved after every epoch in `CHECKPOINT_DIR.work`, and a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from training.data import MissingDataError
from training.pipeline import train
from training.teacher import default_encoder
from training.trainer import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says and return the exit code: 0 for success, 3 if data is missing."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train the classifier.")
    parser.add_argument("data_dir", type=Path, help="folder with train.jsonl, unlabelled.jsonl and dev_*.jsonl")
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--encoder", type=Path, help="folder of all-MiniLM-L6-v2 (default: the installed package's)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--unlabelled-per-epoch", type=int, default=30_000)
    parser.add_argument("--hold-out", metavar="SOURCE", help="do not train on this source, and validate on all of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    settings = Settings(args.epochs, args.learning_rate, args.unlabelled_per_epoch, args.seed)
    try:
        train(args.data_dir, args.output, args.encoder or default_encoder(), settings, args.hold_out)
    except MissingDataError as missing:
        print(f"train: {missing}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
