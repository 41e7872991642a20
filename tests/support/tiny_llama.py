"""Build a tiny random Llama and its three LoRA adapters: `python tests/support/tiny_llama.py OUT`.

    OUT/base                    a Llama of 2 layers with its tokenizer, as `vllm serve` takes it
    OUT/adapters/<name>         PEFT LoRA adapters: technical-lora, medical-lora, legal-lora
    OUT/faulty/<name>           bigrank-lora, of a rank of 64, and broken-lora, whose config says next to nothing

Every build gives the same bytes. The text that the models write is noise, but each of them writes its own
noise, so a test can tell from an answer which one wrote it. Needs numpy, safetensors and tokenizers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]

ADAPTERS = ("technical-lora", "medical-lora", "legal-lora")

CONTEXT = 2048
LAYERS = 2
HIDDEN = 64
HEADS = 2
HEAD_DIM = HIDDEN // HEADS
FEED_FORWARD = 128
RANK = 8

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
SPECIAL_TOKENS = (PAD, BOS, EOS, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>")
VOCABULARY = 704

WORDS = """
a after all also an and any are as ask async at await be before blood body by can case cause cell
clause clinical code contract could court data debug do doctor does dose drug each error evidence
example explain first for from function give great has have heart help high how if in index into is
it javascript judge kind know law legal liability list make many memory model more most need network
new no not of on one only or order other out patient people pressure python query question right
rule say see server should some statute steps surgery symptom system table take tell than that the
their them then there they thing this thread time to treatment two under up use was way we what when
where which who why will with word work would write you your
"""

CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- if reasoning_effort is defined %}<|system|>effort {{ reasoning_effort }}<|end|>{% endif -%}
{%- if enable_thinking is defined %}<|system|>thinking {{ enable_thinking }}<|end|>{% endif -%}
{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor -%}
{%- if add_generation_prompt %}<|assistant|>{% endif -%}
"""

# (rows, columns) of each weight that an adapter changes, by its name inside a layer.
PROJECTIONS = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN, HIDDEN),
    "self_attn.v_proj": (HIDDEN, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
    "mlp.up_proj": (FEED_FORWARD, HIDDEN),
    "mlp.down_proj": (HIDDEN, FEED_FORWARD),
}


def build(out: Path) -> None:
    """Write the base model and the adapters into `out`."""
    base = out / "base"
    base.mkdir(parents=True, exist_ok=True)
    write_tokenizer(base)
    _write_base(base)
    for seed, name in enumerate(ADAPTERS, start=1):
        _write_adapter(out / "adapters" / name, seed)
    _write_adapter(out / "faulty" / "bigrank-lora", 4, rank=64)
    broken = out / "faulty" / "broken-lora"
    _write_adapter(broken, 5)
    write_json(broken / "adapter_config.json", {"peft_type": "LORA"})


def write_tokenizer(folder: Path, special_tokens: Sequence[str] = SPECIAL_TOKENS, **more_settings: str) -> None:
    """Write a tokenizer of VOCABULARY tokens, of which the first are the special ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
        **more_settings,
    }
    write_json(folder / "tokenizer_config.json", settings)


def _sentences() -> Iterator[str]:
    """Enough text for the vocabulary to fill up: words in varied order, and made-up ones."""
    words = WORDS.split()
    chance = random.Random(20)  # noqa: S311 - the corpus has to be the same each time
    made_up = ["".join(chance.choices("abcdefghijklmnoprstuvw", k=chance.randint(3, 7))) for _ in range(200)]
    for _ in range(2000):
        yield " ".join(chance.choices(words, k=10) + chance.choices(made_up, k=2)) + chance.choice(".?!,:")


def _write_base(folder: Path) -> None:
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # places in SPECIAL_TOKENS
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float32",
        **special,
    }
    write_json(folder / "config.json", config)
    # Defaults for the fields that a request leaves out: a short answer, the same each time.
    defaults = {"max_new_tokens": 48, "do_sample": False, "temperature": 0.0}
    write_json(folder / "generation_config.json", special | defaults)

    chance = np.random.default_rng(7)
    head = _noise(chance, VOCABULARY, HIDDEN)
    # Greedy answers never end by themselves: they are as long as a test asks for.
    head[: len(SPECIAL_TOKENS)] = 0.0
    tensors: Tensors = {
        "model.embed_tokens.weight": _noise(chance, VOCABULARY, HIDDEN) * np.float32(math.sqrt(HIDDEN)),
        "model.norm.weight": np.ones(HIDDEN, np.float32),
        "lm_head.weight": head,
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{norm}.weight"] = np.ones(HIDDEN, np.float32)
        for name, shape in PROJECTIONS.items():
            tensors[f"{prefix}.{name}.weight"] = _noise(chance, *shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _write_adapter(folder: Path, seed: int, rank: int = RANK) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "base",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted(name.rpartition(".")[2] for name in PROJECTIONS),
    }
    write_json(folder / "adapter_config.json", config)
    chance = np.random.default_rng(100 + seed)
    tensors: Tensors = {}
    for layer, (name, (rows, columns)) in itertools.product(range(LAYERS), PROJECTIONS.items()):
        prefix = f"base_model.model.model.layers.{layer}.{name}"
        # Far larger than a trained adapter's: the first tokens already have to differ from the base model's.
        tensors[f"{prefix}.lora_A.weight"] = _noise(chance, rank, columns)
        tensors[f"{prefix}.lora_B.weight"] = _noise(chance, rows, rank)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _noise(chance: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """A random matrix that keeps the size of the vectors it is applied to."""
    return (chance.standard_normal((rows, columns)) / math.sqrt(columns)).astype(np.float32)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write it as a text."""
    path.write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build a tiny random Llama and three LoRA adapters.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write base/ and adapters/ into")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
