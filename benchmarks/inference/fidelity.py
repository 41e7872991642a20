"""Compare each variant's logits with PyTorch's in float, on real text and with trained weights."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.batch1 import THREADS, VARIANTS, proofs, start
from inference.models import make_models
from inference.trained import make_trained
from inference.workplace import MAX_TOKENS, Workplace
from pointsman.classify.tokenizer import Tokenizer, Window

REFERENCE = "PyTorch float"
ANSWERING = {name: one for name, one in VARIANTS.items() if one[1]}
"""The variants that have a model."""
ROWS = 300
SETS = ("dev_user_prompts", "dev_mmlu_pro", "dev_out_of_scope")
"""Files of the data folder whose texts are read, in turn; the checkpoint was not fitted to them."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


def prepare(work: Workplace, encoder: Path, data: Path) -> None:
    """Make the checkpoint, all variants of it, and the list of texts."""
    trained = trained_in(work)
    if not trained.model("checkpoint").exists():
        make_trained(encoder, data, trained.part("models") / "checkpoint")
    files = [(data / f"{name}.jsonl").read_bytes().splitlines() for name in SETS]
    texts = [json.loads(line)["text"] for lines in zip(*files, strict=False) for line in lines]
    trained.folder.joinpath("texts.json").write_text(json.dumps(texts[:ROWS]))
    make_models(trained)


def trained_in(work: Workplace) -> Workplace:
    """Return the workplace of the trained models, which shares the peers."""
    folder = work.part("trained")
    if not (folder / "peers").exists():
        (folder / "peers").symlink_to(work.folder / "peers")
    return Workplace(folder)


def measure(work: Workplace, _: float) -> dict[str, Any]:
    """Return the fidelity by variant, and the layers that ours keep in float.

    Raises OSError if `prepare` was not called before.
    """
    trained = trained_in(work)
    texts = json.loads(trained.folder.joinpath("texts.json").read_text())
    encoded = Tokenizer(trained.tokenizer).encode(texts, Window.even(MAX_TOKENS))
    prompts = [item.ids.tolist() for item in encoded]
    logits: dict[str, Floats] = {}
    for name, (kind, model, venv) in ANSWERING.items():
        with contextlib.ExitStack() as stack:
            worker = start(trained, name, kind, trained.model(model), venv)
            if worker is not None:
                logits[name] = np.array(list(_answers(stack.enter_context(worker), prompts)))
    return {
        "texts": len(texts),
        "threads": THREADS,
        "missing": [name for name in ANSWERING if name not in logits],
        "variants": {name: fidelity(found, logits[REFERENCE]) for name, found in logits.items()},
        "float_layers": {name: proof["float_layers"] for name, proof in proofs(trained, ANSWERING).items()},
    }


def fidelity(found: Floats, reference: Floats) -> dict[str, float]:
    """Return the relative error of the logits, and the share of texts whose most probable label is the same."""
    error = np.linalg.norm(found - reference) / np.linalg.norm(reference)
    kept = (found.argmax(axis=1) == reference.argmax(axis=1)).mean()
    return {"relative_error": round(float(error), 6), "labels_kept": round(float(kept), 4)}


def _answers(worker: Any, prompts: Sequence[list[int]]) -> Iterator[list[float]]:
    for ids in prompts:
        worker.stdin.write(f"{json.dumps(ids)}\n")
        worker.stdin.flush()
        yield json.loads(worker.stdout.readline())
    worker.stdin.close()
