"""Run an upstream for the daemon that answers after DELAY seconds and prints its port: upstream.py DELAY."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

from support.fake_vllm import completion, run_fake_vllm


async def serve(delay: float) -> None:
    async with run_fake_vllm() as vllm:

        async def late(request: web.Request, body: bytes) -> web.StreamResponse:
            await asyncio.sleep(delay)
            vllm.received.clear()
            return await completion(request, body)

        vllm.answer = late
        print(vllm.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(float(sys.argv[1])))
