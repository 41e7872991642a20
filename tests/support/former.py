"""A host on which the former release ran, and the former release itself."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

from fixtures.former import make
from support import needs, toy_artifact

FIXTURE = make.HERE
ROOT = FIXTURE.parents[2]


def lay_out(folder: Path) -> None:
    """Lay out what the former release left, as if it had ended just now, with the artifacts that it used."""
    for file in FIXTURE.rglob("*"):
        place = folder / file.relative_to(FIXTURE)
        if file.is_dir():
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(file.read_bytes().replace(b"FOLDER", str(folder).encode()))
    toy_artifact.build_measured(folder / "artifact")
    for name in ("larger", "state/improve/artifacts/fitted"):
        shutil.copytree(folder / "artifact", folder / name)
    answers, responses = folder / "state/answers.json", folder / "state/responses.json"
    kept = json.loads(answers.read_bytes())
    for _, answer in kept["answers"]:
        answer[1] = time.time()
    answers.write_text(json.dumps(kept))
    first = json.loads(responses.read_bytes())
    for response in first["responses"]:
        response[3] = time.time()
    responses.write_text(json.dumps(first) + "\n")


def request_lines() -> list[dict[str, Any]]:
    """Return the lines of requests in its log."""
    lines = [json.loads(line) for line in (FIXTURE / "log").read_text().splitlines()]
    return [line for line in lines if line["event"] == "routing_decision"]


def removed_since() -> str:
    """Return what CHANGELOG lists as removed since."""
    found = re.search(r"^### Removed\n(.*?)^##", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def code(folder: Path) -> Path:
    """Unpack the code of the former release from the history; return the folder for PYTHONPATH."""
    command = ["git", "-C", str(ROOT), "archive", make.COMMIT, "daemon", ":(exclude)daemon/pointsman/assets"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        needs.excused(f"this checkout has no commit {make.COMMIT[:7]}, so no downgrade to the former release was tried")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "daemon"
