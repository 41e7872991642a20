"""Define the access of clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem

QueueField = Literal["priority", "kv_transfer_params", "ec_transfer_params"]
"""A field of a body by which a client chooses its position in vLLM's queue, or the source of its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessOptions:
    keys_file: str | None = option(
        "File (relative to this one) with the clients' keys, which `pointsman keys` writes; every request needs one of "
        "them then. Read again when it changes.",
        None,
        file=True,
    )
    allow_anonymous: bool = option(
        "Listen beyond the loopback with vLLM's key (`relay.api_key_file`) and without client keys: everyone who "
        "reaches the address is served.",
        False,
    )
    allowed_fields: tuple[QueueField, ...] = option(
        "Fields of a body by which every client may choose its place in vLLM's queue (`priority`), or from where vLLM "
        "takes its cache; else they are refused. A key may have `allowed_fields` of its own.",
        (),
    )
    reserved_answer_tokens: int = option(
        "Where a key's tokens are limited: how many are reserved for each answer of a request that does not say how "
        "long it may be. An answer that becomes longer is not cut; what is beyond the limit is owed.",
        1024,
        minimum=1,
        maximum=2**31 - 1,
    )


def problems(options: AccessOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problem that clients need a key and need none."""
    if options.keys_file is not None and options.allow_anonymous:
        message = "with keys_file every client needs a key, so none is anonymous"
        yield source_map.problem(("allow_anonymous",), message, "remove one of the two")
