"""Ask vLLM for the usage of a stream if the client has not; pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.config.model import RoutingOptions
from pointsman.routing.body import BodyFields, decode, given
from pointsman.routing.edits import USAGE_FIELD, BodyEdit, changed

FIELDS = ("stream", USAGE_FIELD)
"""The top-level fields that are read."""
MAX_OPTIONS_BYTES = 1024
_FLAG = Decoder(bool | None, strict=False)
_OPTIONS: Decoder[dict[str, Any]] = Decoder(dict[str, Any])


def has_arms(routing: RoutingOptions) -> bool:
    """Return whether any request is on an arm of an experiment, whose tokens are compared."""
    own = routing.categories.values()
    return "percent" in (routing.mode, *(one.mode for one in own)) or any(one.canary is not None for one in own)


def asking(fields: BodyFields) -> tuple[BodyEdit, ...]:
    """Return the change that asks for the usage of a stream; none if the client asks itself."""
    # vLLM accepts more words for true than these: everything that is not false is a stream.
    if "stream" not in fields.values or not decode(fields.values["stream"], True, _FLAG):
        return ()
    options = fields.values.get(USAGE_FIELD)
    asked: dict[str, Any] | None = {}
    if options is not None and given(options):
        short = memoryview(options).nbytes <= MAX_OPTIONS_BYTES
        asked = decode(options, None, _OPTIONS) if short else {}
    if asked is None or _is_on(asked.get("include_usage")):
        return ()
    # vLLM ignores `continuous_usage_stats` without `include_usage`; with both, usage would change each event.
    ours = {"include_usage": True} | ({"continuous_usage_stats": False} if "continuous_usage_stats" in asked else {})
    return (changed(fields, USAGE_FIELD, (msgspec.json.encode(asked | ours),)),)


def _is_on(value: object) -> bool:
    try:
        return msgspec.convert(value, bool, strict=False)
    except msgspec.ValidationError:
        return False
