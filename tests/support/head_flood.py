"""Send heads whose bodies never come to their end, by the thousand from one address, in a process of its own.

`python -m support.head_flood URL REQUEST`, where REQUEST is a file with what each sends, floods until it is terminated.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from support.process import PATIENCE_SECONDS
from support.raw_client import Cut, connect

SOURCE = "127.0.0.2"
HEADS = 1_100


async def flood(url: str, data: bytes) -> None:
    """Send requests whose bodies never come to their end; as soon as one has lost its place, send another one."""
    free = asyncio.Semaphore(0)

    async def hold() -> None:
        while True:
            async with connect(url, source=SOURCE) as client:
                client.send(data)
                try:
                    status = (await client.answer(timeout_s=2 * PATIENCE_SECONDS)).status
                except (Cut, ConnectionError):
                    status = 0
            if status == 408:
                free.release()
            await free.acquire()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(HEADS):
            tasks.create_task(hold())


@contextlib.asynccontextmanager
async def flooding(url: str, request: Path) -> AsyncIterator[None]:
    """Flood from another process for as long as the block lasts."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.head_flood", url, str(request), env=os.environ | {"PYTHONPATH": path}
    )
    try:
        yield
        if process.returncode is not None:
            raise RuntimeError(f"the flood ended with {process.returncode}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(flood(sys.argv[1], Path(sys.argv[2]).read_bytes()))
