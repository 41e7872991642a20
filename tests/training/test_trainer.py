"""A training run, with a BERT of two layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pointsman_export.export.mean_bert import MeanBertForSequenceClassification, mean_of_tokens
from training.adapters import Fleet, InventedAdapter
from training.batches import tokenize
from training.data import LABELS, CannotTrain, TrainingText
from training.model import build_classifier, load_tokenizer, means_of_layers
from training.predict import predict
from training.trainer import Settings, Trainer
from training.wrap import pool

ROWS = [TrainingText("can my landlord sue", "law", "a"), TrainingText("why my rash itch", "health", "b")] * 150


TENANTS = InventedAdapter("can my landlord sue", ("landlord", "sue", "can sue", "landlord sue", "sue my landlord") * 2)
SKIN = InventedAdapter("why my rash itch", ("rash", "itch", "why itch", "rash itch", "itch my rash") * 2)
FLEETS = [Fleet((TENANTS, SKIN), ("can why", "why can my", "my my"))]


def trainer(encoder: Path, state: Path, epochs: int = 2, **changed: Any) -> Trainer:
    torch.manual_seed(0)
    settings = replace(Settings(epochs, 1e-2, seed=0, fleets=4), **changed)
    made_of = {"epochs": epochs}
    return Trainer(build_classifier(encoder), load_tokenizer(encoder), settings, state, made_of, save_seconds=0)


def weights(model: Any) -> Any:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_a_trained_classifier_tells_the_labels_apart(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trainer.augment", lambda row, *_: row.text)
    run = trainer(encoder, tmp_path / "state.pt", epochs=8)
    run.run(ROWS, pool(ROWS))
    probabilities = predict(run.model, load_tokenizer(encoder), ["can my landlord sue", "why my rash itch"])

    assert [LABELS[i] for i in probabilities.argmax(1)] == ["law", "health"]


def test_a_texts_features_stay_near_those_before_the_training(encoder: Path, tmp_path: Path) -> None:
    """A head of other labels is made of them."""
    texts = load_tokenizer(encoder)(["can my landlord sue", "why my rash itch"], return_tensors="pt")
    run = trainer(encoder, tmp_path / "state.pt", epochs=8)
    run.model.eval()
    before = mean_of_tokens(run.model.bert, texts["input_ids"], texts["attention_mask"])
    run.run(ROWS, pool(ROWS))
    run.model.eval()
    after = mean_of_tokens(run.model.bert, texts["input_ids"], texts["attention_mask"])

    assert torch.cosine_similarity(before, after).min() > 0.6  # 0.87, and 0.12 where nothing keeps them


def test_a_wrapped_question_comes_to_have_the_features_of_the_bare_one(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a head of other labels finds it as well."""
    around = "itch my rash " * 10
    monkeypatch.setattr("training.trainer.augment", lambda row, *_: f"{around} {row.text} {around}")
    tokenizer = load_tokenizer(encoder)
    bare, wrapped = (
        tokenizer([text], return_tensors="pt")
        for text in ("can my landlord sue", f"{around} can my landlord sue {around}")
    )
    run = trainer(encoder, tmp_path / "state.pt", epochs=8)
    run.model.eval()
    wanted = mean_of_tokens(run.model.bert, bare["input_ids"], bare["attention_mask"])
    before = mean_of_tokens(run.model.bert, wrapped["input_ids"], wrapped["attention_mask"])
    run.run(ROWS, pool(ROWS))
    run.model.eval()
    after = mean_of_tokens(run.model.bert, wrapped["input_ids"], wrapped["attention_mask"])

    apart = [1 - torch.cosine_similarity(wanted, features).item() for features in (before, after)]
    assert apart[1] < apart[0] / 2


