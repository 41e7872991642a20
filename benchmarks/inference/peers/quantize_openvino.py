"""Quantize ONNX to OpenVINO int8: quantize_openvino.py MODEL.onnx DIR [ROWS.json]. Runs in the venv `openvino`.

With ROWS.json, lists of token ids of real text, weights and activations are quantized, calibrated on them; else the
weights only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino


def main() -> None:
    source, folder, *rows = sys.argv[1:]
    model = openvino.Core().read_model(source)
    if rows:
        names = [value.get_any_name() for value in model.inputs]
        feeds = [_feed(names, ids) for ids in json.loads(Path(rows[0]).read_text())]
        model = nncf.quantize(model, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds))
    else:
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(model, Path(folder) / "model.xml")


def _feed(names: list[str], ids: list[int]) -> dict[str, Any]:
    row = np.array([ids])
    filled = {"input_ids": row, "attention_mask": np.ones_like(row)}
    return {name: filled[name] for name in names}


if __name__ == "__main__":
    main()
