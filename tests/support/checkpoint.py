"""Classifiers and encoders of each architecture with random weights, as `save_pretrained` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from pointsman_export.export.libraries import quiet
from pointsman_export.export.texts import BUILT_IN

with quiet():
    import torch

    from pointsman_export.export.architectures import ARCHITECTURES, ENCODERS
    from pointsman_export.export.checkpoint import open_checkpoint
    from pointsman_export.export.graph.architecture import Architecture
    from pointsman_export.export.graph.roberta import Roberta
    from pointsman_export.export.graph.weights import Weights
    from pointsman_export.export.torch_model import load_model, torch_class_of, weights_of

MODERNBERT = "ModernBertForSequenceClassification"
LABELS = [
    *("biology", "business", "chemistry", "computer science", "economics", "engineering", "health"),
    *("history", "law", "math", "other", "philosophy", "physics", "psychology"),
]
SPECIAL_TOKENS = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]"}
SPECIAL_OF_ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>"}
"""Tokens by their roles; their ids are their places."""
TINY = {
    "vocab_size": 8192,
    "hidden_size": 256,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 1024,
    "global_rope_theta": 120_000.0,
    "classifier_pooling": "mean",
    "reference_compile": False,
}
"""The built-in classifier's shape. The theta is not the default one, so that losing it shows."""

BASE: dict[str, Any] = {"classifier_pooling": "mean", "reference_compile": False}
"""ModernBERT-base's shape, which is transformers' default."""

_BERT = {
    "vocab_size": 2048,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 600,
    "initializer_range": 0.05,
}
_ROBERTA = _BERT | {"max_position_embeddings": 602, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
FAMILY: dict[str, dict[str, Any]] = {
    "BertForSequenceClassification": _BERT,
    "MeanBertForSequenceClassification": _BERT,
    "RobertaForSequenceClassification": _ROBERTA,
    "XLMRobertaForSequenceClassification": _ROBERTA,
    "CamembertForSequenceClassification": _ROBERTA,
    "DistilBertForSequenceClassification": {
        "vocab_size": 2048,
        "dim": 128,
        "hidden_dim": 256,
        "n_layers": 3,
        "n_heads": 4,
        "max_position_embeddings": 600,
        "initializer_range": 0.05,
    },
}
"""A small shape of each architecture of BERT's family, with 600 positions for text."""


def make_checkpoint(folder: Path, texts: list[str], shape: dict[str, Any], torch_class: str = MODERNBERT) -> None:
    """Make random weights, and a classifier, if any, that separates `texts` by a margin, as a trained one would."""
    torch.manual_seed(0)
    with quiet():
        kind = torch_class_of(torch_class)  # imports its module
    form = {**ARCHITECTURES, **ENCODERS}[torch_class]
    special = SPECIAL_OF_ROBERTA if issubclass(form, Roberta) else SPECIAL_TOKENS
    ids = {role: index for index, role in enumerate(special)}
    config = kind.config_class(
        **shape,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
        pad_token_id=ids["pad"],
        cls_token_id=ids["cls"],
        bos_token_id=ids["cls"],
        sep_token_id=ids["sep"],
        eos_token_id=ids["sep"],
    )
    model = kind.from_pretrained(None, config=config, state_dict=_weights(kind, config)).eval()
    folder.mkdir(parents=True)
    tokenizer = save_tokenizer(folder, special)
    if torch_class in ARCHITECTURES:
        _fit(model, model.get_submodule(form.classifier), tokenizer, texts)
    model.save_pretrained(folder)


def write_modules(folder: Path, *modules: str, **pooling: Any) -> None:
    """Write the files by which sentence-transformers knows an encoder and its `pooling`."""
    kinds = ["Transformer", "Pooling", *modules]
    paths = ["", "1_Pooling", *(f"{number}_{kind}" for number, kind in enumerate(modules, 2))]
    described = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(described))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 128} | pooling))


def folded(folder: Path) -> tuple[Architecture, Weights]:
    """Return the weights and architecture for the graph of a checkpoint."""
    with quiet():
        checkpoint = open_checkpoint(str(folder))
        weights = weights_of(load_model(checkpoint))
    checkpoint.architecture.fold(weights)
    return checkpoint.architecture, weights


def save_tokenizer(folder: Path, special: dict[str, str] = SPECIAL_TOKENS) -> Tokenizer:
    """A byte-level BPE of the built-in texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(BUILT_IN, trainer)
    start, end = special["cls"], special["sep"]
    ends = [(token, tokenizer.token_to_id(token)) for token in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def _weights(kind: Any, config: Any) -> dict[str, torch.Tensor]:
    """Normal, norms around one; transformers' own truncated normal takes a minute at ModernBERT-base's shape."""
    with torch.device("meta"):
        shapes = kind(config).state_dict()
    return {
        name: torch.randn(value.shape) * config.initializer_range + name.lower().endswith("norm.weight")
        for name, value in shapes.items()
    }


def _fit(model: Any, classifier: Any, tokenizer: Tokenizer, texts: list[str]) -> None:
    """Ridge regression from the classifier's input to the labels in turn; random logits would be as good as tied."""
    rows: list[torch.Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0]))
    with torch.inference_mode():
        for text in texts:
            model(input_ids=torch.tensor([tokenizer.encode(text).ids]))
        hook.remove()
        features = torch.cat(rows)
        mean = features.mean(0)
        centred = features - mean
        wanted = 4 * torch.nn.functional.one_hot(torch.arange(len(texts)) % len(LABELS), len(LABELS)).float()
        penalty = 0.01 * (centred @ centred.T).diagonal().mean() * torch.eye(len(texts))
        weight = centred.T @ torch.linalg.solve(centred @ centred.T + penalty, wanted)
        classifier.weight.copy_(weight.T)
        classifier.bias.copy_(-mean @ weight)
