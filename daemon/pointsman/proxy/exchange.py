"""Track one request from arrival to exactly one outcome in the log and the metrics."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from pointsman.config.client_keys import ClientKey, KeyScope
from pointsman.errors import HttpError, ShuttingDown, UpstreamError
from pointsman.long_body import Received
from pointsman.proxy.admission import Admission
from pointsman.proxy.client_identity import client_identity
from pointsman.proxy.key_limiter import KeyLease
from pointsman.proxy.recorder import Recorder, new_record
from pointsman.proxy.usage import ResponseTail
from pointsman.server.request import Request
from pointsman.server.response import Response

# As nginx logs a client that closed the connection.
CLIENT_LEFT = 499


class Exchange:
    """A request in flight from construction to `log_and_release`, which is called exactly once, however it ends."""

    __slots__ = (
        "_admission",
        "_client",
        "_recorder",
        "_release",
        "answer",
        "hides_usage",
        "in_flight",
        "key",
        "lease",
        "priority",
        "record",
        "request",
        "stores",
    )

    def __init__(
        self, request: Request, path: str, admission: Admission, recorder: Recorder, release: Callable[[], object]
    ) -> None:
        """Take the route's `path`, and `release`, called at the end to release the request's config."""
        self._admission = admission
        self._recorder = recorder
        self._release = release
        self._client = ""
        self.request = request
        self.in_flight = False
        """True once the request counts among those in flight."""
        self.key: ClientKey | None = None
        """The client's key, or None if clients need no key."""
        self.lease: KeyLease | None = None
        """The request's use of the key's limits, or None without limits."""
        self.priority: int | None = None
        """The operator's priority of the request in vLLM's queue, or None."""
        self.answer: ResponseTail | None = None
        """The part of the answer that was passed on, once the request was sent."""
        self.hides_usage = False
        """True if this service, not the client, asked vLLM for the usage of a stream."""
        self.stores = False
        """True if vLLM may store the response, which then belongs to the client."""
        self.record = new_record(request, path)
        if recorder.spans is not None:
            self.record.trace = recorder.spans.begin(request.head.values.get(b"traceparent"))

    def admit(self) -> None:
        """Raise TooBusy or ConcurrencyLimited if a limit of concurrent requests is reached."""
        request = self.request
        self._client = self._admission.admit(request.client.limited_as, whole=request.complete)
        self.in_flight = request.complete

    async def read(self, seconds: float, min_bytes_per_second: int) -> Received:
        """Return the body as `Request.read` does, once it is complete and the request counts as in flight.

        Raises TooBusy and ConcurrencyLimited as well.
        """
        request, admission = self.request, self._admission
        limited_as = request.client.limited_as if self.key is None else self.key.identity
        client = limited_as or self.client
        if request.arriving:
            admission.arrives(client, request, limited=bool(limited_as))
        try:
            body = await request.read(seconds, min_bytes_per_second)
        finally:
            admission.arrived(client, request)
        admission.count_in_flight()
        self.in_flight = True
        return body

    def charge_to(self, key: ClientKey) -> None:
        """Charge the client's key; raises RateLimited (429) if the key has reached a limit."""
        self.key = key
        self.record.key = key.name
        self.record.former_secret = key.by_former
        if key.max_body_bytes is not None:
            self.request.limit_to(key.max_body_bytes)
        if key.limits is not None:
            self.lease = self._admission.keys.enter(key)

    @property
    def client(self) -> str:
        """Return the identity of the client: its key's name, else a hash of its credentials."""
        return client_identity(self.request.head) if self.key is None else self.key.identity

    @property
    def author(self) -> str:
        """Return the identity that may judge the answer: the client, or its address without credentials."""
        return self.client or self.request.client.address

    @property
    def witness(self) -> str:
        """Return the identity of the client where several clients must agree: anybody can invent credentials."""
        client = self.request.client
        return (client.limited_as or client.address) if self.key is None else self.key.identity

    @property
    def scope(self) -> KeyScope | None:
        """Return the models that the client may use, or None for all."""
        return None if self.key is None else self.key.scope

    async def run_guarded(self, work: Awaitable[Response | None]) -> Response | None:
        """Return the response of `work`, or an error response; None if `work` handed the request to a job.

        Raises CancelledError if the client has disconnected.
        """
        try:
            response = await work
        except HttpError as error:
            return self.end_with_error(error)
        except asyncio.CancelledError:
            if self.request.writer.closing:
                self.end_disconnected()
                raise
            return self.end_with_error(ShuttingDown("the service is shutting down"))
        except Exception:  # noqa: BLE001 - an unexpected error, too, must give the client a response
            self._recorder.log.write(
                "error", "internal_error", request_id=self.record.request_id, traceback=traceback.format_exc()
            )
            return self.end_with_error(HttpError("internal error; see the service's log"))
        if response is not None:
            self.record.status = response.status
            self.log_and_release()
        return response

    def end_with_error(self, error: HttpError) -> Response:
        """End with an error; return the error response."""
        response = self._recorder.record_error(self.record, error)
        self.log_and_release()
        return response

    def record_retry(self, endpoint: str, why: str, error: UpstreamError) -> None:
        """Record a retry; `error` proves that `endpoint` did not start the request."""
        record = self.record
        record.retried = [*(record.retried or ()), {"endpoint": endpoint, "why": why, "proof": error.in_full}]
        self._recorder.metrics.retries.add(why)

    def end_disconnected(self) -> None:
        """End because the client disconnected."""
        self.record.status = CLIENT_LEFT
        self._recorder.metrics.left.add(self.record.phase)
        self.log_and_release()

    def log_and_release(self) -> None:
        """Count and log the outcome in the record, and release the config."""
        if self.lease is not None:
            self.lease.leave(self._tokens(self.lease) if self.lease.reserved else 0)
        self._admission.uncount(self._client, in_flight=self.in_flight)
        self._recorder.count_and_log(self.record)
        if self._recorder.answers is not None:
            self._recorder.answers.remember(self.record, self.author, self.witness)
        self._release()

    def _tokens(self, lease: KeyLease) -> int:
        """Return the tokens that the request has used, estimated if vLLM does not report them.

        The estimate is the reservation, or for a truncated answer the prompt and the part passed on.
        """
        answer, record = self.answer, self.record
        if record.tokens is not None:
            return sum(record.tokens)
        if answer is None or (record.status >= 400 and record.status != CLIENT_LEFT):
            return 0
        if record.error is None and record.status != CLIENT_LEFT:
            return lease.reserved
        return max(sum(answer.tokens() or ()), lease.prompt + answer.produced)
