"""Keeps the noise of torch, transformers and optimum off the terminal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISY = ("torch", "transformers", "optimum", "onnx", "huggingface_hub")


@contextmanager
def quiet() -> Iterator[None]:
    """Drops the warnings that these libraries raise about themselves (deprecations, tracing); ours still show."""
    with warnings.catch_warnings():
        for name in _NOISY:
            warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
        yield