def test_a_prompt_comes_to_be_nearer_to_its_adapters_description_than_to_anothers(
    encoder: Path, tmp_path: Path
) -> None:
    """By the features of both layers together, as described categories are compared."""
    run = trainer(encoder, tmp_path / "state.pt", fleets=200)
    texts = [one.description for one in (TENANTS, SKIN)] + ["landlord sue", "rash itch"]
    inputs = load_tokenizer(encoder)(texts, return_tensors="pt", padding=True)

    def margins() -> torch.Tensor:
        run.model.eval()
        with torch.no_grad():
            both = means_of_layers(run.model.bert, inputs["input_ids"], inputs["attention_mask"])
        units = torch.nn.functional.normalize(both, dim=-1)
        near = units[2:] @ units[:2].T
        return near.diagonal() - near.flip(1).diagonal()

    before = margins()
    run.run(ROWS[:4], pool(ROWS), FLEETS)

    assert (margins() > before.clamp(min=0) + 0.3).all(), (before, margins())


@pytest.mark.parametrize(("share", "steps"), [(1.0, 8), (0.25, 2)])
def test_a_share_of_each_epoch_can_be_read(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, steps: int
) -> None:
    """Of its rows and of its fleets."""
    monkeypatch.setattr("training.trainer.batches", lambda lengths, _: [[i] for i in range(len(lengths))])
    monkeypatch.setattr("training.trainer.sample", lambda rows, _: rows)
    run = trainer(encoder, tmp_path / "state.pt", epochs=1, share=share)
    read: list[str] = []

    def note(kind: str) -> torch.Tensor:
        read.append(kind)
        total: torch.Tensor = 0 * run.model.classifier.bias.sum()
        return total

    for kind in ("_loss_of_rows", "_loss_of_fleet"):
        monkeypatch.setattr(run, kind, lambda *_, kind=kind: note(kind))
    run.run(ROWS[:8], pool(ROWS), FLEETS)

    assert read.count("_loss_of_rows") == steps
    assert read.count("_loss_of_fleet") == steps / 2


def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(encoder: Path, tmp_path: Path) -> None:
    whole = trainer(encoder, tmp_path / "whole.pt")
    whole.run(ROWS, pool(ROWS), FLEETS)
    stopped = trainer(encoder, tmp_path / "stopped.pt")
    calls = 0

    def stop(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    stopped.model.classifier.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(ROWS, pool(ROWS), FLEETS)
    resumed = trainer(encoder, tmp_path / "stopped.pt")
    resumed.run(ROWS, pool(ROWS), FLEETS)

    assert not torch.equal(weights(resumed.model), weights(build_classifier(encoder)))
    assert torch.equal(weights(resumed.model), weights(whole.model))


def test_the_state_of_another_run_is_refused(encoder: Path, tmp_path: Path) -> None:
    trainer(encoder, tmp_path / "state.pt", epochs=1).run(ROWS[:2], pool(ROWS))

    with pytest.raises(CannotTrain, match=r"state\.pt: was written with other settings or data"):
        trainer(encoder, tmp_path / "state.pt", epochs=2)


def test_the_word_embeddings_stay_as_they_were(encoder: Path, tmp_path: Path) -> None:
    run = trainer(encoder, tmp_path / "state.pt", epochs=1)
    before = run.model.get_input_embeddings().weight.clone()
    run.run(ROWS, pool(ROWS))

    assert torch.equal(run.model.get_input_embeddings().weight, before)


def test_a_checkpoint_names_the_labels_and_its_tokenizer_cuts_nothing(encoder: Path, tmp_path: Path) -> None:
    build_classifier(encoder).save_pretrained(tmp_path / "checkpoint")
    load_tokenizer(encoder).save_pretrained(tmp_path / "checkpoint")
    saved = MeanBertForSequenceClassification.from_pretrained(tmp_path / "checkpoint")

    assert saved.config.id2label == dict(enumerate(LABELS))
    assert saved.config.problem_type == "single_label_classification"
    assert load_tokenizer(tmp_path / "checkpoint").backend_tokenizer.truncation is None


def test_of_a_long_text_head_and_tail_are_read(encoder: Path) -> None:
    ids = tokenize(load_tokenizer(encoder), ["why " * 30 + "rash " * 30], 8)

    assert ids == [[2, 11, 11, 11, 9, 9, 9, 3]]
