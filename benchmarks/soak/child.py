"""Processes of the soak: started with a module's name, ordered on stdin, ended by closing it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from support.process import no_survivors

END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Child:
    """A running child; it prints one line once it has done an order."""

    process: asyncio.subprocess.Process

    async def tell(self, command: str) -> None:
        """Have it do something, and wait until it is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n".encode())
        if not await self.process.stdout.readline():
            raise RuntimeError(f"the process that was told to {command} has ended")


@contextlib.asynccontextmanager
async def child(module: str, *args: str) -> AsyncIterator[Child]:
    """Run `python -m module` for as long as the block lasts; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *args),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    with no_survivors(process.pid):
        yield Child(process)
        process.stdin.close()
        async with asyncio.timeout(END_SECONDS):
            code = await process.wait()
    if code:
        raise RuntimeError(f"{module} ended with {code}")


async def commands() -> AsyncIterator[str]:
    """Yield the lines of stdin until it closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()
