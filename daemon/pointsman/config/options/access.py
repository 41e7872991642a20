"""Define who may ask."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.config.options.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessOptions:
    keys_file: str | None = option(
        "File (relative to this one) with the clients' keys, which `pointsman keys` writes; every request needs one of "
        "them then. Read again when it changes.",
        None,
    )
    allow_anonymous: bool = option(
        "Listen beyond the loopback with vLLM's key (`relay.api_key_file`) and without client keys: whoever reaches "
        "the address is served.",
        False,
    )
