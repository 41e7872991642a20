"""What is refused: exit code 1, a message that says what, where and how to fix it, and nothing left behind."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointsman_export.export import torch_model
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.main import main
from pointsman_export.export.texts import BUILT_IN
from support.checkpoint import LABELS, edit_json, save_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from support.export import Export, Outcome


def refused(outcome: Outcome, *parts: str) -> None:
    """The outcome is a failure that says all of `parts` and left neither the folder nor a temporary one."""
    assert (outcome.code, outcome.out, outcome.left) == (1, "", [])
    assert outcome.message.startswith("pointsman export: ")
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in outcome.message


def rewrite(path: Path, change: Any) -> None:
    """Save the tensors of a safetensors file as `change` leaves them."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def add_outliers(tensors: dict[str, torch.Tensor]) -> None:
    """An input so large that int8 keeps nothing of the others; the weights behind it undo it for floats."""
    for layer in range(4):
        inner = tensors[f"model.layers.{layer}.mlp.Wo.weight"]
        tensors[f"model.layers.{layer}.mlp.Wi.weight"][inner.shape[1]] *= 2000
        inner[:, 0] /= 2000


@pytest.mark.parametrize(
    ("kind", "edits", "words"),
    [
        pytest.param(
            "copy",
            {"model_type": "deberta-v2", "architectures": ["DebertaV2ForSequenceClassification"]},
            (
                "config.json",
                "['DebertaV2ForSequenceClassification'] (model_type 'deberta-v2')",
                "export takes BertForSequenceClassification, ",
                "take one of these models",
            ),
            id="another architecture, beside those that are known",
        ),
        pytest.param(
            "copy",
            {"architectures": ["ModernBertForTokenClassification"]},
            ("['ModernBertForTokenClassification']", "ModernBertForSequenceClassification", "ModernBertModel"),
            id="another task",
        ),
        *(
            pytest.param(
                "bert",
                {"problem_type": problem},
                ("config.json", f"'{problem}'", "softmax", "one label for each text"),
                id=f"{problem}, whose scores are no probabilities of one label among all",
            )
            for problem in ("multi_label_classification", "regression")
        ),
        pytest.param(
            "bert",
            {"intermediate_size": 999},
            ("transformers cannot load it", "size mismatch", "save it again"),
            id="weights of another size, in the words of transformers",
        ),
        pytest.param("bert", {"hidden_size": None}, ("config.json", "hidden_size missing", "save it again"), id="none"),
        pytest.param("bert", {"vocab_size": [3]}, ("config.json", "no number", "save it again"), id="a list as a size"),
        pytest.param("bert", {"vocab_size": "many"}, ("config.json", "no number", "save it again"), id="a word as one"),
        pytest.param(
            "copy",
            {"id2label": {"0": "yes", "1": "no"}},
            ("14 outputs", "2 labels (yes, no)", "fix id2label"),
            id="fewer labels than outputs",
        ),
        pytest.param("copy", {"id2label": {"0": "a", "2": "b"}}, ("config.json", "fix "), id="labels with a gap"),
        pytest.param("copy", {"id2label": {"0": "a", "1": "a"}}, ("config.json", "fix "), id="a label twice"),
        pytest.param("copy", {"id2label": {}}, ("config.json", "fix "), id="no label"),
    ],
)
def test_a_config(
    request: pytest.FixtureRequest, export: Export, kind: str, edits: dict[str, Any], words: tuple[str, ...]
) -> None:
    source = request.getfixturevalue(kind)
    edit_json(source / "config.json", **edits)

    refused(export(source), str(source), *words)


def test_the_only_problem_that_is_known(bert: Path) -> None:
    edit_json(bert / "config.json", problem_type="single_label_classification")

    assert open_checkpoint(str(bert)).labels == LABELS


