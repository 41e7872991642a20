"""Quantize ONNX to OpenVINO int8: quantize_openvino.py MODEL.onnx DIR. Runs in the venv `openvino`."""

from __future__ import annotations

import sys
from pathlib import Path

import nncf
import numpy as np
import openvino

CALIBRATION_ROWS, TOKENS = 16, 64
VOCABULARY = 2000


def main() -> None:
    source, folder = sys.argv[1:]
    random = np.random.default_rng(0)
    rows = [
        {
            "input_ids": random.integers(3, VOCABULARY, (1, TOKENS)),
            "attention_mask": np.ones((1, TOKENS), np.int64),
        }
        for _ in range(CALIBRATION_ROWS)
    ]
    model = nncf.quantize(openvino.Core().read_model(source), nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(model, Path(folder) / "model.xml")


if __name__ == "__main__":
    main()
