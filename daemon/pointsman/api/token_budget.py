"""Reserve the tokens that a request may use, where its key's tokens are limited."""

from __future__ import annotations

from msgspec.json import Decoder

from pointsman.errors import RequestError, UsageUnknown
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.routing.body import Fields, decode, read_fields
from pointsman.routing.steps import Lane

# The most tokens of an answer, in one API or another.
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_FIELDS = (*_MOST, "background")
# A token of English text has about so many bytes; the rest of a body has more of them.
BYTES_PER_TOKEN = 4
_NUMBER, _FLAG = Decoder(int), Decoder(bool)


async def reserve(exchange: Exchange, lane: Lane, body: Received, *, is_json: bool) -> None:
    """Take what the prompt and the longest answer may use; raises RateLimited (429), or UsageUnknown (403)."""
    lease = exchange.lease
    if lease is None or not lease.counts_tokens:
        return
    if not is_json:
        raise UsageUnknown("your key has a limit of tokens, and those of this request are not known: send JSON")
    try:
        fields = await lane.run(read_fields(body, _FIELDS))
    except RequestError:
        lease.reserve(len(body) // BYTES_PER_TOKEN, 0)  # vLLM refuses it
        return
    if decode(fields.get("background"), False, _FLAG):
        raise UsageUnknown("your key has a limit of tokens, and those of a response in the background are not known")
    lease.reserve(len(body) // BYTES_PER_TOKEN, _longest_answer(fields))


def _longest_answer(fields: Fields) -> int:
    """Return the most tokens that the answer may have, 0 if the client does not say."""
    given: list[int] = [decode(fields.get(name), 0, _NUMBER) for name in _MOST]
    return max(0, *given)
