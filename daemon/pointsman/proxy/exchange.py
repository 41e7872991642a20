"""One request from its arrival to its one outcome in the log and in the metrics, however it ends."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from pointsman.errors import HttpError, ShuttingDown, UpstreamError
from pointsman.proxy.admission import Admission
from pointsman.proxy.recorder import Recorder, new_record
from pointsman.server.messages import Request, Response


class Exchange:
    """A request that is in flight from its construction until `end`, which each way to finish calls exactly once."""

    __slots__ = ("_admission", "_client", "_recorder", "_release", "record", "request")

    def __init__(
        self, request: Request, path: str, admission: Admission, recorder: Recorder, release: Callable[[], object]
    ) -> None:
        """`path` is the route's; `release` is called at the end, and lets go of the config that serves the request."""
        self._admission = admission
        self._recorder = recorder
        self._release = release
        self._client = ""
        self.request = request
        self.record = new_record(request, path)
        admission.begin()

    def admit(self) -> None:
        """Raise TooBusy or OverShare where this request is one too many."""
        self._client = self._admission.admit(self.request.writer.client_address)

    async def settle(self, work: Awaitable[Response | None]) -> Response | None:
        """Return the response of `work`, or the one that tells its error; None where `work` left the request to a job.

        Raises CancelledError when the client left.
        """
        try:
            response = await work
        except HttpError as error:
            return self.failed(error)
        except asyncio.CancelledError:
            if self.request.writer.closing:
                self.left()
                raise
            return self.failed(ShuttingDown("the service is shutting down"))
        except Exception:  # noqa: BLE001 - the last resort: whatever it is, the client gets an answer
            self._recorder.log.write(
                "error", "internal_error", request_id=self.record.request_id, traceback=traceback.format_exc()
            )
            return self.failed(HttpError("internal error; see the service's log"))
        if response is not None:
            self.record.status = response.status
            self.end()
        return response

    def failed(self, error: HttpError) -> Response:
        """End with an error, and return the response that tells the client."""
        response = self._recorder.failure(self.record, error)
        self.end()
        return response

    def retried(self, endpoint: str, why: str, error: UpstreamError) -> None:
        """Note that the request is sent again; `error` says why it cannot have started at `endpoint`."""
        record = self.record
        record.retried = [*(record.retried or ()), {"endpoint": endpoint, "why": why, "proof": error.message}]
        self._recorder.metrics.retries.add(why)

    def left(self) -> None:
        """End because the client left."""
        self.record.status = 499  # nginx's number for a client that closed the connection
        self._recorder.metrics.left.add(self.record.phase)
        self.end()

    def end(self) -> None:
        """End with the outcome that stands in the record."""
        self._admission.end(self._client)
        self._recorder.outcome(self.record)
        self._release()
