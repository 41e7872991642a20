"""The extras of pyproject.toml: which of ONNX Runtime's two wheels each of them installs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def wheels(extras: list[str]) -> set[str]:
    """ONNX Runtime's wheels that these extras ask for; optimum-onnx has extras of the same names."""
    text = " ".join(line for extra in extras for line in EXTRAS[extra])
    return set(re.findall(r"\bonnxruntime(?:-gpu)?(?![\w-])", text))


def test_what_is_installed_together_has_one_wheel_of_onnx_runtime() -> None:
    """They have the same files, and pip installs one over the other."""
    assert wheels(["cpu", "export", "openvino", "otel"]) == {"onnxruntime"}
    assert wheels(["gpu", "export-gpu", "openvino", "otel"]) == {"onnxruntime-gpu"}


def test_the_export_for_a_host_with_a_gpu_differs_in_that_wheel_only() -> None:
    def others(extra: str) -> list[str]:
        names = (line.replace("optimum-onnx[onnxruntime]", "optimum-onnx") for line in EXTRAS[extra])
        return [name for name in names if not name.startswith("onnxruntime")]

    assert others("export-gpu") == others("export")
    assert "onnxruntime>=1.32" in EXTRAS["export"]
    assert "onnxruntime-gpu[cuda,cudnn]>=1.31" in EXTRAS["export-gpu"]
