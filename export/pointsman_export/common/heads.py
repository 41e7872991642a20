"""Write a head as an artifact, and prove that the service gives its scores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from pointsman.classify import artifact, linear_head
from pointsman.classify.artifact import BUILTIN, Artifact
from pointsman.classify.engine import Engine
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.manifest import FORMAT_VERSION, HEAD, HeadBase, Manifest, WeightsSource
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import Ids
from pointsman.evaluation.metrics import Floats
from pointsman_export.common.answers import hashes, known_answers, write
from pointsman_export.common.errors import ValuesError

TOLERANCE = 1e-3
"""Of a probability. The encoder rounds differently in runs of other texts."""
_PROVEN = 32
"""Number of prompts."""


def write_head(built: Path, base: Artifact, head: LinearHead, manifest: Manifest, kind: str) -> Artifact:
    """Write a head on the encoder of `base` into `built`, next to its other files; return it as the service loads it.

    `manifest` has its labels, calibration and figures. Raises ArtifactError.
    """
    (built / HEAD).write_bytes(linear_head.encode(head))
    folder = base.graph_folder.resolve()
    own = msgspec.structs.replace(
        manifest,
        format_version=FORMAT_VERSION,
        head=HeadBase(
            artifact="builtin" if folder == BUILTIN.resolve() else str(folder),
            encoder=base.manifest.encoder or "",
            added=head.added,
        ),
        source=WeightsSource(name=f"{kind} of {base.manifest.source.name}", sha256=base.manifest.scores_sha256),
        training=None,
        files=hashes(built),
        versions={"numpy": np.__version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    answers = known_answers(artifact.on_encoder(built, own, base, head))
    write(built, msgspec.structs.replace(own, known_answers=answers))
    return artifact.load(built)


def prove(found: Artifact, prompts: Sequence[Ids], expected: Floats) -> None:
    """Compare the service's probabilities with the expected ones [prompts, labels]; raises ValuesError."""
    engine = Engine(found, default_providers(found.manifest.target, use_cpu=True))
    for ids, wanted in list(zip(prompts, expected, strict=True))[:_PROVEN]:
        difference = float(np.abs(engine.run([ids])[0] - wanted).max())
        if not difference <= TOLERANCE:  # a NaN fails, too
            raise ValuesError(
                f"the service's scores differ by {difference:.1e} from the head's, allowed is {TOLERANCE:.0e}; fit on "
                "another base"
            )
