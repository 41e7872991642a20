"""Read what a request to the Responses API says about stored responses."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.json import Decoder

from pointsman.errors import RequestError
from pointsman.routing.body import BodyFields, decode, given

_FLAG: Decoder[bool | None] = Decoder(bool | None)
_ID: Decoder[str | None] = Decoder(str | None)


class ResponseStorage(NamedTuple):
    """The stored response that a request continues, and whether its own response is stored."""

    continues: str | None
    stores: bool


def storage_of(fields: BodyFields) -> ResponseStorage:
    """Return what a body says about stored responses; raises RequestError (400) if it chooses its response's id."""
    stores = bool(decode(fields.get("store"), True, _FLAG))
    if stores and given(fields.get("request_id")):
        raise RequestError(
            "`request_id` would become the id of the stored response, which must be vLLM's choice: leave it out and "
            "use the header X-Request-Id, or send `store: false`",
            status=400,
            code="unsupported_parameter",
            param="request_id",
        )
    return ResponseStorage(decode(fields.get("previous_response_id"), None, _ID), stores)
