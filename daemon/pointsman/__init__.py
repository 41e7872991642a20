"""Pointsman: the LoRA adapter that fits, for each OpenAI request that a vLLM host gets."""

import importlib.util

__version__ = "0.1.0"
COMPILED = importlib.util.find_spec("pointsman.compiled__mypyc") is not None
"""Whether what every request runs through is machine code in this installation, or Python."""
__all__ = ["COMPILED", "__version__"]
