"""Every order in which a request can go, up to a number of events, and what must hold after each of them.

The longest orders are thorough tests: there are thousands of them.

`Play` is a small model of the world outside: what the client and vLLM can do next. It knows nothing of the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from support.http_view import Seen, seen
from support.playbook import OPEN_END, STREAM, Vllm, Wire, event, playing, post, with_length
from support.virtual_loop import FakeTransport

LONGER_THAN_ANY_SECONDS = 2.5
"""Of the limits that the wire has for a connection and for a silence; twice that is longer than the one for a head."""


class Kind:
    """How vLLM answers: its bytes part by part, and the content that they carry. It goes on as long as it is let."""

    def __init__(self, head: bytes, part: bytes, end: bytes | None, *, content: bytes | None = None) -> None:
        """`end` of None: the answer ends with the connection."""
        self.head, self.part, self.end = head, part, end
        self.content = part if content is None else content


WORD = b'data: {"word": "x"}\n\n'
KINDS = {
    "stream": Kind(STREAM, event("x"), b"0\r\n\r\n", content=WORD),
    "with a length": Kind(with_length(b"", length=50), b"12345", None),
    "until the end": Kind(OPEN_END, WORD, None),
    "unknown model": Kind(with_length(b"", "404 Not Found", length=50), b"`technical-lora`", None),
    "another 404": Kind(with_length(b"", "404 Not Found", length=50), b"no such path", None),
    "overloaded": Kind(with_length(b"", "503 Service Unavailable", length=50), b"12345", None),
    "redirect": Kind(with_length(b"", "302 Found", "Location: /", length=50), b"12345", None),
    "no HTTP": Kind(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"12345", None),
}
LENGTH = 50


class Play:
    """One request, a client and two vLLMs."""

    def __init__(self, wire: Wire, kind: str, *, reused: bool, version: str = "1.1", model: str = "MoM") -> None:
        self.wire = wire
        self.first = kind
        self.model, self.version = model, version
        self.old = version == "1.0"
        wire.begin()
        self.client = wire.client
        self.whole: set[FakeTransport] = set()
        self.asked = self.before = 0
        self.left = self.reloaded = False
        self.stopping: asyncio.Task[None] | None = None
        self.closed_unasked = False
        self.upstream: FakeTransport | None = None
        if reused:
            wire.ask(model, "/v1/chat/completions", "Connection: keep-alive", version="1.1").sends(with_length(b"{}"))
            self.whole.add(wire.upstream)
            self.asked = wire.a.requests
            wire.outcomes()
            wire.log.seek(0)
            wire.log.truncate()
        wire.a.accepts = wire.b.accepts = False
        self.before = len(self.client.written)
        self.client.sends(post(model, version=version))
        self._look()

    # --- what can happen -------------------------------------------------------------------------------------------

    def possible(self) -> Iterator[str]:
        """The events that can come next; a request that is over needs nothing but a client that reads its answer."""
        unread = self.client.get_write_buffer_size() and not self.client.lost
        if self.client.paused and not unread:
            pass  # nobody has noticed the pause: it goes on as without it
        elif self.in_flight or unread:
            yield from ("client leaves", "client reads on" if self.client.paused else "client pauses")
        if self.vllms_waiting:
            yield from ("connects", "refuses")
        if self.answering:
            yield from ("breaks", "resets")
            if not self.headed:
                yield "head"
            else:
                yield "data"
                if self.kind.end is not None or self.kind.head.find(b"Content-Length") >= 0:
                    yield "end"
        if self.in_flight:
            yield "time"
            if not self.reloaded:
                yield "reload"
            if self.stopping is None:
                yield "stop"

    def happens(self, name: str) -> None:
        """Let it happen, and look at what came of it."""
        EVENTS[name](self)
        self._look()

    def head(self) -> None:
        self.headed = True
        self._sends(self.kind.head)

    def data(self) -> None:
        if b"Content-Length" in self.kind.head and self.sent + len(self.kind.part) >= LENGTH:
            return
        self.sent += len(self.kind.part)
        self.content += self.kind.content
        self._sends(self.kind.part)

    def end(self) -> None:
        rest = self.kind.end
        if rest is None:
            rest = b"." * (LENGTH - self.sent)
            self.content += rest
        self._whole()
        self._sends(rest)

    def breaks(self) -> None:
        if self.headed and self.kind.head is OPEN_END:
            self._whole()
        else:
            self._broken()
        assert self.upstream is not None
        self.upstream.ends()

    def resets(self) -> None:
        self._broken()
        assert self.upstream is not None
        self.upstream.resets()

    def leaves(self) -> None:
        self.left_waiting = self.in_flight
        self.left = True
        self.client.resets()

    def time(self) -> None:
        self.wire.clock.advance(LONGER_THAN_ANY_SECONDS)

    def reload(self) -> None:
        self.reloaded = True
        self.wire.reload(threshold=0.5)

    def stop(self) -> None:
        self.stopping = self.wire.stop()

    def _sends(self, data: bytes) -> None:
        assert self.upstream is not None
        self.upstream.sends(data)

    def _whole(self) -> None:
        assert self.upstream is not None
        self.ended = True
        self.may_repeat = self.first == "unknown model" and self.turn < (3 if self.model == "MoM" else 2)
        self.whole.add(self.upstream)

    def _broken(self) -> None:
        assert self.upstream is not None
        self.ended = True
        self.whole.discard(self.upstream)
        self.may_repeat = self.upstream_was_used and not self.headed
        self.broken_at = self._vllm_of(self.upstream)

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def kind(self) -> Kind:
        return KINDS[self.first if self.turn == 1 else "stream"]

    turn = 0
    broken_at: Vllm | None = None
    left_waiting = headed = ended = may_repeat = upstream_was_used = False
    sent = 0
    content = b""

    @property
    def vllms_waiting(self) -> bool:
        return bool(self.wire.a.waiting or self.wire.b.waiting)

    @property
    def answering(self) -> bool:
        return self.upstream is not None and not self.ended and not self.upstream.closing

    @property
    def answer(self) -> Seen | None:
        """What was written to the client."""
        return seen(self.client.written[self.before :], closed=self.client.closed and not self.client.aborted)

    @property
    def in_flight(self) -> bool:
        whole = self.answer is not None and self.answer.whole
        return not (self.left or whole or self.client.closing or self.client.eof)

    def _look(self) -> None:
        """Note a request that has come to a vLLM."""
        asked = self.wire.a.requests + self.wire.b.requests
        if asked == self.asked:
            return
        assert asked == self.asked + 1
        assert not self.turn or self.may_repeat, "the first one may have started"
        if self.upstream is not None:
            self.ended = False
        self.asked = asked
        self.turn += 1
        self.upstream = self.wire.upstream
        self.upstream_was_used = self.upstream in self.whole
        assert self.broken_at in {None, self._vllm_of(self.upstream)}, "what may have broken one is sent to no other"
        self.headed = self.ended = self.may_repeat = False
        self.sent, self.content = 0, b""

    def _vllm_of(self, connection: FakeTransport) -> Vllm:
        return self.wire.a if connection in self.wire.a.connections else self.wire.b

    # --- what must hold --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every rule, whatever has happened until now."""
        here, wire = self.in_flight, self.wire
        assert wire.in_flight == {"metrics": here, "client": here, "generations": here}
        assert wire.at_endpoints == here
        assert wire.timed == (here and not self.vllms_waiting), "time limits are kept for what is with vLLM"
        outcomes = wire.outcomes()
        assert len(outcomes) == (not here), "exactly one outcome"
        if not here:
            self._check_outcome(outcomes[0]["status"])
        protocol = self.client._protocol
        assert here or (protocol.flow, protocol.job) == (None, None), "nothing of it is held in memory"
        self._check_connections(here)
        self._check_bytes(here)

    def _check_outcome(self, status: int) -> None:
        got = self.answer
        assert status == (499 if self.left_waiting or got is None else got.status)

    def _check_connections(self, here: bool) -> None:
        """Each is with a request or in the pool, and reads unless the client is too slow for what comes by it."""
        open_ones = {one for one in self.wire.a.connections + self.wire.b.connections if not one.closing}
        pooled = set(self.wire.pooled)
        busy = open_ones - pooled
        assert pooled <= open_ones & self.whole, "what is in the pool can take a request"
        assert busy == ({self.upstream} if here and not self.vllms_waiting else set()), "nothing goes on for nobody"
        for one in open_ones:
            behind = self.client.get_write_buffer_size() > 0
            assert one.reading == (not (one in busy and behind)), "vLLM is read as fast as the client reads"

    def _check_bytes(self, here: bool) -> None:
        """What the client gets is what vLLM sent, or an error of ours that cannot be taken for it."""
        got = self.answer
        if got is None:
            return
        if b"X-Request-Id" in got.head and b"Server-Timing" not in got.head:
            assert got.whole
            assert got.status in {502, 503, 504}
            assert got.body.startswith(b'{"error":')
            return
        body, error, _ = got.body.partition(b'\n\ndata: {"error":')
        assert self.content.startswith(body), got.body
        assert not error or not here
        assert not got.whole or error or self.upstream in self.whole, "a cut answer must not look whole"
        if here and self.upstream is not None and self.upstream.reading:
            assert got.body == self.content, "nothing is held back"

    def conclude(self) -> None:
        """The client leaves, vLLM closes what is idle; nothing must be left."""
        wire = self.wire
        if not self.left:
            self.leaves()
            self.check()
        for one in wire.pooled:
            one.ends()
        assert all(one.lost for one in wire.a.connections + wire.b.connections)
        assert not wire.pooled
        assert not wire.listener.connections
        assert self.stopping is None or self.stopping.done(), "the stop has come to its end"
        assert len(wire.generations._in_use) == 1, "no generation is kept"


