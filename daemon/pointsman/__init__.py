"""Pointsman: the LoRA adapter that fits, for each OpenAI request that a vLLM host gets."""

__version__ = "0.1.0"
__all__ = ["__version__"]
