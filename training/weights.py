"""`python -m training.weights CHECKPOINT_DIR`: make the checkpoint of the shipped weights again, without training.

What a training changes of the encoder is kept at half precision, to which `round_trained` rounds it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from training.data import CannotTrain, sha256
from training.model import build_classifier, default_encoder, load_tokenizer
from training.record import RECORD

TRAINED = Path(__file__).parent / "builtin.safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the checkpoint and return the exit code: 0, or 3 if it is not the one of the record."""
    parser = argparse.ArgumentParser(prog="python -m training.weights", description="Make the checkpoint again.")
    parser.add_argument("checkpoint", type=Path, help="folder to write")
    parser.add_argument("--encoder", type=Path, help="folder of all-MiniLM-L6-v2 (default: the installed package's)")
    args = parser.parse_args(arguments)
    try:
        restore(TRAINED, args.encoder or default_encoder(), args.checkpoint, json.loads(RECORD.read_bytes())["weights"])
    except CannotTrain as reason:
        print(f"weights: {reason}", file=sys.stderr)
        return 3
    return 0


def write_trained(model: Any, path: Path) -> None:
    """Write the parameters that are trained, at half precision."""
    save_file({name: one.data.half() for name, one in model.named_parameters() if one.requires_grad}, path)


def restore(trained: Path, encoder: Path, checkpoint: Path, weights: str) -> None:
    """Write the checkpoint of what was trained on an encoder; raises CannotTrain if its SHA-256 is not `weights`."""
    model = build_classifier(encoder)
    parameters = dict(model.named_parameters())
    for name, value in load_file(trained).items():
        parameters[name].data = value.float()
    model.save_pretrained(checkpoint)
    load_tokenizer(encoder).save_pretrained(checkpoint)
    if (found := sha256(checkpoint / "model.safetensors")) != weights:
        raise CannotTrain(
            f"{checkpoint}: has the weights {found[:12]}…, not {weights[:12]}…; "
            "use the encoder and the versions of transformers and safetensors that the record names"
        )


if __name__ == "__main__":
    sys.exit(main())
