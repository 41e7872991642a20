"""Add features to an artifact, and those of ordinary requests: python -m training.ordinary DATA ARTIFACT

For an artifact that `pointsman export` of a release before wrote; the logits stay what they were.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import msgspec

from pointsman.classify import artifact, ordinary
from pointsman.classify.category_head import MAX_TEXT_TOKENS
from pointsman.classify.manifest import FORMAT_VERSION, MODEL, ORDINARY
from pointsman_export.common.answers import hashes
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.export.encoder_features import add_features

SEED = 5
EVERYDAY, EXAMS = "clinc", "mmlu"
"""The beginnings of the names of sources."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the training data")
    parser.add_argument("artifact", type=Path)
    options = parser.parse_args()
    folder: Path = options.artifact
    manifest = artifact.read_manifest(folder)
    described = manifest.features or add_features(folder / MODEL, manifest.output)
    changed = msgspec.structs.replace(manifest, format_version=FORMAT_VERSION, features=described)
    reader = EncoderReader(artifact.Artifact(folder, changed))
    rows = reader.read(requests(options.data), max_tokens=MAX_TEXT_TOKENS)
    (folder / ORDINARY).write_bytes(ordinary.encode(rows.features))
    files = {name: digest for name, digest in hashes(folder).items() if name in {*manifest.files, ORDINARY}}
    changed = msgspec.structs.replace(changed, files=files)
    (folder / artifact.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(changed), indent=2))


def requests(data: Path) -> list[str]:
    """Return the texts of ordinary requests, none of which judges anything."""
    draw = random.Random(SEED)  # noqa: S311
    written, unlabelled, train = (
        [json.loads(line) for line in (data / f"{name}.jsonl").open()]
        for name in ("written_prompts", "unlabelled", "train")
    )
    everyday = [row for row in train if row["source"].startswith(EVERYDAY)]
    questions = [row for row in train if not row["source"].startswith((EVERYDAY, EXAMS))]
    parts = (written, 300), (unlabelled, 300), (everyday, 150), (questions, 150)
    return [row["text"] for rows, count in parts for row in draw.sample(rows, count)]


if __name__ == "__main__":
    main()
