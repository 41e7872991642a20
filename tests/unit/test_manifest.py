"""What a manifest may say: anything that no classifier can have is refused, with the key and what was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pointsman.classify import artifact
from pointsman.errors import ArtifactError
from support import toy_artifact
from support.config_files import LABELS

if TYPE_CHECKING:
    from pathlib import Path

EVEN = [1 / 14] * 14
DIGEST = "0f" * 32
TRAINING: dict[str, Any] = {
    "record": DIGEST,
    "seed": 0,
    "commit": "c0ffee",
    "python": "3.11.7",
    "versions": {"torch": "2.0"},
    "sha256": {"train.jsonl": DIGEST},
    "held_out": {"a source": DIGEST},
}

HEAD = {"artifact": "builtin", "encoder": DIGEST, "added": True}
FEATURES = {"output": "features", "width": 8, "recipe": "a mean"}
ENCODER = {"labels": [], "output": "", "features": FEATURES}


def answer(*probabilities: float, text: str = "hello") -> list[dict[str, Any]]:
    return [{"text": text, "probabilities": list(probabilities)}]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": []}, "labels is empty"),
        ({"labels": ["", *LABELS[1:]]}, "has an empty label"),
        ({"labels": [], "features": FEATURES, "head": HEAD}, "labels is empty"),
        (
            ENCODER | {"files": {"model.onnx": "", "tokenizer.json": "", "calibration.bin": ""}},
            "files has calibration.bin, but there are no labels",
        ),
        (
            ENCODER | {"known_answers": [{"text": "hello", "features": "AAAA"}]},
            r"known_answers\[0\] has 3 bytes for 8 features",
        ),
        (ENCODER | {"known_answers": answer(*EVEN)}, r"known_answers\[0\] has 0 bytes for 8 features"),
        ({"labels": [*LABELS[1:], LABELS[1]]}, "has a label twice: business"),
        ({"languages": ["en", "xx"]}, "languages has 'xx', it must have codes of af, ar, "),
        ({"languages": ["EN"]}, "languages has 'EN'"),
        ({"max_tokens": 0}, "max_tokens is 0, it must be 8 to 1,048,576"),
        ({"max_tokens": -5}, "max_tokens is -5"),
        ({"max_tokens": 7}, "max_tokens is 7"),
        ({"max_tokens": 2**20 + 1}, "max_tokens is 1048577"),
        ({"temperature": 0}, "temperature is 0, it must be 0.01 to 100"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": 1e-300}, "temperature is 1e-300"),
        ({"temperature": 1e300}, r"temperature is 1e\+300"),
        ({"suggested_threshold": 1.01}, "suggested_threshold is 1.01, it must be 0 to 1"),
        ({"suggested_threshold": -0.01}, "suggested_threshold is -0.01"),
        ({"inputs": []}, "inputs or output is empty"),
        ({"output": ""}, "inputs or output is empty"),
        ({"files": {"model.onnx": ""}}, "files lacks tokenizer.json"),
        ({"files": {"tokenizer.json": ""}}, "files lacks model.onnx"),
        ({"head": HEAD, "features": FEATURES}, "files lacks head.bin"),
        ({"head": HEAD, "files": {"head.bin": ""}}, "features is missing"),
        ({"head": HEAD | {"encoder": "0f"}}, r"at `\$\.head\.encoder`"),
        ({"files": {"model.onnx": "", "tokenizer.json": "", "../secret": ""}}, "'../secret', which is not a file of"),
        ({"files": {"model.onnx": "", "tokenizer.json": "", "/etc/passwd": ""}}, "'/etc/passwd'"),
        ({"files": {"model.onnx": "", "tokenizer.json": "", "..": ""}}, "which is not a file of"),
        ({"files": {"model.onnx": "", "tokenizer.json": "", "a\0b": ""}}, "which is not a file of"),
        ({"training": TRAINING | {"record": "0f"}}, r"matching regex .* at `\$\.training\.record`"),
        ({"training": TRAINING | {"sha256": {"train.jsonl": DIGEST.upper()}}}, r"at `\$\.training\.sha256"),
        ({"training": TRAINING | {"held_out": {"a source": ""}}}, r"at `\$\.training\.held_out"),
        ({"training": {"record": DIGEST}}, r"missing required field `seed` - at `\$\.training`"),
        ({"known_answers": []}, "known_answers has 0 texts, it must have 1 to 32"),
        ({"known_answers": answer(*EVEN) * 33}, "known_answers has 33 texts"),
        ({"known_answers": answer(*EVEN[1:])}, r"known_answers\[0\] has 13 probabilities for 14 labels"),
        ({"known_answers": answer(1.5, -0.5, *[0.0] * 12)}, r"known_answers\[0\] has a probability outside 0 to 1"),
        ({"known_answers": answer(*EVEN) + answer(*[0.5] * 14)}, r"known_answers\[1\] has .* that do not sum to 1"),
    ],
)
def test_what_no_classifier_can_have_is_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    toy_artifact.build(tmp_path, **wrong)
    for read in (artifact.read_manifest, artifact.load):  # `check` reads the manifest alone
        with pytest.raises(ArtifactError, match=rf"pointsman\.json: .*{message}.*; export the classifier again"):
            read(tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("key", ["temperature", "suggested_threshold"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, key: str, number: str) -> None:
    wrong: dict[str, Any] = {key: 0.123}
    path = toy_artifact.build(tmp_path, **wrong) / "pointsman.json"
    path.write_text(path.read_text().replace("0.123", number))
    with pytest.raises(ArtifactError, match=r"pointsman\.json"):
        artifact.load(tmp_path)


@pytest.mark.parametrize(
    "fine",
    [
        {"languages": ["en", "de", "nb"]},
        {"max_tokens": 8},
        {"max_tokens": 2**20},
        {"temperature": 0.01},
        {"temperature": 100},
        {"suggested_threshold": 0},
        {"suggested_threshold": 1},
        {"known_answers": answer(*EVEN) * 32},
    ],
)
def test_what_is_at_a_bound_is_within_it(tmp_path: Path, fine: dict[str, Any]) -> None:
    artifact.load(toy_artifact.build(tmp_path, **fine))


def test_a_record_of_the_training_may_be_missing_and_may_tell_more(tmp_path: Path) -> None:
    assert artifact.load(toy_artifact.build(tmp_path)).manifest.training is None
    training = artifact.load(toy_artifact.build(tmp_path, training=TRAINING | {"a later field": 1})).manifest.training
    assert training is not None
    assert (training.seed, training.sha256, training.held_out) == (0, {"train.jsonl": DIGEST}, {"a source": DIGEST})


def test_format_1_knows_no_answers_and_is_read(tmp_path: Path) -> None:
    path = toy_artifact.build(tmp_path) / "pointsman.json"
    fields = json.loads(path.read_text())
    del fields["known_answers"]
    path.write_text(json.dumps(fields | {"format_version": 1}))
    assert artifact.load(tmp_path).manifest.known_answers == []


def test_format_2_declares_no_language(tmp_path: Path) -> None:
    path = toy_artifact.build(tmp_path, format_version=2) / "pointsman.json"
    assert "languages" not in json.loads(path.read_text())
    assert artifact.load(tmp_path).manifest.languages == []
