"""Read a response as a client, and record what it says of itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chaos.answer import NONCE_HEADER
from chaos.evidence import ClientRequest, IdentityHeaders, body_of
from chaos.prompt import ReportedDecision, nonces
from support.raw_client import Cut, RawClient

PATIENCE_SECONDS = 20.0
_ERROR_EVENT = b'\n\ndata: {"error":'
"""The beginning of the event with which Pointsman ends a stream that broke; an upstream's has no empty line first."""


class ClientLeft(Exception):
    """The client disconnects now."""


async def read(
    client: RawClient, asked: ClientRequest, *, pause: Callable[[], float] | None = None, leave_after: int | None = None
) -> ClientRequest:
    """Return the response as the client sees it; disconnect after `leave_after` parts of the body."""
    seen = ResponseReader(asked)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await seen.run(client, pause, leave_after)
    except Cut:
        return seen.ended("cut")
    except ClientLeft:
        return replace(seen.ended("left"), left=time.monotonic())
    except TimeoutError:
        return seen.ended("hung")
    return seen.ended("whole")


class ResponseReader:
    """A response as far as it was received."""

    def __init__(self, asked: ClientRequest) -> None:
        self._asked = asked
        self._status: int | None = None
        self._shown = IdentityHeaders()
        self._body = bytearray()

    async def run(self, client: RawClient, pause: Callable[[], float] | None, leave_after: int | None) -> None:
        """Read to the end; raises Cut and Left."""
        self._status, headers = await client.head()
        fields = {name.lower(): value for name, value in headers}
        self._shown = _shown(fields)
        if "transfer-encoding" not in fields:
            await self._announced(client, int(fields["content-length"]))
            return
        parts = 0
        async for data in client.chunks():
            if not data.startswith(_ERROR_EVENT):
                self._body += data
            parts += 1
            if leave_after is not None and parts > leave_after:
                raise ClientLeft
            if pause is not None:
                await asyncio.sleep(pause())

    async def _announced(self, client: RawClient, length: int) -> None:
        try:
            self._body += await client.reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            self._body += error.partial
            raise Cut("inside the body") from None
        except ConnectionError:
            raise Cut("inside the body") from None

    def ended(self, end: Any) -> ClientRequest:
        """Return the record of the request, with the response as it is now."""
        return replace(
            self._asked,
            end=end,
            status=self._status,
            shown=self._shown,
            body=body_of(bytes(self._body)),
            echoed=nonces(bytes(self._body)),
            code=self._code(),
        )

    def _code(self) -> str | None:
        """Return the code of an error made by Pointsman; upstreams have numbers."""
        try:
            code = json.loads(self._body)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None
        return code if isinstance(code, str) else None


def _shown(fields: dict[str, str]) -> IdentityHeaders:
    model, reason = fields.get("x-vsr-selected-model"), fields.get("x-pointsman-reason")
    decided = ReportedDecision(model, reason, fields.get("x-vsr-selected-category")) if model and reason else None
    return IdentityHeaders(fields.get("x-request-id"), decided, fields.get(NONCE_HEADER))
