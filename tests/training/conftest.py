from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from training.adapters import FURTHER
from training.corpus import READ

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "can", "my", "landlord", "sue", "rash", "itch", "why"]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    config = BertConfig(len(WORDS), 16, 2, 2, 32, max_position_embeddings=512, initializer_range=0.2)
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture
def no_more_data(tmp_path: Path) -> Path:
    """A folder of data in which only what a test is about is missing."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in READ:
        (folder / f"{name}.jsonl").touch()
    (folder / FURTHER).write_text('{"fleets": []}')
    return folder
