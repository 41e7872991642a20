"""A 404 about a model: held back until it is clear whether another endpoint or model can answer instead."""

from __future__ import annotations

from typing import Protocol

import msgspec

from pointsman.errors import UpstreamError
from pointsman.http1.body import Length
from pointsman.http1.response_head import ResponseHead
from pointsman.upstream.connection import Receiver

# vLLM's error bodies have about 200 bytes; a longer one is about something else.
LONGEST_ERROR_BYTES = 16_384


class UnknownModel(UpstreamError):
    """vLLM does not know the model, so it generated nothing and another endpoint or model may be asked."""

    def __init__(self, model: str) -> None:
        super().__init__(f"vLLM does not know {model}")
        self.model = model


class Movable(Receiver, Protocol):
    """A receiver whose request may be sent elsewhere."""

    def goes_elsewhere(self, model: str) -> bool:
        """Take note that vLLM does not know `model`; return whether another endpoint or model can answer."""


class HeldError:
    """Receive the body of a 404 in place of `receiver`, which gets the answer if there is none instead."""

    def __init__(self, receiver: Movable, head: ResponseHead, model: str) -> None:
        self._receiver = receiver
        self._head = head
        self._model = model
        self._body = b""

    @staticmethod
    def applies(head: ResponseHead) -> bool:
        """Return whether a head may be that of an error about a model."""
        return head.status == 404 and head.length is not None and head.length <= LONGEST_ERROR_BYTES

    def head(self, head: ResponseHead) -> Length:
        return Length(head.length or 0)

    def data(self, data: bytes) -> None:
        self._body += data

    def end(self) -> None:
        receiver = self._receiver
        # In each of vLLM's forms, and in OpenAI's: The model `NAME` does not exist.
        about_it = b"`%b`" % msgspec.json.encode(self._model)[1:-1] in self._body
        if about_it and receiver.goes_elsewhere(self._model):
            receiver.fail(UnknownModel(self._model))
            return
        framing = receiver.head(self._head)
        receiver.data(framing.feed(self._body))
        receiver.end()

    def fail(self, error: UpstreamError) -> None:
        self._receiver.fail(error)