def test_one_output(bert: Path, export: Export) -> None:
    """transformers trains it as a regression without saying so in the config."""

    def cut(tensors: dict[str, torch.Tensor]) -> None:
        tensors["classifier.weight"] = tensors["classifier.weight"][:1].clone()

    rewrite(bert / "model.safetensors", cut)

    refused(export(bert), str(bert / "model.safetensors"), "one output", "regression", "two labels or more")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("classifier.weight", ("no classifier.weight", "fine-tune it"), id="a base model"),
        pytest.param(
            "model.layers.2.attn.Wo.weight",
            ("holds no model.layers.2.attn.Wo.weight", "saved whole"),
            id="a missing layer",
        ),
    ],
)
def test_weights_that_are_missing_are_not_filled_up_at_random(
    copy: Path, export: Export, name: str, words: tuple[str, ...]
) -> None:
    rewrite(copy / "model.safetensors", lambda tensors: tensors.pop(name))

    refused(export(copy), str(copy / "model.safetensors"), *words)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file(copy: Path, export: Export, name: str) -> None:
    """Each file that is read is named when it is not there."""
    (copy / name).unlink()

    refused(export(copy), str(copy / name), "save" if name != "config.json" else "name a folder")


@pytest.mark.parametrize("size", [1_000_000, 500, 3])
def test_truncated_weights(copy: Path, export: Export, size: int) -> None:
    """A download that broke off is told by its length: in the data, in the header, before it."""
    path = copy / "model.safetensors"
    whole = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(size)

    expected = [f"{size:,} bytes", f"{whole:,}"] if size == 1_000_000 else []
    refused(export(copy), str(path), "fetch or", *expected)


