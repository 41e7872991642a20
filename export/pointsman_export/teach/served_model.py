"""Ask a model that an OpenAI-compatible server serves, without haste: whoever waits there goes first."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pointsman.cli.http_client import CallFailed, HttpClient
from pointsman.errors import CommandFailed
from pointsman_export.teach.questions import Question

ANSWER_SECONDS = 120.0
TRIES = 4
"""Of a question, where the server is busy, restarting or silent."""
MAX_FAILED = 5
"""Questions in a row without an answer, after which nothing more is asked."""
_WAIT_SECONDS = 5.0
"""Before the second try; each further one waits twice as long."""
_BUSY_SECONDS = 5.0
"""Between two looks at a server where requests wait."""
_LATER = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})
_LISTED = 10
_UNKNOWN_FIELD = frozenset({400, 404, 422, 501})
"""The statuses of servers that have no structured output, or no chat for this model."""
_WAITING = re.compile(rb"^vllm:num_requests_waiting(?:\{[^}]{0,500}\})?[ \t]+([0-9.e+]{1,20})", re.MULTILINE)


class Unanswered(CommandFailed):
    """A question has no answer; the message says why. Another one may have."""


class GivesUp(CommandFailed):
    """The server answers nothing any more; the message says why."""


@dataclass(slots=True)
class TokenCount:
    """Tokens that the server has counted."""

    read: int = 0
    written: int = 0


class ServedModel:
    """A model at a server; `count` grows with each answer."""

    def __init__(
        self,
        client: HttpClient,
        model: str,
        priority: int | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.count = TokenCount()
        self._client = client
        self._model = model
        self._priority = priority
        self._sleep = sleep
        self._structured = True
        self._chats = True
        self._failed = 0

    async def check(self) -> None:
        """Raise GivesUp if the server does not answer, refuses the key, or does not list the model."""
        try:
            status, body = await self._client.get("/v1/models")
        except CallFailed as error:
            raise GivesUp(str(error)) from error
        if status in _REFUSED:
            raise GivesUp(f"the server refuses the key (status {status})")
        try:
            listed = [str(one["id"]) for one in json.loads(body)["data"]]
        except (ValueError, LookupError, TypeError, RecursionError):
            return  # not every server lists its models
        if status == 200 and self._model not in listed:
            known = ", ".join(listed[:_LISTED])
            raise GivesUp(f"the server has no model {self._model!r}, but {known}; name one with --model")

    async def answer(self, question: Question) -> str:
        """Return what the model says; raises Unanswered or GivesUp."""
        try:
            found = await self._tried(question)
        except (CallFailed, Unanswered) as error:
            self._failed += 1
            if self._failed >= MAX_FAILED:
                raise GivesUp(f"{MAX_FAILED} questions in a row had no answer: {error}") from error
            raise Unanswered(str(error)) from error
        self._failed = 0
        return found

    async def _tried(self, question: Question) -> str:
        wait = _WAIT_SECONDS
        for rest in reversed(range(TRIES)):
            await self._while_others_wait()
            try:
                status, body = await self._post(question)
            except CallFailed:
                if not rest:
                    raise
            else:
                if status == 200:
                    return self._said(body)
                if status in _UNKNOWN_FIELD and self._forgo(body):
                    continue
                if status not in _LATER or not rest:
                    raise Unanswered(f"the server answers with status {status}: {_reason(body)}")
            await self._sleep(wait)
            wait *= 2
        raise Unanswered("the server takes none of the forms of the question")

    async def _post(self, question: Question) -> tuple[int, bytes]:
        fields: dict[str, Any] = {
            "model": self._model,
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
        }
        if self._priority is not None:
            fields["priority"] = self._priority
        if not self._chats:
            fields["prompt"] = question.continued
            return await self._client.post("/v1/completions", json.dumps(fields).encode(), ANSWER_SECONDS)
        fields["messages"] = [{"role": "user", "content": question.chat}]
        if self._structured:
            schema = {"name": "answer", "strict": True, "schema": question.schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        return await self._client.post("/v1/chat/completions", json.dumps(fields).encode(), ANSWER_SECONDS)

    def _forgo(self, body: bytes) -> bool:
        """Ask without what the server seems not to have, and return True; False if there is nothing to forgo."""
        if self._chats and b"chat template" in body.lower():
            self._chats = False
        elif self._chats and self._structured and b"does not exist" not in body:
            self._structured = False
        else:
            return False
        return True

    async def _while_others_wait(self) -> None:
        """Return when no request waits at the server, or when it does not tell."""
        while True:
            try:
                status, body = await self._client.get("/metrics")
            except CallFailed:
                return
            if status != 200 or not sum(map(float, _WAITING.findall(body))):
                return
            await self._sleep(_BUSY_SECONDS)

    def _said(self, body: bytes) -> str:
        """Return the text of an answer; raises Unanswered."""
        try:
            answer = json.loads(body)
            choice = answer["choices"][0]
            text = choice["message"]["content"] if self._chats else choice["text"]
            usage = answer.get("usage") or {}
            self.count.read += int(usage.get("prompt_tokens") or 0)
            self.count.written += int(usage.get("completion_tokens") or 0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Unanswered("the server's answer is none of OpenAI's API") from error
        return text if isinstance(text, str) else ""


def _reason(body: bytes) -> str:
    said = body[:300].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in said)
