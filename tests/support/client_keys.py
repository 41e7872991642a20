"""Files of client keys."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli import keys as command


def line(name: str, *models: str, sent: str | None = None, **fields: Any) -> bytes:
    """A key's line; its secret is `sent`, by default `<name>-secret`, and without `models` it may use all."""
    digest = hashlib.sha256((sent or f"{name}-secret").encode()).hexdigest()
    return json.dumps({"name": name, "sha256": digest, "models": models or ["*"], **fields}).encode() + b"\n"


def bearer(name: str) -> str:
    """The header field with a key's secret."""
    return f"Authorization: Bearer {name}-secret"


def overlapping(monkeypatch: pytest.MonkeyPatch, *calls: Callable[[], int]) -> list[int]:
    """The exit codes of commands of which the first is about to write when the others begin."""
    inside, go = threading.Event(), threading.Event()
    write_file = command._write

    def slowly(path: Path, content: bytes) -> None:
        inside.set()
        go.wait(10)
        write_file(path, content)

    monkeypatch.setattr(command, "_write", slowly)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda call=call: codes.append(call())) for call in calls]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(10)
    return codes
