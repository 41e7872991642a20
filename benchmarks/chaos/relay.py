"""Two relays that inject faults on the wire: one before the daemon, one between the daemon and an upstream."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaos.injection import LATE, Injector
from chaos.prompt import NAMES
from support.hostile import Exchange, Hostile, chunk, head
from support.raw_client import Cut, RawClient, connect

HOLD_SECONDS = 2.5
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_DECISION = "x-vsr-selected-model"
Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class RelayedRequest:
    """A request on its way."""

    line: str
    fields: Fields
    body: bytes
    id: str = ""
    asked: Any = None

    @classmethod
    async def read(cls, exchange: Exchange) -> RelayedRequest:
        request = exchange.request
        body = await exchange.body()
        passing = cls(f"{request.method} {request.target} HTTP/1.1", request.headers, body, request.id)
        return replace(passing, asked=json.loads(body)) if body else passing

    def data(self) -> bytes:
        fields = [f"{name}: {value}" for name, value in self.fields if name.lower() not in _FRAMING]
        lines = [self.line, *fields, f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body

    def renamed(self, request_id: str) -> RelayedRequest:
        fields = [(name, request_id if name.lower() == "x-request-id" else value) for name, value in self.fields]
        return replace(self, fields=fields, id=request_id)


class Relay(Hostile, abc.ABC):
    """Passes requests on to a server and its responses back, as they come; `injector` says what goes wrong."""

    def __init__(self, target: str, injector: Injector) -> None:
        super().__init__()
        self.target = target
        self.injector = injector

    async def take(self, exchange: Exchange) -> None:
        with contextlib.suppress(ConnectionError):
            passing = await RelayedRequest.read(exchange)
            fault = self.injector.fault(passing.id, passing.asked)
            try:
                await self.carry(exchange, passing, fault)
            except Cut:
                exchange.reset()

    @abc.abstractmethod
    async def carry(self, exchange: Exchange, passing: RelayedRequest, fault: str | None) -> None:
        """Pass one request and its response on, with a fault of this relay's."""


class ClientRelay(Relay):
    """Between clients and the daemon: responses get the headers of others."""

    async def carry(self, exchange: Exchange, passing: RelayedRequest, fault: str | None) -> None:
        async with connect(self.target) as daemon:
            daemon.send(passing.data())
            status, fields = await daemon.head()
            await exchange.send(_head(status, await self._changed(passing, fields, fault)))
            await _pass_body(daemon, fields, exchange)

    async def _changed(self, passing: RelayedRequest, fields: Fields, fault: str | None) -> Fields:
        if fault == "headers swapped":
            theirs = await self.injector.meetings[fault].swap(fields)
            if theirs is None:
                return fields
            self.injector.note(fault, passing.id)
            framing = [pair for pair in fields if pair[0].lower() in _FRAMING]
            return [*(pair for pair in theirs if pair[0].lower() not in _FRAMING), *framing]
        if fault == "another decision in the headers" and any(name.lower() == _DECISION for name, _ in fields):
            self.injector.note(fault, passing.id)
            return [(name, _other(value) if name.lower() == _DECISION else value) for name, value in fields]
        return fields


class UpstreamRelay(Relay):
    """Between the daemon and an upstream: prompts, models, ids and bodies are mixed up."""

    def __init__(self, target: str, injector: Injector) -> None:
        super().__init__(target, injector)
        self._tasks: set[asyncio.Task[None]] = set()

    async def carry(self, exchange: Exchange, passing: RelayedRequest, fault: str | None) -> None:
        sent = await self._changed(passing, fault)
        async with contextlib.AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(connect(self.target))
            upstream.send(sent.data())
            if fault == "sent twice":
                self._begin(self._duplicate(passing, fault))
            if fault == "sent under another id":
                self._begin(self._duplicate(passing.renamed(f"{passing.id}-again"), fault))
            try:
                await self._answer(exchange, passing, upstream, fault)
            except asyncio.CancelledError:
                if fault == LATE:
                    self.injector.note(LATE, passing.id)
                    self._begin(_hold(stack.pop_all()))
                raise

    async def _changed(self, passing: RelayedRequest, fault: str | None) -> RelayedRequest:
        """Return the request as it is sent on."""
        if fault == "prompts swapped":
            theirs = await self.injector.meetings[fault].swap(passing.body)
            if theirs is None:
                return passing
            self.injector.note(fault, passing.id)
            return replace(passing, body=theirs)
        if fault == "another adapter":
            self.injector.note(fault, passing.id)
            changed = passing.asked | {"model": _other(passing.asked["model"])}
            return replace(passing, body=json.dumps(changed).encode())
        return passing

    async def _duplicate(self, passing: RelayedRequest, fault: str) -> None:
        """Send a request whose response nobody reads."""
        with contextlib.suppress(Cut, OSError):
            async with connect(self.target) as upstream:
                upstream.send(passing.data())
                await upstream.head()
                self.injector.note(fault, passing.id)

    async def _answer(
        self, exchange: Exchange, passing: RelayedRequest, upstream: RawClient, fault: str | None
    ) -> None:
        status, fields = await upstream.head()
        if fault == "bodies swapped":
            done = asyncio.Event()
            theirs = await self.injector.meetings[fault].swap((upstream, done))
            if theirs is not None:
                self.injector.note(fault, passing.id)
                source, theirs_done = theirs
                await exchange.send(_head(status, fields))
                try:
                    await _pass_body(source, fields, exchange)
                finally:
                    theirs_done.set()
                await done.wait()
                return
        await exchange.send(_head(status, fields))
        if fault == "a byte changed":
            self.injector.note(fault, passing.id)
        await _pass_body(upstream, fields, exchange, changed=fault == "a byte changed")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that does not end with the request."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _hold(stack: contextlib.AsyncExitStack) -> None:
    """Keep a connection to an upstream open, as if the daemon had not closed it."""
    async with stack:
        await asyncio.sleep(HOLD_SECONDS)


async def _pass_body(source: RawClient, fields: Fields, exchange: Exchange, *, changed: bool = False) -> None:
    """Pass a body on in the parts in which it comes; `changed` in its second byte."""
    lengths = [int(value) for name, value in fields if name.lower() == "content-length"]
    if lengths:
        with contextlib.suppress(asyncio.IncompleteReadError):
            return await exchange.send(await source.reader.readexactly(lengths[0]))
        raise Cut("inside the body")
    async for data in source.chunks():
        await exchange.send(chunk(bytes([data[0], data[1] ^ 1]) + data[2:] if changed else data))
        changed = False
    await exchange.send(chunk(b"") + b"\r\n")
    return None


def _head(status: int, fields: Fields) -> bytes:
    return head(f"{status} Status", *(f"{name}: {value}" for name, value in fields))


def _other(model: str) -> str:
    return next(name for name in NAMES if name != model)
