"""The data port between a client and two vLLMs, all of which a test plays event by event: no sockets, no real time.

Everything between the two transports is the program's own: listener, routes, exchange, forwarder, pool, generations.
Only the classifier is a stand-in, which is always sure of `technical`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from pointsman.app.data_handler import data_handler
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig
from pointsman.classify.classification import Classification, Timing
from pointsman.config.client_keys import parse_keys
from pointsman.config.model import AdapterOptions, CorsOptions, LogOptions, RelayOptions, ServerOptions
from pointsman.observability.log import Log
from pointsman.server.listener import Listener
from pointsman.server.request import Handler
from pointsman.upstream.breaker import CircuitBreaker
from pointsman.upstream.endpoint_state import EndpointState
from support.http_view import Seen, seen
from support.log import Memory
from support.toy_config import QUIET, A, B, config
from support.virtual_loop import Factory, FakeTransport, VirtualLoop

ENDPOINTS = (A, replace(B, weight=0.0))
"""`a` is always asked first, `b` where `a` cannot be."""

RELAY: dict[str, int] = {
    "connect_timeout_ms": 500,
    "first_byte_timeout_ms": 4_000,
    "idle_timeout_ms": 2_000,
    "health_interval_ms": 0,
    "breaker_failures": 0,
}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OPEN_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def event(text: str) -> bytes:
    """One event of a stream, as a chunk."""
    return chunk(b'data: {"word": "%b"}\n\n' % text.encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"


OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def with_length(body: bytes, status: str = "200 OK", *fields: str, length: int | None = None) -> bytes:
    """A head for a body, and as much of it as there is."""
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {length or len(body)}\r\n\r\n".encode() + body


def post(model: str = "base", path: str = "/v1/chat/completions", *fields: str, version: str = "1.1") -> bytes:
    """A chat request, for an adapter of the program's choice where the model is `MoM`."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Why?"}]}).encode()
    lines = ["Host: here", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([f"POST {path} HTTP/{version}", *lines, "", ""]).encode() + body


class Vllm:
    """One vLLM: connections are made when the test says so, by default at once."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.accepts = True
        self.waiting: list[asyncio.Future[None]] = []
        """Connections that are asked for; the wire has them wait where it begins with a question of its own."""
        self.connections: list[FakeTransport] = []

    async def dial(self, make: Factory) -> tuple[FakeTransport, asyncio.BaseProtocol]:
        if not self.accepts:
            answer = self._loop.create_future()
            self.waiting.append(answer)
            try:
                await answer
            finally:
                self.waiting.remove(answer)
        protocol = make()
        transport = FakeTransport(self._loop, protocol)
        self.connections.append(transport)
        protocol.connection_made(transport)
        return transport, protocol

    def connects(self) -> None:
        self._loop.do(self.waiting[0].set_result, None)

    def refuses(self) -> None:
        self._loop.do(self.waiting[0].set_exception, ConnectionRefusedError(111, "Connection refused"))

    @property
    def requests(self) -> int:
        """Return the number of requests."""
        return sum(connection.written.count(b"\r\n\r\n") for connection in self.connections)


class Wire:
    """A client, the program, two vLLMs, and the clock."""

    def __init__(
        self,
        *,
        server: ServerOptions | None = None,
        adapters: AdapterOptions | None = None,
        keys: bytes | None = None,
        cors: CorsOptions | None = None,
        **relay: int,
    ) -> None:
        """`keys` is the content of a file of client keys."""
        self.clock = VirtualLoop()
        self.clock.dial = self._dial
        self._ports = {endpoint.port: Vllm(self.clock) for endpoint in ENDPOINTS}
        self.a, self.b = self._ports.values()
        self.a.accepts = self.b.accepts = adapters is None
        self.log = Memory()
        self.keys = keys
        self._clients: list[FakeTransport] = []
        self._options = replace(
            QUIET,
            relay=RelayOptions(**cast("Any", RELAY | relay)),
            adapters=adapters or QUIET.adapters,
            server=server or ServerOptions(max_in_flight_per_client=64),
            log=LogOptions(),
            cors=cors or CorsOptions(),
        )
        self.generations = self.clock.do(lambda: Generations(self.prepared(), Log("info", self.log)))
        self.generations.swapped = self._swapped
        self._handler = self._made_handler()
        self.begin()

    def _made_handler(self) -> Handler:
        return data_handler(self.generations, lambda: None, None)

    def _swapped(self) -> None:
        self._handler = self.listener.handler = self._made_handler()

    def prepared(self, **fields: Any) -> PreparedConfig:
        """A config, with another threshold for instance."""
        served = replace(config(endpoints=ENDPOINTS, **fields), pointsman=self._options)
        keys = None if self.keys is None else parse_keys(self.keys, served)
        assert keys is None or not keys.errors, keys
        return PreparedConfig(served, CLASSIFIER, b"", (), keys=None if keys is None else keys.keys)

    def elsewhere(self) -> PreparedConfig:
        """A config whose only endpoint is at another address."""
        served = replace(config(endpoints=(replace(A, port=9000),)), pointsman=self._options)
        return PreparedConfig(served, CLASSIFIER, b"", ())

    def begin(self) -> None:
        """A listener with one client that is connected; whatever was before is forgotten."""
        self.refused: list[str] = []
        self.log.seek(0)
        self.log.truncate()
        for vllm in self._ports.values():
            vllm.connections.clear()
            vllm.accepts = not self._options.adapters.poll_interval_ms
        poller = self.generations.current.poller
        for host in poller.hosts.values():
            host.refused.clear()
        poller.publish()
        quarantine = self.generations._builder._quarantine
        quarantine._refused.clear()
        quarantine._deaths.resize(0)
        quarantine._deaths.resize(8)
        self.listener = self.clock.do(
            lambda: Listener(
                self._handler,
                lambda: self.generations.current.limits,
                self.refused.append,
                self.generations.current.recorder.record_abandoned,
                self.generations.budget,
            )
        )
        self.client = self.connect()

    def connect(self, address: str = "192.0.2.1") -> FakeTransport:
        """One more client."""

        def made() -> FakeTransport:
            protocol = self.listener._connection()
            transport = FakeTransport(self.clock, protocol, address)
            self._clients.append(transport)
            protocol.connection_made(transport)
            return transport

        return self.clock.do(made)

    async def _dial(self, port: int, make: Factory) -> tuple[FakeTransport, asyncio.BaseProtocol]:
        return await self._ports[port].dial(make)

    @property
    def upstream(self) -> FakeTransport:
        """The connection to a vLLM that got the last request."""
        return max(self.a.connections + self.b.connections, key=lambda connection: connection.last_write)

    @property
    def answer(self) -> Seen:
        """The last answer that the client got, as far as it came."""
        last = self.client.taken[self.client.taken.rindex(b"HTTP/1.1 ") :]
        got = seen(last, closed=self.client.closed and not self.client.aborted)
        assert got is not None, last
        return got

    @property
    def error(self) -> tuple[int, str]:
        """Status and code of an answer of the program's own."""
        got = self.answer
        assert got.whole
        return got.status, json.loads(got.body)["error"]["code"]

    def ask(self, *arguments: Any, **options: Any) -> FakeTransport:
        """Have the client send a request; returns the connection to the vLLM that gets it.

        It connects anew where its connection was closed, as after ten seconds without a request.
        """
        if self.client.closing:
            self.client = self.connect()
        self.client.sends(post(*arguments, **options))
        return self.upstream

    def reload(self, **fields: Any) -> None:
        self.clock.do(self.generations.swap, self.prepared(**fields))

    def relay(self, **options: Any) -> None:
        """Reload with other options of `relay`."""
        self._options = replace(self._options, relay=replace(self._options.relay, **cast("Any", options)))
        self.reload()

    def almost_open(self) -> CircuitBreaker:
        """The breaker of `a`, which opens with one more failure: another client has seen one."""
        breaker = self.endpoints["a"].breaker
        breaker.failures = 2
        breaker.failed(self.clock.time(), "another client")
        return breaker

    def goes_to_b(self, first: FakeTransport, declined: bytes, why: str) -> None:
        """`a` declines the request on `first`; `b` gets it as it was, and the client the answer of `b` alone."""
        first.sends(declined)
        assert self.client.taken == b""
        second = self.upstream
        assert second in self.b.connections
        assert second.written.partition(b"\r\n\r\n")[2] == first.written.partition(b"\r\n\r\n")[2]
        second.sends(OK)
        assert (self.answer.status, self.answer.body) == (200, b"{}")
        (outcome,) = self.outcomes()
        assert (outcome["status"], outcome["endpoint"]) == (200, "b")
        assert [(tried["endpoint"], tried["why"]) for tried in outcome["retried"]] == [("a", why)]
        assert self.at_endpoints == 0

    def stop(self, seconds: float = 0.0) -> asyncio.Task[None]:
        """Send SIGTERM: drain for this many seconds."""
        return self.clock.do(lambda: self.clock.create_task(self.listener.drain(seconds, asyncio.Event())))

    def expect_to_client(self, data: bytes) -> None:
        """The client has got `data`, and nothing after it."""
        assert self.client.taken.endswith(data), self.client.taken

    # --- what is left of a request ---------------------------------------------------------------------------------

    def outcomes(self) -> list[dict[str, Any]]:
        """The lines of the log that tell how requests ended."""
        self.generations.log.flush()
        lines = map(json.loads, self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] in {"request", "routing_decision"}]

    @property
    def endpoints(self) -> dict[str, EndpointState]:
        return self.generations.current.balancer.all

    @property
    def in_flight(self) -> dict[str, int]:
        """Return the counts of requests in flight, each in its own way."""
        generations = self.generations
        return {
            "metrics": generations.metrics.in_flight,
            "client": sum(generations._builder._limiter._in_flight.values()),
            "generations": sum(use.requests for use in generations._in_use.values()),
        }

    @property
    def at_endpoints(self) -> int:
        return sum(state.in_flight for state in self.endpoints.values())

    @property
    def timed(self) -> int:
        """The answers whose time is watched."""
        return sum(len(one.timeouts._answers) for one in self.generations._in_use)

    @property
    def pooled(self) -> list[FakeTransport]:
        """The connections that another request may get."""
        return [reusable._transport for state in self.endpoints.values() for reusable in state.pool._idle]  # type: ignore[misc]

    @property
    def buffered(self) -> int:
        """Return the reserved bytes of requests in memory."""
        return self.generations.budget.used

    @property
    def refusals(self) -> dict[str, float]:
        """Return the refused requests in the metrics, by reason."""
        return {labels[0]: value for labels, value in self.generations.metrics.refused._values.items()}

    def leave_nothing(self) -> None:
        """Have all clients leave, after which nothing of their requests is in memory."""
        for client in self._clients:
            self.clock.do(client.abort)
        assert (self.buffered, self.generations.budget.waiting, len(self.generations.arrivals)) == (0, 0, 0)
        assert self.in_flight == {"metrics": 0, "client": 0, "generations": 0}

    def close(self) -> None:
        self.clock.run_until_complete(self.generations.close())
        self.clock.close()


