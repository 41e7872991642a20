"""`python -m training DATA_DIR -o CHECKPOINT_DIR`: train the built-in classifier.

A run that was stopped continues from `CHECKPOINT_DIR.work/state.pt` when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from training.data import CannotTrain
from training.held_out import SOURCES
from training.model import default_encoder
from training.pipeline import train
from training.trainer import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says and return the exit code: 0 for success, 3 if it cannot train."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train the classifier.")
    parser.add_argument("data_dir", type=Path, help="folder with train.jsonl and dev_*.jsonl")
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--encoder", type=Path, help="folder of all-MiniLM-L6-v2 (default: the installed package's)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    groups = range(len(SOURCES) + 1)
    parser.add_argument(
        "--hold-out",
        metavar="GROUP",
        type=int,
        choices=groups,
        default=0,
        help=f"do not train on the sources and the fleets of a group, 1 to {len(SOURCES)}; validate on these sources",
    )
    parser.add_argument("--fleets", type=int, default=300, help="batches of invented adapters in an epoch")
    parser.add_argument("--share", type=float, default=1.0, help="train on this part of each epoch, up to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    settings = Settings(args.epochs, args.learning_rate, args.seed, args.fleets, args.share, args.hold_out)
    try:
        report = train(args.data_dir, args.output, args.encoder or default_encoder(), settings)
    except CannotTrain as reason:
        print(f"train: {reason}", file=sys.stderr)
        return 3
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
