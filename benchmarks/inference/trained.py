"""Make a trained checkpoint that every program can read: all-MiniLM-L6-v2, fine-tuned on labelled rows for minutes.

Random weights have no outlier channels, so what quantization costs shows only on trained ones. All of it is trained, as
of the checkpoints that people have: with a head fitted to an encoder that stays as it was, labels are so close to each
other that small errors change them.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

from provenance import cpu

from support.config_files import LABELS

ROWS, TOKENS, BATCH = 6000, 64, 32
RATE, HEAD_RATE = 1e-4, 1e-3
"""Learning rates of the encoder and of the head, which is new; both fall to 0."""


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
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(encoder, config=config).train()
    tokenizer = Tokenizer(tokenizer_file=str(encoder / "tokenizer.json"), pad_token="[PAD]")  # noqa: S106 - no password
    groups = [{"params": model.bert.parameters()}, {"params": model.classifier.parameters(), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=-(-ROWS // BATCH))
    fast_in_halves = "avx512_bf16" in cpu(Path("/proc/cpuinfo").read_text())["flags"]  # elsewhere torch emulates it
    for at in range(0, ROWS, BATCH):
        batch = rows[at : at + BATCH]
        texts = [row["text"] for row in batch]
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_in_halves):
            logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        wanted = torch.tensor([LABELS.index(row["label"]) for row in batch])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.float(), wanted).backward()
        optimizer.step()
        falling.step()
    model.save_pretrained(target)
    shutil.copyfile(encoder / "tokenizer.json", target / "tokenizer.json")
