"""Build a tiny model that transcribes speech in realtime: `PYTHONPATH=tests python -m support.tiny_asr OUT`.

OUT/base is a Qwen3-ASR of one layer for the sound and one for the text, with its tokenizer, but without weights: vLLM
makes up its own with `--load-format dummy`, so what it hears is noise. Needs vLLM's Python.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from support.tiny_llama import HEAD_DIM, HEADS, HIDDEN, SPECIAL_TOKENS, VOCABULARY, write_json, write_tokenizer

BEGIN, SOUND, END = "<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"
TOKENS = (*SPECIAL_TOKENS, "<|im_start|>", "<|im_end|>", BEGIN, SOUND, END)
MEL_BINS = 128
SAMPLES_PER_SECOND = 16_000


def build(out: Path) -> None:
    """Write the model into `out`."""
    base = out / "base"
    base.mkdir(parents=True, exist_ok=True)
    write_tokenizer(base, TOKENS, audio_token=SOUND, audio_bos_token=BEGIN, audio_eos_token=END)
    audio = {
        "num_mel_bins": MEL_BINS,
        "encoder_layers": 1,
        "encoder_attention_heads": HEADS,
        "encoder_ffn_dim": HIDDEN,
        "d_model": HIDDEN,
        "output_dim": HIDDEN,
        "n_window": 50,
        "n_window_infer": 800,
        "downsample_hidden_size": 8,
    }
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": 1024,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "default", "mrope_section": [8, 4, 4]},
        "tie_word_embeddings": True,
    }
    ids = {"audio_token_id": TOKENS.index(SOUND), "audio_start_token_id": TOKENS.index(BEGIN)}
    config = {
        "architectures": ["Qwen3ASRRealtimeGeneration"],
        "model_type": "qwen3_asr",
        "torch_dtype": "float32",
        "thinker_config": {"audio_config": audio, "text_config": text, **ids},
    }
    write_json(base / "config.json", config)
    extractor = {
        "feature_extractor_type": "Qwen3ASRFeatureExtractor",
        "processor_class": "Qwen3ASRProcessor",
        "feature_size": MEL_BINS,
        "sampling_rate": SAMPLES_PER_SECOND,
    }
    write_json(base / "preprocessor_config.json", extractor)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build a tiny model that transcribes speech.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write base/ into")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
