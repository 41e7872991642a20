"""Files of client keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def line(name: str, *models: str, sent: str | None = None, **fields: Any) -> bytes:
    """A key's line; its secret is `sent`, by default `<name>-secret`, and without `models` it may use all."""
    digest = hashlib.sha256((sent or f"{name}-secret").encode()).hexdigest()
    return json.dumps({"name": name, "sha256": digest, "models": models or ["*"], **fields}).encode() + b"\n"


def bearer(name: str) -> str:
    """The header field with a key's secret."""
    return f"Authorization: Bearer {name}-secret"
