"""A head made of rows serves the labels as before, and the described categories by what they were taught."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify import artifact, head_rows, ordinary
from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import make_head
from pointsman.classify.engine import Engine
from pointsman.classify.manifest import MODEL, TAUGHT
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.cli.main import main as pointsman
from pointsman.config.model import Config
from pointsman.errors import ArtifactError
from pointsman.improve.taught_file import TaughtRow
from pointsman_export.common.errors import FitDataError
from pointsman_export.fit.progress import Progress
from pointsman_export.teach.head import TeachingRequest, make
from pointsman_export.teach.rows import read_rows
from support import toy_artifact
from support.config_files import LABELS
from support.toy_config import category, config

ROWS = [
    *(TaughtRow(f"python code, number {i}", "snippets", "base") for i in range(10)),
    *(TaughtRow(f"can my landlord sue me {i} times", "rent", "base") for i in range(10)),
    *(TaughtRow(f"a rash for {i} days", None, "base") for i in range(10)),
]


CONFIG = """\
vllm_endpoints: [{name: a, address: 127.0.0.1, port: 8000}]
model_config: {base: {loras: [{name: one}, {name: two}]}}
default_model: base
categories:
- {name: snippets, description: Reviews python., model_scores: [{model: base, lora_name: one}]}
- {name: rent, description: Knows what a landlord may do., model_scores: [{model: base, lora_name: two}]}
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(50, len(LABELS))).astype("f")
    contents = {MODEL: toy_artifact.with_features(toy_artifact.model()), "ordinary.bin": ordinary.encode(rows)}
    return toy_artifact.build(tmp_path / "toy", contents, format_version=4, features=toy_artifact.FEATURES)


def described(code: str = "Reviews python.", rent: str = "Knows what a landlord may do.") -> Config:
    return config(category("snippets", description=code), category("rent", description=rent))


def taught(base: Path, out: Path, rows: list[TaughtRow] = ROWS, options: Config | None = None) -> Artifact:
    request = TeachingRequest(config=options or described(), base=base, output=out, keeps_rows=True, force=False)
    make(request, rows, Progress(io.StringIO()))
    return artifact.load(out)


class Reads:
    """The features of texts by an artifact, and how many were read."""

    def __init__(self, found: Artifact) -> None:
        self.count = 0
        self._tokenizer = Tokenizer(found.tokenizer_path)
        self._engine = Engine(found, default_providers(found.manifest.target, use_cpu=True))

    def __call__(self, texts, max_tokens):  # type: ignore[no-untyped-def]
        self.count += len(texts)
        return self._engine.read(
            [one.ids for one in self._tokenizer.encode(list(texts), TextWindow.even(max_tokens))]
        ).features


def chosen(found: Artifact, options: Config, *texts: str, warn=lambda _: None) -> list[str]:  # type: ignore[no-untyped-def]
    reads = Reads(found)
    head = make_head(options, found, reads, None, warn)
    assert head is not None
    best = head.probabilities(reads(texts, 128)).argmax(axis=1)
    return [[*head.categories, "nobody"][at] for at in best]


def test_the_described_categories_have_learned_the_rows(base: Path, tmp_path: Path) -> None:
    found = taught(base, tmp_path / "out")

    assert chosen(found, described(), "my landlord again", "python", "this rash") == ["rent", "snippets", "nobody"]


def test_what_the_rows_made_serves_without_reading_a_text(base: Path, tmp_path: Path) -> None:
    found = taught(base, tmp_path / "out")
    reads = Reads(found)

    assert make_head(described(), found, reads) is not None
    assert reads.count == 0


def test_the_labels_answer_as_before(base: Path, tmp_path: Path) -> None:
    before, after = artifact.load(base), taught(base, tmp_path / "out")

    assert after.manifest.labels == before.manifest.labels
    for text in ("my landlord", "python"):
        rows = [
            Engine(one, default_providers("cpu", use_cpu=True)).run(
                [Tokenizer(one.tokenizer_path).encode([text], TextWindow.even(64))[0].ids]
            )
            for one in (before, after)
        ]
        np.testing.assert_array_equal(rows[0], rows[1])


