"""Silence the warnings of torch, transformers and optimum."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISY = ("torch", "transformers", "optimum", "onnx", "huggingface_hub")


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the warnings that these libraries raise about themselves, such as deprecations; other warnings show."""
    with warnings.catch_warnings():
        for name in _NOISY:
            warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
        yield
