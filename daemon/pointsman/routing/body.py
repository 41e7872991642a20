"""Decode JSON bodies one level deep; pure functions.

Values stay raw bytes, so everything that is not edited is forwarded unchanged: number formats, escapes, unknown fields,
order. Only what routing reads is decoded further.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec.json import Decoder

from pointsman.errors import RequestError

T = TypeVar("T")

_NULL = msgspec.Raw(b"null")


class _Part(msgspec.Struct):
    text: Any = None


class _Asked(msgspec.Struct):
    model: msgspec.Raw = _NULL


# Built once: building a decoder costs more than decoding a short message.
OBJECT = Decoder(dict[str, msgspec.Raw])
LIST = Decoder(list[msgspec.Raw])
_ASKED = Decoder(_Asked)
_STRING = Decoder(str)
# One decoder for all cases, as a prompt may be a list of 100,000 token ids.
_TEXT: Decoder[Any] = Decoder(str | list[str | _Part | int | float | bool | list[Any] | None])


def asked_model(body: bytes) -> str | None:
    """Return the requested model, or None if the client names none.

    Raises RequestError (400) if the body is not a JSON object or `model` is not a string.
    """
    return model_in(_decode_object(body, _ASKED).model)


def model_in(raw: msgspec.Raw | None) -> str | None:
    """Return the value of `model`, None for null and for an empty string; raises RequestError (400)."""
    model: str | None = decode(raw, None, _STRING)
    if model is None and given(raw):
        raise RequestError("`model` must be a string", status=400, code="invalid_type", param="model")
    return model or None


def model_of(body: bytes) -> str | None:
    """Return the requested model, or None if there is none or the body is not a JSON object."""
    try:
        model: str | None = decode(_decode_object(body, _ASKED).model, None, _STRING)
    except RequestError:
        return None
    return model


def with_model(body: bytes, model: str) -> bytes:
    """Return the body with another `model`; raises RequestError (400)."""
    return msgspec.json.encode(fields_of(body) | {"model": model})


def fields_of(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the top-level fields of a JSON object; raises RequestError (400)."""
    return _decode_object(body, OBJECT)


def decode(raw: msgspec.Raw | None, default: Any, decoder: Decoder[Any]) -> Any:
    """Decode a raw value; return `default` where it is absent or of another type."""
    if raw is None:
        return default
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return default


def given(raw: msgspec.Raw | None) -> bool:
    """Return whether a value is present and not null."""
    return raw is not None and bytes(raw) != b"null"


def text_of(raw: msgspec.Raw | None) -> str:
    """Return a string, or the strings and text parts of a list joined by spaces; empty for anything else."""
    content = decode(raw, "", _TEXT)
    return content if isinstance(content, str) else " ".join(filter(None, map(_part_text, content)))


def diff(before: bytes, after: bytes) -> Iterator[tuple[str, bytes | None, bytes]]:
    """Yield (field, old raw value or None, new raw value) for every top-level field that differs."""
    old = fields_of(before)
    for name, value in fields_of(after).items():
        if name not in old or bytes(old[name]) != bytes(value):
            yield name, bytes(old[name]) if name in old else None, bytes(value)


def _part_text(part: Any) -> str:
    text = part.text if isinstance(part, _Part) else part
    return text if isinstance(text, str) else ""


def _decode_object(body: bytes, decoder: Decoder[T]) -> T:
    try:
        str(body, "utf-8")  # msgspec does not check raw values
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 (byte {error.start})"
    except RecursionError:
        message = "the body is nested too deeply"
    except msgspec.ValidationError:
        message = "the body is not a JSON object"
    except msgspec.DecodeError as error:
        message = f"the body is not JSON ({error})"
    raise RequestError(message, status=400, code="invalid_json")
