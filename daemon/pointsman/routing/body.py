"""Read JSON bodies one level deep; pure, in steps.

Values stay views of the body, so everything that is not edited is forwarded unchanged: number formats, escapes, unknown
fields, order, white space. Only what routing reads is decoded further.
"""

from __future__ import annotations

import codecs
import functools
import json
from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.errors import RequestError
from pointsman.long_body import Received
from pointsman.routing import json_scan
from pointsman.routing.json_scan import JsonFault, Span
from pointsman.routing.steps import Steps, finish

# msgspec reads this much at once, in 1.3 ms at worst; what is larger is scanned in steps.
AT_ONCE = 512 * 1024
# To make so many objects of messages takes it another 0.5 ms.
MOST_OBJECTS = 8192
# A body of this size is not scanned for its model alone first: to scan it again would cost more than its fields.
SCANNED_ONCE = 8 * 1024
# Python's decoder has the last word on what msgspec refuses, as in vLLM. It makes an object of everything.
JUDGED_AT_ONCE = 64 * 1024
# A value is looked for by so many of its first bytes, and in so many places. To read a longer text up to each of them
# would take 10 ms, and to scan it takes 2.
_FIRST_BYTES = 16
_PLACES = 4
_PROBED_BYTES = 64 * 1024

Value = msgspec.Raw
"""A JSON value, as a view of the body."""
ABSENT = msgspec.Raw()

FIELDS = (
    "model",
    "messages",
    "input",
    "prompt",
    "system",
    "instructions",
    "chat_template_kwargs",
    "reasoning",
    "reasoning_effort",
    "tools",
    "functions",
    "tool_choice",
)
"""The top-level fields that routing reads or edits, unless the config names others."""


class _Named(msgspec.Struct, gc=False):
    model: str = ""


_STRING = Decoder(str)
_NAMED = Decoder(_Named)


class Message(msgspec.Struct, gc=False):
    """A message: no role if it is not a string; the content is a view of the body, empty if there is none."""

    role: str | None = None
    content: Value = ABSENT


class ScannedMessage(Message, gc=False):
    """A message that was not decoded as a whole: its content begins at `start` of the list of messages."""

    start: int = 0


class Fields(msgspec.Struct, frozen=True):
    """The top-level fields of a body that were asked for: `data` is the body in UTF-8, which edits change.

    `body` is what the client sent: the same bytes, unless it was UTF-16, UTF-32, or had a byte order mark.
    """

    body: Received
    data: Received
    values: dict[str, Value]
    """Those that the body has not are ABSENT, or left out."""
    messages: list[Message] | None = None
    """The messages of a body of usual size and form, read along with its fields."""
    spans: dict[str, Span] = msgspec.field(default_factory=dict)
    """Where the fields are, of a body that was scanned."""

    def get(self, name: str) -> Value | None:
        """Return a value, None where there is none."""
        if self.messages is not None and name == "messages":
            value: Value | None = _members_at_once(bytes(self.data), ("messages",))[name]
        else:
            value = self.values.get(name)
        return None if value is ABSENT else value

    def start(self, name: str, value: Value) -> int:
        """Return where in `data` a field begins whose value is `value`."""
        if name not in self.spans:
            at = _probed(bytes(self.data), name, value)
            if at is not None:
                return at
            found = finish(json_scan.members(self.data, (*self.values, "messages")))
            self.spans.update(found or {})
        return self.spans[name].start

    @property
    def model(self) -> str | None:
        """Return the requested model, None for null and for an empty string; raises RequestError (400)."""
        value = self.get("model")
        if value is None:
            return None
        try:
            return _STRING.decode(value) or None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if not given(value):
                return None
        raise RequestError("`model` must be a string of Unicode text", status=400, code="invalid_type", param="model")


def fields_at_once(body: Received, names: tuple[str, ...]) -> Fields | None:
    """Return these fields, `messages` among them, of a body of usual size and form; of any other None."""
    if not isinstance(body, bytes) or len(body) > AT_ONCE or body[:1] != b"{" or has_many_objects(body):
        return None
    try:
        found = _members_at_once(body, names, _with_messages(names))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    messages = found.pop("messages")
    return Fields(body, body, found, None if messages is ABSENT else messages)


def read_fields(body: Received, names: tuple[str, ...] = FIELDS) -> Steps[Fields]:
    """Return these fields of a body; raises RequestError (400) if it is not a JSON object or nested too deeply.

    What vLLM takes is accepted. In a body of more than a few KiB, faults inside of values are left for vLLM to report.
    """
    plain = body[:1] == b"{" and body[1:2] != b"\0"
    encoding = "utf-8" if plain else json.detect_encoding(body[:4])
    data = body if encoding == "utf-8" else (yield from _transcoded(body, encoding))
    if isinstance(data, bytes) and len(data) <= AT_ONCE:
        try:
            return Fields(body, data, _members_at_once(data, names))
        except msgspec.ValidationError:
            raise _no_object() from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            _judge(data)
    try:
        spans = yield from json_scan.members(data, names)
    except JsonFault as fault:
        raise _invalid(f"the body is not JSON ({fault})") from None
    if spans is None:
        raise _no_object()
    return Fields(body, data, {name: view(data, span) for name, span in spans.items()}, spans=spans)


