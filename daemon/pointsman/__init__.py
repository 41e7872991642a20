"""Pointsman: the LoRA adapter that fits, for each OpenAI request that a vLLM host gets."""

import os

__version__ = "0.1.0"
__all__ = ["__version__"]

# Before NumPy is imported: more threads would take the cores of vLLM and of the event loop to wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
