"""The behaviors of a chaotic upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from chaos.answer import AnswerInProgress

JSON = "Content-Type: application/json"
ERROR_EVENT = b'data: {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}}\n\n'

Behaviour = Callable[[AnswerInProgress], Awaitable[None]]


async def good(answer: AnswerInProgress) -> None:
    if answer.streams:
        await answer.begin_stream()
        await answer.events(int(answer.asked.get("max_tokens", 8)))
        await answer.end_stream()
    else:
        await json_answer(answer, "200 OK", answer.text())


async def json_answer(
    answer: AnswerInProgress, status: str, data: bytes, *fields: str, announced: int | None = None
) -> None:
    """Send a JSON response; `announced` overrides the Content-Length with a wrong one."""
    length = len(data) if announced is None else announced
    await answer.head(status, JSON, f"Content-Length: {length}", *fields)
    if len(data) >= length:
        answer.finished()  # the daemon closes the connection once it has all, if it still sends the request
    await answer.body(data[:length])
    if len(data) > length:
        await answer.send(data[length:])


async def slow(answer: AnswerInProgress) -> None:
    await asyncio.sleep(answer.dice.uniform(0.02, 0.4))
    await good(answer)


async def interim(answer: AnswerInProgress) -> None:
    await answer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    await good(answer)


async def byte_at_a_time(answer: AnswerInProgress) -> None:
    data = answer.text()[:200]
    await answer.head("200 OK", JSON, f"Content-Length: {len(data)}")
    for position in range(len(data)):
        await answer.body(data[position : position + 1])
        if position % 20 == 0:
            await asyncio.sleep(0)
    answer.finished()


async def until_close(answer: AnswerInProgress) -> None:
    await answer.head("200 OK", JSON, "Connection: close")
    await answer.body(answer.text())
    answer.finished()
    answer.exchange.close()


async def whole_then_close(answer: AnswerInProgress) -> None:
    await good(answer)
    answer.exchange.close()


async def surplus(answer: AnswerInProgress) -> None:
    data = answer.text()
    await json_answer(answer, "200 OK", data, announced=len(data) - 20)
    answer.exchange.close()


async def too_little(answer: AnswerInProgress) -> None:
    data = answer.text()
    await json_answer(answer, "200 OK", data, announced=len(data) + 20)
    answer.exchange.close()


async def reset_before_head(answer: AnswerInProgress) -> None:
    answer.exchange.reset()


async def close_before_head(answer: AnswerInProgress) -> None:
    answer.exchange.close()


async def reset_in_head(answer: AnswerInProgress) -> None:
    await answer.send(b"HTTP/1.1 200 OK\r\nContent-")
    await asyncio.sleep(0.01)
    answer.status = 0
    answer.exchange.reset()


async def reset_after_head(answer: AnswerInProgress) -> None:
    await half(answer)
    await asyncio.sleep(answer.dice.choice((0, 0.02)))
    answer.exchange.reset()


async def short_chunked_body(answer: AnswerInProgress) -> None:
    """End a chunked body early: FIN between two chunks, before the last chunk, or inside one."""
    await half(answer, length=None)
    if answer.dice.random() < 0.5:
        await answer.send(b"ff\r\ndata: {")
    answer.exchange.close()


async def half(answer: AnswerInProgress, length: int | None = 5000) -> None:
    if answer.streams or length is None:
        await answer.begin_stream()
        await answer.events(answer.dice.randrange(1, 6))
    else:
        await answer.head("200 OK", JSON, f"Content-Length: {length}")
        await answer.body(b'{"id": "%s' % answer.nonce.encode())


async def garbage(answer: AnswerInProgress) -> None:
    await half(answer, length=None)
    await answer.send(b"this is no chunk\r\n")
    answer.exchange.close()


async def stall(answer: AnswerInProgress) -> None:
    await answer.exchange.hold()


async def stall_after_head(answer: AnswerInProgress) -> None:
    await half(answer)
    await answer.exchange.hold()


async def error_in_stream(answer: AnswerInProgress) -> None:
    """Send an error event, as vLLM does when its engine dies but the stream can still be ended."""
    await half(answer, length=None)
    await answer.body(ERROR_EVENT, framed=True)
    await answer.end_stream()


def refuses(status: str, *fields: str) -> Behaviour:
    async def behaviour(answer: AnswerInProgress) -> None:
        error = {"message": f"no, {answer.nonce}", "type": "error", "param": None, "code": int(status.split()[0])}
        await json_answer(answer, status, json.dumps({"error": error}).encode(), *fields)

    return behaviour


GOOD: dict[str, Behaviour] = {"good": good, "slow": slow}
BAD: dict[str, Behaviour] = {
    "interim answer first": interim,
    "a byte at a time": byte_at_a_time,
    "ends with the connection": until_close,
    "closes after the answer": whole_then_close,
    "Content-Length too small": surplus,
    "Content-Length too great": too_little,
    "reset before the head": reset_before_head,
    "close before the head": close_before_head,
    "reset in the head": reset_in_head,
    "reset after the head": reset_after_head,
    "chunked body ends short": short_chunked_body,
    "no chunk": garbage,
    "stalls before the head": stall,
    "stalls after the head": stall_after_head,
    "error event in a stream": error_in_stream,
    "400": refuses("400 Bad Request"),
    "500": refuses("500 Internal Server Error"),
    "502": refuses("502 Bad Gateway"),
    "503": refuses("503 Service Unavailable"),
    "503 with Retry-After": refuses("503 Service Unavailable", "Retry-After: 7"),
}
EARLY = {"reset before the head", "503", "500", "close before the head"}
"""Behaviours that may occur before the body was read."""
