"""A 404 to a model name that we chose: held back until it is whole, for the client must not see one about that name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import UpstreamError
from pointsman.http1.body import Length

if TYPE_CHECKING:
    from pointsman.http1.response_head import Head
    from pointsman.proxy.response_stream import Passage

# vLLM's are of 200 bytes; whatever is longer is about something else.
LONGEST_REFUSAL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model that we chose, by its name, and what goes on with the request where vLLM does not know it."""

    model: str
    refused: Callable[[ModelRefused], Coroutine[None, None, None]]


class ModelRefused(UpstreamError):
    """vLLM does not know the model that we chose, so nothing was generated: another may be asked."""

    def __init__(self, chosen: Chosen) -> None:
        super().__init__(f"vLLM does not know {chosen.model}")
        self.chosen = chosen


class Refusal:
    """Takes the answer of a channel in place of its passage, which gets it if it is about something else."""

    def __init__(self, passage: Passage, head: Head, chosen: Chosen) -> None:
        self._passage = passage
        self._head = head
        self._chosen = chosen
        self._body = b""

    @staticmethod
    def may_be(head: Head) -> bool:
        """Whether a 404 can be one about a model."""
        return head.length is not None and head.length <= LONGEST_REFUSAL_BYTES

    def head(self, head: Head) -> Length:
        return Length(head.length or 0)

    def data(self, data: bytes) -> None:
        self._body += data

    def end(self) -> None:
        passage = self._passage
        # In each of vLLM's forms, and in OpenAI's: The model `NAME` does not exist.
        if b"`%b`" % msgspec.json.encode(self._chosen.model)[1:-1] in self._body:
            passage.fail(ModelRefused(self._chosen))
            return
        framing = passage.head(self._head)
        passage.data(framing.feed(self._body))
        passage.end()

    def fail(self, error: UpstreamError) -> None:
        self._passage.fail(error)
