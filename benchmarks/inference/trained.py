"""Make a trained checkpoint that every program can read: all-MiniLM-L6-v2, with a head fitted to labelled rows.

Random weights have no outlier channels, so what quantization costs shows only on trained ones. The head is fitted in
seconds and reads the first token, as transformers' own BERT does; it is no good classifier, and need not be.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from support.config_files import LABELS

ROWS, TOKENS, BATCH = 1400, 64, 32
RIDGE = 10.0


def make_trained(encoder: Path, data: Path, target: Path) -> None:
    """Write the checkpoint; `encoder` is a folder with the encoder's weights, `data` has train.jsonl."""
    import torch
    from transformers import AutoConfig, BertForSequenceClassification
    from transformers import PreTrainedTokenizerFast as Tokenizer

    with (data / "train.jsonl").open("rb") as lines:
        rows = [json.loads(line) for line in lines]
    rows = random.Random(0).sample([row for row in rows if row["label"] in LABELS], ROWS)
    labels = dict(enumerate(LABELS))
    config = AutoConfig.from_pretrained(encoder, num_labels=len(LABELS), id2label=labels)
    config.label2id = {label: index for index, label in labels.items()}
    model = BertForSequenceClassification.from_pretrained(encoder, config=config).eval()
    tokenizer = Tokenizer(tokenizer_file=str(encoder / "tokenizer.json"), pad_token="[PAD]")  # noqa: S106 - no password
    with torch.inference_mode():
        pooled = torch.cat([_pooled(model, tokenizer, rows[at : at + BATCH]) for at in range(0, ROWS, BATCH)])
        wanted = torch.nn.functional.one_hot(torch.tensor([LABELS.index(row["label"]) for row in rows])).float()
        mean = pooled.mean(0)
        centred = pooled - mean
        gram = centred.T @ centred + RIDGE * torch.eye(len(mean))
        weight = 10.0 * torch.linalg.solve(gram, centred.T @ (wanted - wanted.mean(0)))
        model.classifier.weight.copy_(weight.T)
        model.classifier.bias.copy_(-mean @ weight)
    model.save_pretrained(target)
    shutil.copyfile(encoder / "tokenizer.json", target / "tokenizer.json")


def _pooled(model: Any, tokenizer: Any, rows: list[dict[str, str]]) -> Any:
    texts = [row["text"] for row in rows]
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
    return model.bert(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).pooler_output
