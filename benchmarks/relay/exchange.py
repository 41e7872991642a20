"""Define requests and responses, the same for every proxy, as users' clients and vLLM send them; pure functions.

A client's head is always the same but for the length of its body, as that of OpenAI's is. The head of each response is
new: it has another length, date or request id.
"""

from __future__ import annotations

import email.utils
import json
import re
import time

PATH = "/v1/chat/completions"
MODEL = "technical-lora"
AUTO = "MoM"
KEY = "sk-of-the-benchmark"
HEADERS = {
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "authorization": f"Bearer {KEY}",
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "OpenAI/Python 3.57.0",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "3.57.0",
    "x-stainless-os": "Linux",
    "x-stainless-arch": "x64",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.11.7",
    "x-stainless-async": "false",
    "x-stainless-retry-count": "0",
    "x-stainless-read-timeout": "600",
}
"""The headers of OpenAI's client for Python, without `Host` and `Content-Length`."""
KIB = 1024
NUMBER_DIGITS = 16
LENGTHS = 16
"""The number of lengths of requests, and of responses, byte by byte."""

MODELS = json.dumps(
    {
        "object": "list",
        "data": [
            {"id": "llama2-7b", "object": "model", "owned_by": "vllm", "parent": None, "max_model_len": 4096},
            {"id": MODEL, "object": "model", "owned_by": "vllm", "parent": "llama2-7b", "max_model_len": None},
        ],
    }
)

QUESTION = "My Python function raises a KeyError. How do I read the traceback and debug it?"
"""Surely one for an adapter, again and again as well: an automatic request is edited as far as one can be."""
_QUESTION = f"{QUESTION} "
_ANSWER = "Read it from the last line upwards. "


def request(size: int, model: str = MODEL, *, stream: bool = False) -> bytes:
    """Return a chat request with one question in exactly `size` bytes."""
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 8},
            {"role": "user", "content": ""},
        ],
        "max_tokens": 256,
        "temperature": 0.2,
        "stream": stream,
    }
    room = size - len(json.dumps(body))
    body["messages"][1]["content"] = (_QUESTION * (room // len(_QUESTION) + 1))[:room]  # type: ignore[index]
    return json.dumps(body).encode()


def requests(size: int, model: str = MODEL) -> list[bytes]:
    """Return chat requests of LENGTHS lengths; the longest has `size` bytes."""
    return [request(size - less, model) for less in range(LENGTHS)]


def new_requests(size: int) -> tuple[bytes, bytes]:
    """Return the parts before and after a number in chat requests for the automatic model, which are new with it."""
    before, _, after = request(size, AUTO).partition(_QUESTION.encode()[:NUMBER_DIGITS])
    return before, after


def completion(more: int = 0) -> str:
    """Return a whole response of 1 KiB and `more`, without characters that nginx's configuration would need quoted."""
    body = {
        "id": "chatcmpl-8aae84cde8ebb8ec",
        "object": "chat.completion",
        "created": 1795559641,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 217, "total_tokens": 225, "completion_tokens": 8},
    }
    room = KIB + more - len(json.dumps(body))
    body["choices"][0]["message"]["content"] = (_ANSWER * (room // len(_ANSWER) + 1))[:room]  # type: ignore[index]
    return json.dumps(body)


# --- a stream: each chunk carries in its text, which no proxy changes, the nanosecond at which it was sent -----------


def stream_head(number: int) -> bytes:
    """Return the head of a stream; no two numbers have the same."""
    return (
        b"HTTP/1.1 200 OK\r\ndate: %b\r\nserver: uvicorn\r\nx-request-id: %032x\r\n"
        b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    ) % (email.utils.formatdate(time.time(), usegmt=True).encode(), number)


_BEFORE, _AFTER = (
    (
        b'data: {"id":"chatcmpl-8bf241b51422f1b4","object":"chat.completion.chunk","created":1795559642,"model":"'
        + MODEL.encode()
        + b'","choices":[{"index":0,"delta":{"content":"@'
    ),
    b'"},"logprobs":null,"finish_reason":null,"token_ids":null}]}\n\n',
)
STREAM_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"  # with the first line end, so that a size that ends in 0 does not match
SENT = re.compile(rb"@(\d{19})")
SENT_BYTES = 20
_SIZE = b"%x\r\n" % (len(_BEFORE) + 19 + len(_AFTER))
_BEFORE, _AFTER = _SIZE + _BEFORE, _AFTER + b"\r\n"


def chunk(nanoseconds: int) -> bytes:
    """Return one event as sent over the wire."""
    return b"%b%019d%b" % (_BEFORE, nanoseconds, _AFTER)