EVENTS: dict[str, Callable[[Play], None]] = {
    "head": Play.head,
    "data": Play.data,
    "end": Play.end,
    "breaks": Play.breaks,
    "resets": Play.resets,
    "connects": lambda play: next(one for one in (play.wire.a, play.wire.b) if one.waiting).connects(),
    "refuses": lambda play: next(one for one in (play.wire.a, play.wire.b) if one.waiting).refuses(),
    "client leaves": Play.leaves,
    "client pauses": lambda play: play.client.pauses(),
    "client reads on": lambda play: play.client.reads_on(),
    "time": Play.time,
    "reload": Play.reload,
    "stop": Play.stop,
}


def played(wire: Wire, order: tuple[str, ...], depth: int, without: str, **options: object) -> list[tuple[str, ...]]:
    """Play an order, which is known to go well up to its last event, and on to `depth` events.

    Returns the orders that go another way after that event.
    """
    others: list[tuple[str, ...]] = []
    play = Play(wire, **options)  # type: ignore[arg-type]
    try:
        for name in order:
            play.happens(name)
        play.check()
        while len(order) < depth and (following := [name for name in play.possible() if name != without]):
            others += [(*order, name) for name in following[1:]]
            order = (*order, following[0])
            play.happens(following[0])
            play.check()
        play.conclude()
    except Exception as error:
        raise AssertionError(f"after {' -> '.join(order)}: {error!r}") from error
    return others


