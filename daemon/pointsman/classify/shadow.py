"""Run a classifier in shadow as a separate process, `python -m pointsman.classify.shadow`.

It reads ShadowOptions from stdin and answers with a ShadowReady, then each text with a ShadowAnswer, all as lines of
JSON. It ends at end of file, so it never outlives its parent.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import BinaryIO

import msgspec

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.engine import Engine
from pointsman.classify.loading import language_gate, warm_up
from pointsman.classify.proof import proving
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError, CannotStart

COMMAND = (sys.executable, "-P", "-m", "pointsman.classify.shadow")
"""-P: import nothing from the working directory."""
# Of the process: Python with ONNX Runtime, and the model with what loading it and reading a long text take.
MEMORY_BYTES, MEMORY_TIMES_MODEL = 1 << 30, 4
START_SECONDS = 30.0
"""Time to start Python, in addition to loading."""
LIKELIEST_VICTIM = "1000"
"""If memory runs out, the kernel must end this process, not the service or vLLM."""


class ShadowOptions(msgspec.Struct, frozen=True):
    """The order to load a classifier: the artifact's folder, the tokens of a text that are read, and the time limit."""

    folder: str
    max_tokens: int
    head_share: float
    language_gate: bool
    load_seconds: float


class ShadowReady(msgspec.Struct, frozen=True):
    """The labels of the loaded artifact, or why it was not loaded."""

    labels: tuple[str, ...] = ()
    error: str | None = None


class ShadowAnswer(msgspec.Struct, frozen=True):
    """The result as in a `Classification`, or `error`."""

    probabilities: tuple[float, ...] = ()
    language: str | None = None
    supported: bool = True
    error: str | None = None


def environment() -> Mapping[str, str]:
    """Return the environment of the process, in which libraries start no needless threads."""
    return os.environ | {"OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def proven(options: ShadowOptions) -> str | None:
    """Load the artifact in such a process, and end it; return the reason if it cannot be loaded, else None."""
    seconds = START_SECONDS + options.load_seconds
    with subprocess.Popen(COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment()) as process:  # noqa: S603
        try:
            said, _ = process.communicate(msgspec.json.encode(options) + b"\n", seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"was not loaded within {seconds:g} s"
    try:
        return msgspec.json.decode(said, type=ShadowReady).error
    except msgspec.DecodeError:
        return f"the process that loads it ended with status {process.returncode}"


class _SingleThreadClassifier:
    """A proven artifact on one thread."""

    def __init__(self, options: ShadowOptions, found: Artifact) -> None:
        """Load the artifact; raises CannotStart or ArtifactError."""
        if not found.manifest.labels:
            raise ArtifactError(f"{found.folder}: has no labels to compare; fit a head on it")
        self._tokenizer = Tokenizer(found.tokenizer_path)
        self._engine = Engine(found, default_providers(found.manifest.target, use_cpu=True))
        self._window = TextWindow(min(options.max_tokens, found.manifest.max_tokens), options.head_share)
        self._gate = language_gate(found, ClassifierOptions(language_gate=options.language_gate))
        with proving(found, self._engine, options.load_seconds):
            warm_up(found, self._tokenizer, self._engine)

    def read(self, text: str) -> ShadowAnswer:
        text = self._window.cut_text(text)
        try:
            (row,) = self._engine.run([self._tokenizer.encode([text], self._window)[0].ids]).tolist()
        except Exception as error:  # noqa: BLE001 - the next text may fare better
            return ShadowAnswer(error=f"inference failed: {error!r}")
        if math.isnan(row[0]):
            return ShadowAnswer(error="the graph returned NaN or infinity")
        if self._gate is None:
            return ShadowAnswer(row)
        detected = self._gate.judge(text)
        return ShadowAnswer(row, detected.language, detected.supported)


def main() -> int:
    """Load the artifact ordered on stdin, and read texts until stdin ends."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(LIKELIEST_VICTIM, "ascii")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of a library is not an answer
    try:
        options = msgspec.json.decode(sys.stdin.buffer.readline(), type=ShadowOptions)
        found = artifact.load(Path(options.folder))
        _bound_memory(found)
        reader = _SingleThreadClassifier(options, found)
    except CannotStart as error:
        _send(answers, ShadowReady(error=str(error)))
        return 1
    except Exception as error:  # noqa: BLE001 - the parent must know
        _send(answers, ShadowReady(error=repr(error)))
        return 1
    _send(answers, ShadowReady(tuple(found.manifest.labels)))
    for line in sys.stdin.buffer:
        _send(answers, reader.read(msgspec.json.decode(line, type=str)))
    return 0


def _bound_memory(found: Artifact) -> None:
    limit = MEMORY_BYTES + MEMORY_TIMES_MODEL * found.model_path.stat().st_size
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard_limit < 0 else min(limit, hard_limit), hard_limit))


def _send(answers: BinaryIO, answer: ShadowReady | ShadowAnswer) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
