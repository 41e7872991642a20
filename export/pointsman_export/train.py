"""`python -m pointsman_export.train DATA_DIR -o CHECKPOINT_DIR`: train the built-in classifier.

A teacher (see `train_teacher`) gives soft labels and sentence embeddings; a small ModernBERT learns both.
The state is saved after every epoch in `CHECKPOINT_DIR.work`, and a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pointsman_export.train_augment import Pool, augment, pool
from pointsman_export.train_data import (
    DEV_GROUPS,
    EXAMS,
    LABELS,
    NEVER_TRAINED_ON,
    OURS,
    Corpus,
    MissingDataError,
    Row,
    batches,
    load_corpus,
    repeated,
)
from pointsman_export.train_loop import Progress, accuracy_by_source, resume, save, set_learning_rate
from pointsman_export.train_model import MAX_TOKENS, Student, build_classifier, build_tokenizer
from pointsman_export.train_teacher import Lessons, default_encoder, teach

_TRAIN_TOKENS = 256
_BATCH_TOKENS = 2048
_TOKEN_DROPOUT = 0.1
_SMOOTHING = 0.05
_EMBEDDING_LOSS = 2.0
"""Weight of `1 - cosine` to the encoder's embedding, next to the cross entropy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line sets."""

    epochs: int
    learning_rate: float
    unlabelled_per_epoch: int
    seed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and mask [batch, tokens], targets [batch, labels], encoder embeddings [batch, width]."""

    ids: Tensor
    mask: Tensor
    targets: Tensor
    embeddings: Tensor


class Trainer:
    """One run: a student, its optimizer, and where it is in the schedule."""

    def __init__(self, student: Student, tokenizer: Any, settings: Settings, state: Path) -> None:
        self.student = student
        self.tokenizer = tokenizer
        self.settings = settings
        self.state = state
        groups = [{**group, "peak": settings.learning_rate} for group in _decayed(student)]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.epoch = resume(state, student, self.optimizer)

    def run_epoch(self, rows: Sequence[Row], lessons: Lessons, pool: Pool) -> None:
        """One pass over `rows`; the epoch's number seeds it, so a resumed run does what it would have done."""
        rng = random.Random(f"{self.settings.seed}-{self.epoch}")  # noqa: S311
        torch.manual_seed(rng.getrandbits(32))
        texts = [augment(row, pool, rng) for row in rows]
        ids = self.tokenizer(texts, truncation=True, max_length=_TRAIN_TOKENS)["input_ids"]
        plan = batches([len(one) for one in ids], _BATCH_TOKENS, rng)
        self.student.train()
        progress = Progress(f"epoch {self.epoch + 1}", len(plan))
        for step, chosen in enumerate(plan, 1):
            set_learning_rate(self.optimizer, (self.epoch + step / len(plan)) / self.settings.epochs)
            progress.step(self._step(self._batch([ids[i] for i in chosen], lessons, chosen)))
        self.epoch += 1
        save(self.state, self.student, self.optimizer, self.epoch)

    def _step(self, batch: Batch) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            logits, means = self.student(batch.ids, batch.mask)
        labels = nn.functional.cross_entropy(logits.float(), batch.targets, label_smoothing=_SMOOTHING)
        cosine = nn.functional.cosine_similarity(means.float(), batch.embeddings).mean()
        loss = labels + _EMBEDDING_LOSS * (1 - cosine)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        return float(loss)

    def _batch(self, ids: list[list[int]], lessons: Lessons, chosen: list[int]) -> Batch:
        padded = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        tokens, mask = padded["input_ids"], padded["attention_mask"]
        lost = (torch.rand(tokens.shape) < _TOKEN_DROPOUT) & (tokens >= len(self.tokenizer.all_special_ids))
        return Batch(
            tokens.masked_fill(lost, self.tokenizer.mask_token_id),
            mask,
            torch.from_numpy(lessons.probabilities[chosen]),
            torch.from_numpy(lessons.embeddings[chosen]),
        )


def predict(classifier: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Probabilities [n, labels] of `texts`."""
    ids = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    found = torch.empty(len(ids), len(LABELS))
    classifier.eval()
    for chosen in batches([len(one) for one in ids], 4 * _BATCH_TOKENS, random.Random(0)):  # noqa: S311
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in chosen]}, return_tensors="pt")
        with torch.inference_mode():
            logits = classifier(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        found[chosen] = logits.softmax(-1)
    return found


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


def report(classifier: Any, tokenizer: Any, corpus: Corpus) -> str:
    """Accuracy on the validation and dev sets, and the likeliest labels of the guide's questions."""
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
    """Share of `rows` whose label is the `name` of the likeliest label."""
    best = predict(classifier, tokenizer, [row.text for row in rows]).argmax(-1).tolist()
    return sum(name(LABELS[i]) == row.label for i, row in zip(best, rows, strict=True)) / len(rows)


def _group(label: str) -> str:
    return DEV_GROUPS.get(label, "general")


def _scope(label: str) -> str:
    return "out_of_scope" if label == "other" else label


def _sample(n: int, settings: Settings, epoch: int) -> list[int]:
    """The indices of the unlabelled texts, of `n`, that this epoch reads."""
    rng = random.Random(settings.seed + epoch)  # noqa: S311
    return rng.sample(range(n), min(settings.unlabelled_per_epoch, n))


def _join(own: Lessons, labelled: list[int], others: Lessons, chosen: list[int]) -> Lessons:
    return Lessons(
        np.concatenate([own.probabilities[labelled], others.probabilities[chosen]]),
        np.concatenate([own.embeddings[labelled], others.embeddings[chosen]]),
    )


def _write_users(rows: Sequence[Row], path: Path) -> None:
    """The validation rows that users wrote: what `pointsman export --calibrate` wants.

    Ours are left out: they are of one style with what was trained on, and would make the probabilities too bold.
    """
    users = [row for row in rows if row.source not in EXAMS | OURS]
    lines = [json.dumps({"text": row.text, "label": row.label}) for row in users]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _decayed(student: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for the matrices, none for norms, biases and embeddings."""
    named = list(student.named_parameters())
    matrices = [p for name, p in named if p.ndim > 1 and "tok_embeddings" not in name]
    rest = [p for name, p in named if p.ndim < 2 or "tok_embeddings" in name]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pointsman_export.train", description="Train the classifier.")
    parser.add_argument("data_dir", type=Path, help="holds train.jsonl, unlabelled.jsonl and dev_*.jsonl")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument("--encoder", type=Path, help="folder of all-MiniLM-L6-v2 (default: the installed package's)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--unlabelled-per-epoch", type=int, default=30_000)
    parser.add_argument("--hold-out", metavar="SOURCE", help="keep this source out and validate on all of it")
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