def test_weights_of_another_kind(copy: Path, export: Export) -> None:
    """A file that only has the name of a safetensors file is not read into memory."""
    (copy / "model.safetensors").write_bytes(b"PK\x03\x04 a zip file")

    refused(export(copy), "not a safetensors file")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs(copy: Path, export: Export, name: str) -> None:
    """A clone without Git LFS has a small text in place of each large file."""
    (copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 600000000\n")

    refused(export(copy), str(copy / name), "Git LFS pointer", "git lfs pull")


def test_a_peft_adapter(copy: Path, export: Export) -> None:
    """An adapter is no model, whatever else is in its folder."""
    (copy / "adapter_config.json").write_text("{}")

    refused(export(copy), str(copy / "adapter_config.json"), "PEFT adapter", "merge_and_unload()")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt"])
def test_pickled_weights(bert: Path, export: Export, name: str) -> None:
    """They are not opened, since a pickle can run code."""
    (bert / "model.safetensors").rename(bert / name)

    refused(export(bert), str(bert), name, "can run code", "save_pretrained()")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(bert: Path, export: Export, value: float) -> None:
    """The tensor is named."""
    name = "bert.encoder.layer.1.output.dense.weight"
    rewrite(bert / "model.safetensors", lambda tensors: tensors[name][3].fill_(value))

    refused(export(bert), str(bert / "model.safetensors"), f"{name} holds NaN or infinity", "earlier checkpoint")


def test_more_weights_than_a_graph_can_hold(bert: Path, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GiB of protobuf, which the float graph of a large model exceeds."""
    monkeypatch.setattr(torch_model, "MAX_PARAMETERS", 100_000)

    refused(export(bert), str(bert), "parameters", "ONNX can store 100,000", "smaller model")


def test_labels_that_disagree(copy: Path, export: Export) -> None:
    """Two files that name labels in another order are both shown: only the operator knows which is right."""
    names = ["business", "biology", *LABELS[2:]]
    pairs = {"category_to_idx": {name: i for i, name in enumerate(names)}, "idx_to_category": dict(enumerate(names))}
    (copy / "category_mapping.json").write_text(json.dumps(pairs))

    refused(
        export(copy),
        "config.json: biology, business, chemistry",
        "category_mapping.json: business, biology, chemistry",
        "fix the file that",
    )


def test_a_file_of_labels_that_is_not_there(copy: Path, tmp_path: Path, export: Export) -> None:
    """The file of --labels is read before the minutes of work."""
    outcome = export(copy, "--labels", str(tmp_path / "none.txt"))

    refused(outcome, str(tmp_path / "none.txt"), "one label on a line")
    assert len(outcome.steps) == 1


def test_another_models_tokenizer(copy: Path, export: Export) -> None:
    """Token ids beyond the embedding table would fail in service, at the first prompt that has one."""
    rewrite(
        copy / "model.safetensors",
        lambda tensors: tensors.update(
            {"model.embeddings.tok_embeddings.weight": tensors["model.embeddings.tok_embeddings.weight"][:500].clone()}
        ),
    )
    edit_json(copy / "config.json", vocab_size=500)
    save_tokenizer(copy)

    refused(export(copy), str(copy / "tokenizer.json"), "ends at 499")


def test_a_tokenizer_that_adds_nothing(copy: Path, export: Export) -> None:
    """The model reads the token that comes before a text, and would read the text's first word in its place."""
    edit_json(copy / "tokenizer.json", post_processor=None)

    refused(export(copy), str(copy / "tokenizer.json"), "[CLS] and [SEP]", "post_processor")


def test_a_damaged_tokenizer(copy: Path, export: Export) -> None:
    """A tokenizer.json that cannot be read is named."""
    (copy / "tokenizer.json").write_text("{")

    refused(export(copy), str(copy / "tokenizer.json"), "not a tokenizer")


def test_no_such_source(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is neither a folder nor to be had from the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    refused(export("nobody/nothing"), "nobody/nothing: no such folder", "hub", "check the path")


def test_more_tokens_than_the_model_has_positions(tiny: Path, export: Export) -> None:
    """--max-tokens cannot stretch a model."""
    refused(export(tiny, "--max-tokens", "2000"), "at most 1024 tokens", "asks for 2000")


def test_unusable_texts(tiny: Path, tmp_path: Path, export: Export) -> None:
    """The file of --texts is read before the minutes of work."""
    outcome = export(tiny, "--texts", str(tmp_path / "none.txt"))

    refused(outcome, "none.txt", "one text a line")
    assert outcome.steps == []


def test_the_gate(copy: Path, tmp_path: Path, export: Export) -> None:
    """An int8 graph that changes labels is refused, with the count and the three labels that suffer most."""
    rewrite(copy / "model.safetensors", add_outliers)
    texts = tmp_path / "unseen"
    texts.write_text("\n".join(text[::-1] for text in BUILT_IN if "\n" not in text))

    outcome = export(copy, "--texts", str(texts), "--max-error", "1")

    refused(outcome, "int8 chooses the float graph's label for", "the gate is 99 %", "worst: ", "--gate")
    assert outcome.message.count("became") == 3


@pytest.mark.parametrize("option", ["--calibrate", "--labelled"])
def test_unusable_rows(tiny: Path, tmp_path: Path, export: Export, option: str) -> None:
    """Labelled rows are read before the minutes of work."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "What is osmosis?", "label": "botany"}\n')

    outcome = export(tiny, option, str(path))

    refused(outcome, f'{path}:1: the model has no label "botany"')
    assert len(outcome.steps) == 1


def test_an_output_that_exists(tiny: Path, export: Export) -> None:
    """Nothing is overwritten unasked, and --force replaces nothing but an artifact."""
    folder = export("nobody").folder
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")

    plain, forced = export(tiny), export(tiny, "--force")

    assert (plain.code, forced.code) == (1, 1)
    assert f"{folder}: exists already" in plain.message
    assert "holds no pointsman.json" in forced.message
    assert (folder / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("options", [[], ["-o", "x", "--gate", "1.5"], ["-o", "x", "--max-tokens", "none"]])
def test_wrong_usage(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that makes no sense exits with 2 and says how it goes."""
    with pytest.raises(SystemExit) as exit_:
        main(["source", *options])

    assert exit_.value.code == 2
    assert "usage: pointsman export" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "category_mapping.json"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "enormous", "empty"])
def test_a_file_that_is_none_is_named_and_not_waited_for(name: str, kind: str, copy: Path, export: Export) -> None:
    """A pipe has no writer, a device no end, and of a sparse file of 1 GiB not a byte is kept in memory."""
    file = copy / name
    file.unlink(missing_ok=True)
    match kind:
        case "a pipe":
            os.mkfifo(file)
        case "a device":
            file.symlink_to("/dev/zero")
        case _:
            file.touch()
            os.truncate(file, 2**30 if kind == "enormous" else 0)
    if name == "category_mapping.json" and kind in {"a pipe", "a device"}:
        assert open_checkpoint(str(copy)).labels  # no file, and none is needed
    else:
        refused(export(copy), str(file))


@pytest.mark.parametrize("option", ["--texts", "--labelled", "--calibrate"])
@pytest.mark.parametrize("kind", ["a pipe", "enormous"])
def test_rows_that_are_no_file_are_named_and_not_waited_for(
    option: str, kind: str, tiny: Path, tmp_path: Path, export: Export
) -> None:
    file = tmp_path / "rows"
    if kind == "a pipe":
        os.mkfifo(file)
    else:
        file.touch()
        os.truncate(file, 2**30)

    refused(export(tiny, option, str(file)), str(file))
