"""Serve optimum's pipeline with a threaded server: optimum_server.py MODEL_DIR PORT. Runs in the venv `optimum`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from optimum.onnxruntime import ORTModelForSequenceClassification
from pydantic import BaseModel
from transformers import AutoTokenizer, pipeline


class ClassifyRequest(BaseModel):
    input: list[str]


def main() -> None:
    folder, port = sys.argv[1:]
    classify = pipeline(
        "text-classification",
        model=ORTModelForSequenceClassification.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        top_k=None,
        truncation=True,
    )
    app = FastAPI()

    @app.get("/health")  # type: ignore[untyped-decorator]  # FastAPI is in the venv of this peer only
    def health() -> str:
        return "ok"

    @app.post("/classify")  # type: ignore[untyped-decorator]
    def answer(asked: ClassifyRequest) -> object:
        [text] = asked.input
        return classify(text)

    uvicorn.run(app, port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
