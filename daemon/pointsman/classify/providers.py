"""Name the providers that can run a graph, and tell which graphs each can run."""

from __future__ import annotations

CPU = "cpu"
OPENVINO = "openvino"


def default_providers(target: str, *, use_cpu: bool) -> tuple[str, ...]:
    """Return the providers for `use_cpu` and a graph exported for `target`: one of the CPU only, or CUDA only."""
    if not use_cpu:
        return ("cuda",)
    return (OPENVINO,) if target == OPENVINO else (CPU,)


def unsuited(provider: str, target: str) -> str | None:
    """Return why a provider cannot run a graph exported for `target`, or None if it can."""
    if target == OPENVINO and provider != OPENVINO:
        return "the classifier was exported for OpenVINO: leave pointsman.classifier.providers empty, and use_cpu true"
    if provider == OPENVINO and target != OPENVINO:
        return "the classifier was not exported for OpenVINO: export its checkpoint with --target openvino"
    if provider in (CPU, OPENVINO):
        return None
    if target != "gpu":  # int8 has no GPU kernels, and a captured graph cannot loop over prompts
        return "the classifier was exported for the CPU: export its checkpoint with --target gpu"
    return None


def advice(target: str) -> str:
    """Return the advice if no provider can run a graph exported for `target`."""
    if target == OPENVINO:
        return "export the classifier with --target cpu"
    return "run on CPU: set pointsman.classifier.providers to [cpu], or classifier.category_model.use_cpu to true"
