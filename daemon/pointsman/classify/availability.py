"""Tell whether this host can run an artifact, as far as can be known without loading it."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.classify.manifest import Manifest
from pointsman.classify.openvino_cpu import import_openvino
from pointsman.classify.providers import CPU, OPENVINO, unsuited
from pointsman.classify.runtime import ProviderUnavailable, import_runtime, require
from pointsman.errors import CannotStart


def unavailable(manifest: Manifest, providers: Sequence[str]) -> str | None:
    """Return why no provider in `providers` can run the artifact here; None if one may.

    ONNX Runtime for the CPU is assumed to be installed, since its import takes a while.
    """
    reasons = []
    for provider in providers:
        refusal = unsuited(provider, manifest.target) or _missing(provider)
        if refusal is None:
            return None
        reasons.append(refusal)
    return "; ".join(reasons)


def _missing(provider: str) -> str | None:
    try:
        if provider == OPENVINO:
            import_openvino()
        elif provider != CPU:
            require(import_runtime(), provider)
    except (ProviderUnavailable, CannotStart) as error:
        return str(error)
    return None
