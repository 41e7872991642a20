"""Reserve the tokens that a request may use, and have vLLM tell the used ones, where its key's tokens are limited."""

from __future__ import annotations

from msgspec.json import Decoder

from pointsman.errors import RequestError, UsageUnknown
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.key_limiter import KeyLease
from pointsman.routing import stream_usage
from pointsman.routing.body import Fields, decode, fields_at_once, read_fields
from pointsman.routing.edits import edited
from pointsman.routing.steps import Lane

# The most tokens of an answer, in one API or another.
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_FIELDS = (*_MOST, "background", *stream_usage.FIELDS)
# A token of English text has about so many bytes; the rest of a body has more of them.
BYTES_PER_TOKEN = 4
_NUMBER, _FLAG = Decoder(int), Decoder(bool)


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
    if exchange.record.path not in stream_usage.PATHS or not isinstance(body, bytes):
        return body
    asking = stream_usage.asking(fields)
    exchange.hides_usage = bool(asking)
    return bytes(edited(fields, asking).body) if asking else body


def _longest_answer(fields: Fields) -> int:
    """Return the most tokens that the answer may have, 0 if the client does not say."""
    most = 0
    for name in _MOST:
        if name in fields.values:
            most = max(most, decode(fields.values[name], 0, _NUMBER))
    return most


def _flag(fields: Fields, name: str) -> bool:
    return name in fields.values and bool(decode(fields.values[name], False, _FLAG))
