"""Define requests and responses with the same bytes for every proxy; pure functions."""

from __future__ import annotations

import json
import re

PATH = "/v1/chat/completions"
MODEL = "technical-lora"
AUTO = "MoM"
KEY = "sk-of-the-benchmark"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
KIB = 1024

MODELS = json.dumps(
    {
        "object": "list",
        "data": [
            {"id": "llama2-7b", "object": "model", "owned_by": "vllm", "parent": None, "max_model_len": 4096},
            {"id": MODEL, "object": "model", "owned_by": "vllm", "parent": "llama2-7b", "max_model_len": None},
        ],
    }
)

_QUESTION = "My PostgreSQL query is slow, how do I read the output of EXPLAIN ANALYZE? "
_ANSWER = "Read it from the innermost node outwards. "


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


def completion() -> str:
    """Return a whole response of exactly 1 KiB, without characters that nginx's configuration would need quoted."""
    body = {
        "id": "chatcmpl-8aae84cde8ebb8ec",
        "object": "chat.completion",
        "created": 1795559641,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 217, "total_tokens": 225, "completion_tokens": 8},
    }
    room = KIB - len(json.dumps(body))
    body["choices"][0]["message"]["content"] = (_ANSWER * (room // len(_ANSWER) + 1))[:room]  # type: ignore[index]
    return json.dumps(body)


# --- a stream: each chunk carries in its text, which no proxy changes, the nanosecond at which it was sent -----------

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Wed, 25 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
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
