"""A 404 about a model that this program chose: held back, since the client did not ask for that name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import msgspec

from pointsman.errors import UpstreamError
from pointsman.http1.body import Length
from pointsman.http1.response_head import ResponseHead
from pointsman.upstream.connection import Receiver

# vLLM's error bodies have about 200 bytes; a longer one is about something else.
LONGEST_ERROR_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model that this program chose, and what continues the request where vLLM does not know it."""

    name: str
    unknown: Callable[[UnknownModel], Coroutine[None, None, None]]


class UnknownModel(UpstreamError):
    """vLLM does not know the chosen model, so it generated nothing and another endpoint or model may be asked."""

    def __init__(self, chosen: ChosenModel) -> None:
        super().__init__(f"vLLM does not know {chosen.name}")
        self.chosen = chosen


class HeldError:
    """Receives the body of a 404 in place of `receiver`, which gets the answer if it is about something else."""

    def __init__(self, receiver: Receiver, head: ResponseHead, chosen: ChosenModel) -> None:
        self._receiver = receiver
        self._head = head
        self._chosen = chosen
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
        if b"`%b`" % msgspec.json.encode(self._chosen.name)[1:-1] in self._body:
            receiver.fail(UnknownModel(self._chosen))
            return
        framing = receiver.head(self._head)
        receiver.data(framing.feed(self._body))
        receiver.end()

    def fail(self, error: UpstreamError) -> None:
        self._receiver.fail(error)
