"""A checkpoint under a hub id, in a process of its own: the hub's address is read when its library is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support import fake_hub
from support.checkpoint import edit_json, write_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN = (
    "import sys; from pointsman_export.export.checkpoint import open_checkpoint\n"
    "try: print(open_checkpoint(sys.argv[1]).labels)\n"
    "except Exception as error: sys.exit(f'{type(error).__name__}: {error}')"
)


@pytest.fixture
def hub(bert: Path) -> Iterator[fake_hub.Hub]:
    with fake_hub.serving({"someone/bert": bert}) as served:
        yield served


def opened(hub: fake_hub.Hub, tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Open the hub's checkpoint as `pointsman export` does first of all."""
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache")} | more
    command = [sys.executable, "-c", OPEN, "someone/bert"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_an_export_reads_is_fetched_and_nothing_else(bert: Path, hub: fake_hub.Hub, tmp_path: Path) -> None:
    (bert / "pytorch_model.bin").write_bytes(b"\x80")

    done = opened(hub, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "biology" in done.stdout
    assert sorted(hub.fetched) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_so_are_the_modules_of_an_encoder(bert: Path, hub: fake_hub.Hub, tmp_path: Path) -> None:
    write_modules(bert, pooling_mode="mean")
    edit_json(bert / "config.json", architectures=["BertModel"])

    done = opened(hub, tmp_path)

    assert done.returncode == 0, done.stderr
    of_modules = ["1_Pooling/config.json", "modules.json"]
    assert sorted(hub.fetched) == sorted([*of_modules, "config.json", "model.safetensors", "tokenizer.json"])


def test_pickled_weights_are_refused_with_the_reason_and_never_fetched(
    bert: Path, hub: fake_hub.Hub, tmp_path: Path
) -> None:
    """From the cache they are only missing: nobody can tell then what the hub has."""
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    (bert / "openvino").mkdir()
    (bert / "openvino" / "a_graph.bin").touch()

    done = opened(hub, tmp_path)
    offline = opened(hub, tmp_path, HF_HUB_OFFLINE="1")

    said = "CheckpointError: someone/bert: holds its weights pickled only (pytorch_model.bin), which can run code"
    assert said in done.stderr
    assert sorted(hub.fetched) == ["config.json", "tokenizer.json"]
    assert "model.safetensors: cannot be read" in offline.stderr


def test_an_adapter_is_named_as_one_whatever_its_weights_are(bert: Path, hub: fake_hub.Hub, tmp_path: Path) -> None:
    (bert / "adapter_config.json").write_text("{}")
    (bert / "model.safetensors").rename(bert / "adapter_model.bin")

    assert "the folder holds a PEFT adapter" in opened(hub, tmp_path).stderr
