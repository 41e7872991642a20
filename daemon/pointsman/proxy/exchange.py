"""One request from its arrival to its one outcome in the log and in the metrics, however it ends."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from pointsman.errors import HttpError, OverShare, ShuttingDown, TooBusy, UpstreamError
from pointsman.http1.response_head import request_id
from pointsman.observability.telemetry import Record, request_line
from pointsman.server.messages import Request, Response, error_response

if TYPE_CHECKING:
    from pointsman.api.service import Service
    from pointsman.app.generations import Generations
    from pointsman.server.client_limiter import Shares


class Exchange:
    """`service` is the one of the config that the request began with."""

    __slots__ = ("_generations", "_lease", "_shares", "record", "request", "service")

    def __init__(self, generations: Generations, shares: Shares, request: Request, path: str) -> None:
        """It is in flight from here on, until one of the methods ends it."""
        self._generations = generations
        self._shares = shares
        self._lease = ""
        self.service: Service = generations.enter()
        self.request = request
        self.record = Record(request_id(request.head.values.get(b"x-request-id")), path)
        self.service.metrics.in_flight += 1

    async def settle(self, work: Awaitable[Response | None]) -> Response | None:
        """The answer of `work`, whatever it raises. None of it: it left the request to a job of the connection."""
        try:
            response = await work
        except HttpError as error:
            return self.failed(error)
        except asyncio.CancelledError:
            if self.request.connection.transport.is_closing():
                self.left()
                raise
            return self.failed(ShuttingDown("the service is shutting down"))
        except Exception:  # noqa: BLE001 - the last resort: whatever it is, the client gets an answer
            self.service.log.write(
                "error", "internal_error", request_id=self.record.request_id, traceback=traceback.format_exc()
            )
            return self.failed(HttpError("internal error; see the service's log"))
        if response is not None:
            self.record.status = response.status
            self.end()
        return response

    def refused(self) -> HttpError | None:
        """Why this one, which counts already, is one too many."""
        limits, refused = self.service.config.pointsman.server, self.service.metrics.refused
        if self.service.metrics.in_flight > limits.max_in_flight:
            refused.add("in_flight")
            return TooBusy("too many requests at once (pointsman.server.max_in_flight)")
        if limits.max_in_flight_per_client:
            try:
                self._lease = self._shares.take(self.request.connection, limits.max_in_flight_per_client)
            except OverShare as error:
                refused.add("client")
                return error
        return None

    def failed(self, error: HttpError) -> Response:
        """It ends with an error, which nobody has told the client yet."""
        response = failure(self.service, self.record, error)
        self.end()
        return response

    def retried(self, endpoint: str, why: str, error: UpstreamError) -> None:
        """It is sent again, and `error` tells why it cannot have started at `endpoint`."""
        record = self.record
        record.retried = [*(record.retried or ()), {"endpoint": endpoint, "why": why, "proof": error.message}]
        self.service.metrics.retries.add(why)

    def left(self) -> None:
        """The client left before the end."""
        self.record.status = 499  # nginx's number for a client that closed the connection
        self.service.metrics.left.add(self.record.phase)
        self.end()

    def end(self) -> None:
        """It is answered, as the record says."""
        self.service.metrics.in_flight -= 1
        if self._lease:
            self._shares.give_back(self._lease)
        outcome(self.service, self.record)
        self._generations.leave(self.service)


def outcome(service: Service, record: Record) -> None:
    """Counts and logs a request at its end."""
    service.metrics.count(record)
    if service.config.pointsman.log.requests:
        event = "request" if record.routed is None else "routing_decision"
        service.log.soon(request_line(event, record))


def failure(service: Service, record: Record, error: HttpError) -> Response:
    """The answer to a request that ends with an error, which is also counted and noted."""
    record.status, record.error = error.status, error.message
    if isinstance(error, UpstreamError):
        service.metrics.upstream_errors.add(record.endpoint or "", error.code)
    if error.code == "request_timeout":
        service.metrics.refused.add("body_timeout")
    response = error_response(error)
    response.headers.append(("X-Request-Id", record.request_id))
    return response
