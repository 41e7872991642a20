"""Reserve the tokens that a request may use, and have vLLM report the used ones, if its key's tokens are limited."""

from __future__ import annotations

from msgspec.json import Decoder

from pointsman.api.backend import Backend
from pointsman.config.decode import MAX_INTEGER
from pointsman.errors import NestedTooDeeply, RequestError, UsageUnknown
from pointsman.formats import FORMATS, Format, by_path
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.key_limiter import KeyLease
from pointsman.routing import json_scan, stream_usage
from pointsman.routing.body import BodyFields, Value, decode, given, kind, read_fields
from pointsman.routing.edits import edited
from pointsman.routing.json_scan import ByteSpan, JsonError
from pointsman.routing.steps import Steps

# Of English text; the rest of a body has more bytes a token.
BYTES_PER_TOKEN = 4
# More prompts than these are not counted: all that may be reserved is.
MAX_PROMPTS = 1000
_ALL_LENGTHS = tuple(dict.fromkeys(name for form in FORMATS for name in form.length_fields))
_ALL_PROMPTS = tuple(dict.fromkeys(name for form in FORMATS for name in form.prompts_fields))
_ANSWERS = ("n", "best_of")
_FIELDS = (*_ALL_LENGTHS, *_ANSWERS, "background", *stream_usage.FIELDS)
_NUMBER, _FLAG = Decoder(int), Decoder(bool)


async def reserve(backend: Backend, exchange: Exchange, lease: KeyLease, body: Received) -> Received:
    """Reserve the tokens of the prompts and the longest answers.

    Raises RateLimited (429), UsageUnknown (403), or NestedTooDeeply (400).

    Returns the body, which asks for the usage of a stream; the client gets no usage unless it has asked.
    """
    if not exchange.request.is_json:
        raise UsageUnknown("your key has a limit of tokens, and those of this request are not known: send JSON")
    form, step_scheduler = by_path(exchange.record.path), backend.router.step_scheduler
    names = _FIELDS + (form.prompts_fields if form.length_fields else _ALL_PROMPTS)
    try:
        fields = await step_scheduler.run(read_fields(body, names))
    except NestedTooDeeply:
        raise
    except RequestError:
        lease.reserve(len(body) // BYTES_PER_TOKEN, 0)  # vLLM refuses it
        return body
    background = fields.get("background")
    if given(background) and decode(background, True, _FLAG):
        raise UsageUnknown("your key has a limit of tokens, and those of a response in the background are not known")
    assumed = backend.config.pointsman.access.reserved_answer_tokens
    answers = await step_scheduler.run(_answer_tokens(fields, form, assumed))
    lease.reserve(len(body) // BYTES_PER_TOKEN, answers)
    # A long body is not copied for this.
    if not form.usage_on_request or not isinstance(body, bytes):
        return body
    asking = stream_usage.asking(fields)
    exchange.hides_usage = bool(asking)
    return bytes(edited(fields, asking).body) if asking else body


def _answer_tokens(fields: BodyFields, form: Format, assumed: int) -> Steps[int]:
    """Return the tokens that all answers may have, each `assumed` ones if the client does not limit its length."""
    if not form.generates:
        return 0
    prompts = yield from _prompts(fields, form.prompts_fields if form.length_fields else _ALL_PROMPTS)
    return prompts * max(1, _greatest(fields, _ANSWERS)) * _longest(fields, form.length_fields, assumed)


def _longest(fields: BodyFields, names: tuple[str, ...], usual: int) -> int:
    """Return the most tokens that one answer may have, as far as the client says."""
    said = _greatest(fields, names or _ALL_LENGTHS)
    # On a path of unknown format, nobody knows whether a field counts there.
    return said if names and said > 0 else max(said, usual)


def _greatest(fields: BodyFields, names: tuple[str, ...]) -> int:
    """Return the greatest of these numbers, or 0; a value that vLLM may read as a number counts as any."""
    values = [fields.values[name] for name in names if name in fields.values]
    return max([decode(value, MAX_INTEGER, _NUMBER) for value in values if given(value)], default=0)


def _prompts(fields: BodyFields, names: tuple[str, ...]) -> Steps[int]:
    """Return the number of the request's prompts, at least 1."""
    count = 0
    for name in names:
        count += yield from _elements(fields.get(name))
    return max(1, count)


def _elements(value: Value | None) -> Steps[int]:
    """Return the number of elements of a list; 1 if these are the tokens of one prompt or the messages of one chat."""
    if value is None or kind(value) != b"[":
        return 0
    shown = memoryview(value)
    if bytes(shown[1:64]).lstrip(json_scan.SPACES)[:1] not in (b'"', b"[", b""):
        return 1
    try:
        found = yield from json_scan.elements(shown, ByteSpan(0, shown.nbytes), MAX_PROMPTS)
    except JsonError:
        return 1  # vLLM refuses it
    return MAX_INTEGER if found is None else len(found)
