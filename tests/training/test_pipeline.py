"""A whole training, with a BERT of two layers and few rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from pointsman_export.export.labelled import read_labelled
from pointsman_export.export.mean_bert import MeanBertForSequenceClassification
from support.config_files import REPOSITORY
from support.process import PATIENCE_SECONDS
from training import corpus, held_out
from training.corpus import DEV_SETS, READ
from training.data import LABELS, CannotTrain
from training.pipeline import train
from training.sections import TEXTS
from training.trainer import Settings
from training.weights import restore

SETTINGS = Settings(epochs=1, learning_rate=1e-3, seed=3, fleets=1)


@pytest.fixture
def data_dir(no_more_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(corpus, "user_prompts", lambda: [("can my landlord sue", "law", "pointsman")])
    monkeypatch.setattr(held_out, "SOURCES", (("b",), ("a",)))
    folder = no_more_data
    rows = [
        {"text": f"why{i} {source}", "label": "law", "source": source} for source in ("mmlu", "a") for i in range(24)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in DEV_SETS:
        (folder / f"{name}.jsonl").write_text('{"text": "itch", "label": "health", "source": "b"}\n')
    return folder


def trained(data_dir: Path, encoder: Path, group: int = 0) -> tuple[Path, dict[str, Any]]:
    output = data_dir.parent / "checkpoint"
    train(data_dir, output, encoder, replace(SETTINGS, group=group))
    return output, json.loads((output / "training.json").read_text())


def test_a_checkpoint_names_all_that_it_was_made_of(data_dir: Path, encoder: Path) -> None:
    output, report = trained(data_dir, encoder)
    hashes = report["sha256"]

    assert MeanBertForSequenceClassification.from_pretrained(output).config.num_labels == 14
    assert report["settings"] == {"epochs": 1, "learning_rate": 1e-3, "seed": 3, "fleets": 1, "share": 1.0, "group": 0}
    assert hashes["train.jsonl"] == hashlib.sha256((data_dir / "train.jsonl").read_bytes()).hexdigest()
    assert hashes["encoder"] == hashlib.sha256((encoder / "model.safetensors").read_bytes()).hexdigest()
    apart = {f"{name}.jsonl" for name in DEV_SETS}
    apart |= {f"tests/data/{name}" for name in ("prompts.jsonl", "guide-paraphrases.jsonl", "newcomer.json")}
    for folder in ("ask", "fit", "judges", "language"):
        judges = (REPOSITORY / "benchmarks" / folder).rglob("*")
        apart |= {
            str(path.relative_to(REPOSITORY)) for path in judges if path.suffix in {".json", ".jsonl", ".txt", ".yaml"}
        }
    texts = {f"texts/{path.relative_to(TEXTS)}" for path in TEXTS.rglob("*.txt")}
    rows = {f"{name}.jsonl" for name in ("train", *READ)} | {"fleets_train.json"}
    rows |= {f"fleets/{path.name}" for path in (TEXTS.parent / "fleets").iterdir()}
    assert hashes.keys() == {"encoder"} | rows | apart | texts
    assert report["weights"] == hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest()
    assert {"torch", "transformers"} <= report["versions"].keys()
    assert len(report["commit"].removesuffix("-dirty")) in {0, 40}
    assert report["run"].keys() == {"seconds", "cpu", "threads"}
    assert 0 <= report["run"]["seconds"] < PATIENCE_SECONDS
    assert report["run"]["threads"] == torch.get_num_threads()


def test_a_checkpoint_can_be_made_again_from_what_was_trained(data_dir: Path, encoder: Path) -> None:
    output, report = trained(data_dir, encoder)
    again = output.with_name("again")

    restore(output.with_name("checkpoint.work") / "trained.safetensors", encoder, again, report["weights"])

    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in output.iterdir() if path.name != "training.json"
    }


def test_a_checkpoint_of_another_encoder_is_not_taken_for_the_same(
    data_dir: Path, encoder: Path, tmp_path: Path
) -> None:
    output, report = trained(data_dir, encoder)
    BertModel(BertConfig.from_pretrained(encoder)).save_pretrained(encoder)

    with pytest.raises(CannotTrain, match="use the encoder and the versions"):
        restore(output.with_name("checkpoint.work") / "trained.safetensors", encoder, tmp_path / "x", report["weights"])


def test_the_dev_sets_are_reported_and_users_rows_written_for_the_calibration(data_dir: Path, encoder: Path) -> None:
    output, report = trained(data_dir, encoder)
    users = output.with_name("checkpoint.work") / "users.jsonl"

    assert report["dev"].keys() >= set(DEV_SETS)
    assert [json.loads(line)["source"] for line in users.read_text().splitlines()] == ["a"] * 3


def test_with_a_source_held_out_no_dev_set_is_looked_at(data_dir: Path, encoder: Path) -> None:
    _, report = trained(data_dir, encoder, group=2)

    assert "dev" not in report
    assert report["validation"]["a"]["rows"] == 24
    assert report["held_out"] == ["a"]


def test_what_a_model_says_of_a_source_that_it_never_saw_can_be_calibrated_on(data_dir: Path, encoder: Path) -> None:
    output, _ = trained(data_dir, encoder, group=2)
    rows = output.with_name("checkpoint.work") / "held-out.jsonl"
    rows.write_text(rows.read_text() * 5)  # a hundred at least

    found = read_labelled(rows, list(LABELS))

    assert len(found.texts) == 24 * 5
    assert found.logits is not None
    assert found.logits.shape == (24 * 5, len(LABELS))
