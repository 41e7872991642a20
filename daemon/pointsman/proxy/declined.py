"""An answer by which vLLM has begun nothing: buffered until it is clear whether another endpoint can do better."""

from __future__ import annotations

from typing import Protocol

import msgspec

from pointsman.errors import UpstreamError
from pointsman.http1.body import LengthFraming
from pointsman.http1.response_head import ResponseHead
from pointsman.upstream.connection import Receiver

# vLLM's error bodies have about 200 bytes; a longer one is about something else.
MAX_ERROR_BODY_BYTES = 16_384
# Only vLLM's answer at --max-num-queued-reqs or --max-num-queued-tokens contains this; vLLM checks them before it
# begins.
_QUEUE_FULL = b"on a different instance."


class UpstreamDeclined(UpstreamError):
    """vLLM generated nothing, so another endpoint may be asked; `why` is the reason for that retry."""

    why: str


class UnknownModel(UpstreamDeclined):
    """vLLM does not know the model; another model may be asked, too."""

    why = "model"

    def __init__(self, model: str) -> None:
        super().__init__(f"vLLM does not know {model}")
        self.model = model


class QueueFull(UpstreamDeclined):
    """vLLM accepts no more requests for now."""

    why = "queue_full"

    def __init__(self) -> None:
        super().__init__("vLLM's queue is full")


class RetryableReceiver(Receiver, Protocol):
    """A receiver whose request may be sent elsewhere."""

    def goes_elsewhere(self, declined: UpstreamDeclined) -> bool:
        """Take vLLM's refusal; return whether another endpoint or model can answer."""


class BufferedErrorReceiver:
    """A receiver that buffers an error's body for `receiver`, which gets the answer if it is not a refusal."""

    def __init__(self, receiver: RetryableReceiver, head: ResponseHead, model: str) -> None:
        self._receiver = receiver
        self._head = head
        self._model = model
        self._body = b""

    @staticmethod
    def applies(head: ResponseHead, model: str) -> bool:
        """Return whether a head may be that of a refusal; `model` is empty if it is not known."""
        declines = head.status == 503 or (head.status == 404 and model != "")
        return declines and head.length is not None and head.length <= MAX_ERROR_BODY_BYTES

    def head(self, head: ResponseHead) -> LengthFraming:
        return LengthFraming(head.length or 0)

    def data(self, data: bytes) -> None:
        self._body += data

    def end(self) -> None:
        receiver, declined = self._receiver, self._declined()
        if declined is not None and receiver.goes_elsewhere(declined):
            receiver.fail(declined)
            return
        framing = receiver.head(self._head)
        receiver.data(framing.feed(self._body))
        receiver.end()

    def fail(self, error: UpstreamError) -> None:
        self._receiver.fail(error)

    def _declined(self) -> UpstreamDeclined | None:
        if self._head.status == 503:
            return QueueFull() if queue_full(self._body) else None
        # In each of vLLM's forms, and in OpenAI's: The model `NAME` does not exist.
        about_it = b"`%b`" % msgspec.json.encode(self._model)[1:-1] in self._body
        return UnknownModel(self._model) if about_it else None


def queue_full(body: bytes) -> bool:
    """Return whether vLLM says in an error that its queue is full."""
    return _QUEUE_FULL in body