def explore(depth: int, *, without: str = "", **options: object) -> int:
    """Play all orders of up to `depth` events; returns how many there are that begin no other."""
    count = 0
    waiting: list[tuple[str, ...]] = [()]
    with playing(total_timeout_ms=6_000) as wire:
        while waiting:
            waiting += played(wire, waiting.pop(), depth, without, **options)
            count += 1
    return count


ORDERS = [
    *[("stream", False, 6), ("stream", True, 5), ("unknown model", False, 5), ("unknown model", True, 5)],
    *[("until the end", False, 5), ("until the end", True, 4), ("with a length", False, 5), ("with a length", True, 4)],
    ("another 404", True, 4),
]
SHORT_ORDERS = [
    *[("stream", False, 4), ("stream", True, 3), ("unknown model", False, 4), ("unknown model", True, 3)],
    *[("until the end", False, 4), ("until the end", True, 3), ("with a length", False, 4), ("with a length", True, 3)],
    *[("another 404", False, 4), ("another 404", True, 3), ("overloaded", False, 4), ("redirect", False, 4)],
    ("no HTTP", False, 4),
]


@pytest.mark.parametrize(
    ("kind", "reused", "depth"),
    [*SHORT_ORDERS, *(pytest.param(*order, marks=pytest.mark.thorough) for order in ORDERS)],
)
def test_whatever_the_order_a_request_ends_once_and_leaves_nothing(kind: str, reused: bool, depth: int) -> None:
    assert explore(depth, without="reload", kind=kind, reused=reused) > 20 * depth


@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        ("stream", 3),
        pytest.param("stream", 4, marks=pytest.mark.thorough),
        pytest.param("unknown model", 4, marks=pytest.mark.thorough),
    ],
)
def test_a_reload_in_between_changes_nothing_of_it(kind: str, depth: int) -> None:
    """The config that a request began with is let go at its end."""
    assert explore(depth, kind=kind, reused=False) > 20 * depth


@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        ("stream", 4),
        pytest.param("stream", 5, marks=pytest.mark.thorough),
        pytest.param("until the end", 5, marks=pytest.mark.thorough),
        pytest.param("with a length", 5, marks=pytest.mark.thorough),
    ],
)
def test_a_client_of_http_1_0_sees_as_well_whether_its_answer_is_whole(kind: str, depth: int) -> None:
    """Its answer may end with the connection, so a cut one ends with a reset or an error."""
    assert explore(depth, without="reload", kind=kind, reused=False, version="1.0") > 20 * depth


@pytest.mark.parametrize("depth", [4, pytest.param(5, marks=pytest.mark.thorough)])
def test_a_404_of_a_model_that_the_client_named_is_tried_at_the_other_endpoint(depth: int) -> None:
    assert explore(depth, without="reload", kind="unknown model", reused=False, model="technical-lora") > 20 * depth