def test_a_changed_description_is_told_and_the_config_describes_that_category(base: Path, tmp_path: Path) -> None:
    found = taught(base, tmp_path / "out")
    said: list[str] = []

    chosen(found, described(rent="Answers landlords."), "python", warn=said.append)

    assert len(said) == 1
    assert "taught before rent had this description" in said[0]


def test_a_new_category_is_told_and_the_others_stay_taught(base: Path, tmp_path: Path) -> None:
    found = taught(base, tmp_path / "out")
    said: list[str] = []
    options = config(*described().categories, category("tea", description="Knows tea."))

    assert chosen(found, options, "my landlord again", "python", warn=said.append) == ["rent", "snippets"]
    assert "taught before tea had" in said[0]


def test_check_names_what_the_config_describes_since(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taught(base, tmp_path / "out")
    file = tmp_path / "config.yaml"
    for description, told in (("Knows what a landlord may do.", False), ("Knows what a tenant may do.", True)):
        text = CONFIG.replace("Knows what a landlord may do.", description)
        file.write_text(f"{text}classifier: {{category_model: {{model_id: out}}}}\n")
        assert pointsman(["check", str(file)]) == 0
        assert ("the classifier was taught before rent had this description" in capsys.readouterr().out) is told


def test_rows_are_beside_the_head_readable_by_their_owner_only(base: Path, tmp_path: Path) -> None:
    file = taught(base, tmp_path / "out").folder / head_rows.TAUGHT_ROWS

    assert read_rows(file) == ROWS
    assert file.stat().st_mode & 0o777 == 0o600
    assert TAUGHT in artifact.read_own(file.parent).files
    assert file.name not in artifact.read_own(file.parent).files


def test_a_head_that_is_taught_again_has_learned_the_new_rows_alone(base: Path, tmp_path: Path) -> None:
    first = taught(base, tmp_path / "first")
    swapped = [replace_label(row) for row in ROWS]

    assert chosen(taught(first.folder, tmp_path / "second", swapped), described(), "python") == ["rent"]


def replace_label(row: TaughtRow) -> TaughtRow:
    return TaughtRow(row.text, {"snippets": "rent", "rent": "snippets"}.get(row.label or ""), row.by)


def test_rows_of_no_described_category_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(FitDataError, match="no row is of a described category; these are described: snippets, rent"):
        taught(base, tmp_path / "out", [TaughtRow("hi there", "tea", "base")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", [b"", b"\x93", b"x" * 100])
def test_a_damaged_file_is_refused(base: Path, tmp_path: Path, damage: bytes) -> None:
    found = taught(base, tmp_path / "out")
    (found.folder / TAUGHT).write_bytes(damage)

    with pytest.raises(ArtifactError, match=r"taught\.bin"):
        artifact.load(found.folder)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"rows.jsonl:2: is no "),
        ('{"text": " ", "label": "code"}', r"rows.jsonl:2: is no "),
        ('{"text": "hi"}', r"rows.jsonl:2: is no "),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"text": "python", "label": "code"}) + f"\n{line}\n")

    with pytest.raises(FitDataError, match=said):
        read_rows(file)


def test_a_taught_head_is_made_anew_from_its_rows_on_another_base(base: Path, tmp_path: Path) -> None:
    first = taught(base, tmp_path / "first")
    (tmp_path / "config.yaml").write_text(CONFIG)
    program = "import sys; from pointsman_export.fit.main import main; sys.exit(main(sys.argv[1:]))"
    options = ["--again", first.folder, "--base", base, "--config", tmp_path / "config.yaml", "-o", tmp_path / "again"]

    run = subprocess.run([sys.executable, "-c", program, *map(str, options)], capture_output=True, check=False)

    assert run.returncode == 0, run.stderr
    again = artifact.load(tmp_path / "again")
    assert chosen(again, described(), "my landlord again", "python") == ["rent", "snippets"]
    assert read_rows(again.folder / head_rows.TAUGHT_ROWS) == ROWS