def _members_at_once(data: bytes, names: tuple[str, ...], decoder: Decoder[Any] | None = None) -> dict[str, Any]:
    if not data.isascii():
        str(data, "utf-8")  # msgspec does not check what it skips
    found = (decoder or object_decoder(names)).decode(data)
    return dict(zip(names, msgspec.structs.astuple(found), strict=True))


@functools.lru_cache(64)
def object_decoder(names: tuple[str, ...], messages: type = msgspec.Raw) -> Decoder[Any]:
    """Return a decoder of objects that reads these members as views, absent ones as empty, and skips all others."""
    fields = [(f"f{place}", messages if name == "messages" else Value, ABSENT) for place, name in enumerate(names)]
    rename = {f"f{place}": name for place, name in enumerate(names)}
    return Decoder(msgspec.defstruct("Members", fields, rename=rename, gc=False))


@functools.lru_cache(64)
def _with_messages(names: tuple[str, ...]) -> Decoder[Any]:
    return object_decoder(names, list[Message])


def _judge(data: bytes) -> None:
    """Raise RequestError if a short text is not JSON for vLLM, which reads it with this decoder."""
    if len(data) > JUDGED_AT_ONCE:
        return
    try:
        json.loads(data)
    except json.JSONDecodeError as fault:
        raise _invalid(f"the body is not JSON ({fault.msg} at character {fault.pos})") from None
    except UnicodeDecodeError as fault:
        raise _invalid(f"the body is not UTF-8 (byte {fault.start})") from None
    except RecursionError:
        raise _invalid("the body is nested too deeply") from None
    except ValueError as fault:  # an integer of thousands of digits
        raise _invalid(f"the body is not JSON ({fault})") from None


def _transcoded(body: Received, encoding: str) -> Steps[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    pieces: list[bytes] = []
    try:
        for at in range(0, len(body), json_scan.CHUNK):
            piece = decoder.decode(body[at : at + json_scan.CHUNK], at + json_scan.CHUNK >= len(body))
            pieces.append(piece.encode("utf-8", "surrogatepass"))
            yield
    except UnicodeDecodeError:
        raise _invalid(f"the body is not {encoding.upper()}, as it seems by its first bytes") from None
    return b"".join(pieces)


def model_of(fields: Fields) -> str | None:
    """Return the requested model, or None if there is none or it is not a string."""
    try:
        return fields.model
    except RequestError:
        return None


def model_at_once(body: Received) -> str | None:
    """Return the requested model of a short body of usual form; of any other None, and all its fields are read."""
    if not isinstance(body, bytes) or len(body) > SCANNED_ONCE:
        return None
    try:
        if not body.isascii():
            str(body, "utf-8")  # msgspec does not check what it skips
        return _NAMED.decode(body).model or None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def has_many_objects(text: bytes) -> bool:
    """Return whether a text may have more than MOST_OBJECTS objects."""
    return len(text) > 3 * MOST_OBJECTS and text.count(b"{") > MOST_OBJECTS


def view(data: json_scan.Text, span: Span) -> Value:
    """Return a part of a body, without a copy."""
    return msgspec.Raw(memoryview(data)[span.start : span.end])


def start_of(text: bytes, name: str, value: Value) -> int:
    """Return where in an object the value of its member `name` begins, the last of duplicates; bytes may follow it."""
    at = _probed(text, name, value)
    return (finish(json_scan.members(text, (name,), Span(0, len(text)))) or {})[name].start if at is None else at


def _probed(text: bytes, name: str, value: Value) -> int | None:
    """Return where the value of a member begins, as `start_of` does, or None if that would take long.

    Where the value's first bytes occur more than once, an occurrence is the member's if what precedes it is an object
    up to a member of this name: another value and a bracket then make it whole.
    """
    shown = memoryview(value)
    first = bytes(shown[:_FIRST_BYTES])
    at = text.find(first)
    if text.find(first, at + 1) < 0:  # `rfind` takes twice as long
        return at
    at = text.rfind(first)
    decoder = object_decoder((name,))
    other = b"0" if len(shown) > 1 else b"10"  # no value of one byte is two bytes long
    for _ in range(_PLACES if len(text) <= _PROBED_BYTES else 0):
        try:
            if bytes(decoder.decode(b"%b%b}" % (text[:at], other)).f0) == other:
                return at
        except (msgspec.MsgspecError, RecursionError):
            pass  # it is inside of a value
        at = text.rfind(first, 0, at + len(first) - 1)
        if at < 0:
            break
    return None


def kind(value: Value | None) -> bytes:
    """Return the first byte of a value, which tells its type; empty if it is absent."""
    return b"" if value is None else bytes(memoryview(value)[:1])


def decode(value: Value | None, default: Any, decoder: Decoder[Any]) -> Any:
    """Decode a value; return `default` where it is absent or of another type."""
    if value is None:
        return default
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return default


def given(value: Value | None) -> bool:
    """Return whether a value is present and not null."""
    return value is not None and bytes(memoryview(value)[:5]) not in (b"", b"null")


def _no_object() -> RequestError:
    return _invalid("the body is not a JSON object")


def _invalid(message: str) -> RequestError:
    return RequestError(message, status=400, code="invalid_json")
