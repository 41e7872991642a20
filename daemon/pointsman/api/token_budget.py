"""Reserve the tokens that a request may use, and have vLLM tell the used ones, where its key's tokens are limited."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.errors import RequestError, UsageUnknown
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.key_limiter import KeyLease
from pointsman.routing.body import Fields, decode, fields_at_once, given, read_fields
from pointsman.routing.edits import changed, edited
from pointsman.routing.steps import Lane

# The most tokens of an answer, in one API or another.
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_FIELDS = (*_MOST, "background", "stream", "stream_options")
# The APIs whose streams have no usage unless the client asks for it.
_SILENT = frozenset({"/v1/chat/completions", "/v1/completions"})
# A token of English text has about so many bytes; the rest of a body has more of them.
BYTES_PER_TOKEN = 4
MOST_OPTIONS_BYTES = 1024
_NUMBER, _FLAG = Decoder(int), Decoder(bool)
_OPTIONS: Decoder[dict[str, Any]] = Decoder(dict[str, Any])


async def reserve(exchange: Exchange, lease: KeyLease, lane: Lane, body: Received, *, is_json: bool) -> Received:
    """Take what the prompt and the longest answer may use; raises RateLimited (429), or UsageUnknown (403).

    Returns the body, which asks for the usage of a stream; the client does not get what it has not asked for.
    """
    if not is_json:
        raise UsageUnknown("your key has a limit of tokens, and those of this request are not known: send JSON")
    usual = fields_at_once(body, _FIELDS)
    try:
        fields = await lane.run(read_fields(body, _FIELDS)) if usual is None else usual
    except RequestError:
        lease.reserve(len(body) // BYTES_PER_TOKEN, 0)  # vLLM refuses it
        return body
    if _flag(fields, "background"):
        raise UsageUnknown("your key has a limit of tokens, and those of a response in the background are not known")
    lease.reserve(len(body) // BYTES_PER_TOKEN, _longest_answer(fields))
    # A long one is not copied for it.
    if exchange.record.path in _SILENT and isinstance(body, bytes) and _flag(fields, "stream"):
        asking = _asking(fields)
        exchange.hides_usage = asking is not None
        return asking or body
    return body


def _longest_answer(fields: Fields) -> int:
    """Return the most tokens that the answer may have, 0 if the client does not say."""
    most = 0
    for name in _MOST:
        if name in fields.values:
            most = max(most, decode(fields.values[name], 0, _NUMBER))
    return most


def _flag(fields: Fields, name: str) -> bool:
    return name in fields.values and bool(decode(fields.values[name], False, _FLAG))


def _asking(fields: Fields) -> bytes | None:
    """Return the body that asks for the usage of its stream; None if the client asks for itself.

    With `continuous_usage_stats`, to ask would change each event.
    """
    options = fields.values.get("stream_options")
    asked: dict[str, Any] | None = {}
    if options is not None and given(options):
        short = memoryview(options).nbytes <= MOST_OPTIONS_BYTES
        asked = decode(options, None, _OPTIONS) if short else None
    if asked is None or asked.get("include_usage") or asked.get("continuous_usage_stats"):
        return None
    value = msgspec.json.encode(asked | {"include_usage": True})
    return bytes(edited(fields, (changed(fields, "stream_options", (value,)),)).body)
