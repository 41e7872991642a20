"""Serve our int8 graph with a naive batcher: waiting texts are padded to the longest and run together.

queue_and_pad.py ARTIFACT PORT, where the artifact has an attention mask. Runs in our own venv.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import uvloop
from aiohttp import web
from tokenizers import Tokenizer

from pointsman.classify.runtime import sum_exactly

LARGEST_BATCH = 32
MAX_TOKENS = 512


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    uvloop.install()
    web.run_app(application(folder), host="127.0.0.1", port=port, access_log=None, print=None)


def application(folder: Path) -> web.Application:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    sum_exactly(options)
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    waiting: asyncio.Queue[tuple[str, asyncio.Future[list[float]]]] = asyncio.Queue()

    def run(texts: list[str]) -> list[list[float]]:
        encodings = tokenizer.encode_batch(texts)
        feed = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
        }
        logits: list[list[float]] = session.run(None, feed)[0].tolist()
        return logits

    async def work(_: web.Application) -> Any:
        async def forever() -> None:
            with ThreadPoolExecutor(1) as executor:
                while True:
                    batch = [await waiting.get()]
                    while len(batch) < LARGEST_BATCH and not waiting.empty():
                        batch.append(waiting.get_nowait())
                    texts = [text for text, _ in batch]
                    rows = await asyncio.get_running_loop().run_in_executor(executor, run, texts)
                    for (_, future), row in zip(batch, rows, strict=True):
                        future.set_result(row)

        task = asyncio.create_task(forever())
        yield
        task.cancel()

    async def classify(request: web.Request) -> web.Response:
        future: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        [text] = msgspec.json.decode(await request.read())["input"]
        waiting.put_nowait((text, future))
        return web.Response(body=msgspec.json.encode(await future), content_type="application/json")

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.cleanup_ctx.append(work)
    app.add_routes([web.post("/classify", classify), web.get("/health", health)])
    return app


if __name__ == "__main__":
    main()