class _SureEncoder:
    """A stand-in for the encoder."""

    healthy = True
    notes = ()
    read = str

    def runs(self, texts: list[str]) -> list[list[str]]:
        return [texts]

    @property
    def turn(self) -> asyncio.Lock:
        return asyncio.Lock()

    def close(self) -> None:
        pass


class _Sure:
    """A stand-in for the classifier."""

    name = "sure"
    labels = ("technical", "medical", "legal")
    calibration = head = None
    encoder = _SureEncoder()
    settings = dict

    async def classify(self, _: str, *__: object) -> Classification:
        return Classification((0.98, 0.01, 0.01), 5, False, Timing(), "run", "5ca1ab1e")


CLASSIFIER: Any = _Sure()


@contextmanager
def playing(**options: Any) -> Iterator[Wire]:
    """A wire, closed at the end."""
    wire = Wire(**options)
    try:
        yield wire
        wire.leave_nothing()
    finally:
        wire.close()


@contextmanager
def half_open() -> Iterator[tuple[Wire, CircuitBreaker]]:
    """A wire whose first endpoint has failed, and the breaker of that, which lets one request through."""
    with playing(breaker_open_ms=5_000) as wire:
        breaker = wire.almost_open()
        wire.ask().resets()
        assert breaker.opened
        wire.clock.advance(5.0)
        wire.client = wire.connect()
        yield wire, breaker
