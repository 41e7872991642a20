"""A ModernBERT for many languages, as mmBERT is: 256,000 pieces, and a tokenizer that is not byte-level."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from pointsman.classify import artifact
from pointsman.classify.encoder import Encoder
from pointsman.classify.engine import Engine
from pointsman.classify.tokenizer import TextWindow
from pointsman.classify.tokenizer import Tokenizer as Served
from pointsman.config.model import ClassifierOptions
from pointsman_export.export.texts import BUILT_IN
from support.checkpoint import make_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from support.export import Export

VOCABULARY = 256_000
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
    "global_rope_theta": 160_000.0,
    "local_rope_theta": 160_000.0,
    "classifier_pooling": "mean",
    "reference_compile": False,
}
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
CHARACTERS = [
    "▁",
    *(chr(code) for code in (*range(33, 127), *range(0x3B1, 0x3CA), *range(0x430, 0x450), *range(0x4E00, 0x4F60))),
]
PAIRS = list(islice(product(CHARACTERS, repeat=2), VOCABULARY - 1000))
TEXTS = ["Why is the sky blue?", "почему небо голубое", "今人上下中", "γιατι ο ουρανος"]


def bpe() -> Tokenizer:
    """Gemma's form: pairs of characters are merged, and what is unknown becomes bytes."""
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *CHARACTERS, *map("".join, PAIRS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(vocabulary, PAIRS, unk_token="<unk>", byte_fallback=True, fuse_unk=True))  # noqa: S106
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    return tokenizer


def unigram() -> Tokenizer:
    """SentencePiece's form: the likeliest pieces of a text."""
    pieces = dict.fromkeys([*CHARACTERS, *map("".join, PAIRS)])
    scored = [*((token, 0.0) for token in SPECIAL), *((piece, -5.0 * len(piece)) for piece in pieces)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


@pytest.mark.long
@pytest.mark.parametrize("make", [bpe, unigram])
def test_it_is_exported_and_served(tmp_path: Path, export: Export, make: Callable[[], Tokenizer]) -> None:
    """The whole proof passes, the embeddings are int8, and the daemon tokenizes and classifies other scripts."""
    tokenizer = make()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    source = tmp_path / "multilingual"
    make_checkpoint(source, BUILT_IN[:40], SHAPE)
    tokenizer.save(str(source / "tokenizer.json"))

    outcome = export(source, "--gate", "0.9", "--max-error", "0.05", "--max-tokens", "128")

    loaded = artifact.load(outcome.folder)
    assert (outcome.code, outcome.message) == (0, "")
    assert VOCABULARY * 64 < (loaded.model_path).stat().st_size < VOCABULARY * 64 * 1.2
    Encoder(loaded, ClassifierOptions(threads=1)).close()
    encoded = Served(loaded.tokenizer_path).encode(TEXTS, TextWindow.even(128))
    prompts = [item.ids for item in encoded]
    assert all(ids[0] == 2 and ids[-1] == 1 and 3 not in ids for ids in prompts)
    assert max(int(ids.max()) for ids in prompts) > 100_000
    engine = Engine(loaded, ["cpu"])
    np.testing.assert_allclose(engine.run(prompts), np.concatenate([engine.run([ids]) for ids in prompts]), atol=1e-5)
