"""Refuse the fields by which a client would choose its position in vLLM's queue, or the source of its cache; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

import msgspec
from msgspec.json import Decoder

from pointsman.config.access import QueueField
from pointsman.errors import RequestError
from pointsman.routing import json_scan
from pointsman.routing.body import BodyFields, Value, decode, given, kind, view
from pointsman.routing.edits import PRIORITY_FIELD, is_empty
from pointsman.routing.json_scan import JsonError
from pointsman.routing.steps import Steps

# vLLM reads the parameters of a transfer from here, too.
_EXTRA = "vllm_xargs"
_CHOSEN: tuple[str, ...] = get_args(QueueField)
_TRANSFERS = tuple(name for name in _CHOSEN if name != PRIORITY_FIELD)
FIELDS = (*_CHOSEN, _EXTRA)
"""The top-level fields that are read."""
MAX_NUMBER_BYTES = 64
_ANY: Decoder[Any] = msgspec.json.Decoder()


def chooses(fields: BodyFields) -> bool:
    """Return whether a body has any of these fields."""
    return not fields.values.keys().isdisjoint(FIELDS)


def check(fields: BodyFields, allowed: Collection[str]) -> Steps[None]:
    """Raise RequestError (400) for a forbidden field, unless vLLM treats its value as the default."""
    for name in _CHOSEN:
        if name in fields.values and name not in allowed and not _is_default(name, fields.values[name]):
            raise _refused(name, name)
    extra = fields.values.get(_EXTRA)
    if extra is None:
        return
    shown = memoryview(extra)
    try:
        inside = (yield from json_scan.members(shown, _TRANSFERS)) or {}
    except JsonError:
        raise _refused(_TRANSFERS[0], _EXTRA) from None
    for name, span in inside.items():
        if name not in allowed and given(view(shown, span)):
            raise _refused(name, _EXTRA)


def _is_default(name: str, value: Value) -> bool:
    """Return whether vLLM treats a value as the default, or refuses it; a doubtful value counts as a choice."""
    if not given(value):
        return True
    shown = memoryview(value)
    if name != PRIORITY_FIELD:
        return kind(value) == b"{" and is_empty(shown)
    number = decode(value, None, _ANY) if shown.nbytes <= MAX_NUMBER_BYTES else None
    try:
        return isinstance(number, int | float | str) and float(number) == 0
    except ValueError:
        return False


def _refused(name: str, field: str) -> RequestError:
    return RequestError(
        f"`{name}` is not for clients to choose here: leave it out, or ask the operator to name it in "
        "pointsman.access.allowed_fields, or in allowed_fields of your key",
        status=400,
        code="field_not_allowed",
        param=field,
    )
