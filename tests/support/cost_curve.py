"""The cost curve of a classifier that an earlier start on this host would have left, so that none measures it again.

To measure takes most of a second of CPU, and a host that is busy, as with tests, measures at every start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from pointsman.classify import artifact, curve_file
from pointsman.classify.artifact import BUILTIN, Artifact
from pointsman.classify.cores import default_threads, usable_cores
from pointsman.classify.cost_model import CostCurve


def leave(measured: Artifact, folder: Path, tokens: Sequence[int], seconds: Sequence[float]) -> None:
    """Store a curve for each number of threads that a test gives a classifier."""
    cores = usable_cores()
    for threads in {1, 2, default_threads(cores)}:
        curve = CostCurve(threads, tuple(tokens), tuple(seconds), tuple(seconds), tuple(seconds) if threads > 1 else ())
        key = curve_file.key(
            measured,
            runtime=onnxruntime.__version__,
            provider="cpu",
            cores=cores,
            threads=threads,
            max_tokens=measured.manifest.max_tokens,
        )
        assert curve_file.store([folder], key, curve) is None


def leave_builtin(folder: Path) -> None:
    """Store one for the built-in classifier, about as quick as a core of a server runs it."""
    builtin = Artifact(BUILTIN, artifact.read_manifest(BUILTIN))
    leave(builtin, folder, (16, 64, 512, 2048), (0.001, 0.002, 0.014, 0.06))
