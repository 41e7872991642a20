"""Check access: options that contradict client keys, and addresses at which strangers would be served. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pointsman.config.loops import is_local
from pointsman.config.model import Config
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys
from pointsman.errors import Problem

REACHABLE = (
    "is beyond the loopback: everyone who reaches it would be served with the key in pointsman.relay.api_key_file"
)
KEEP_OUT = (
    "name a file of client keys in pointsman.access.keys_file (`pointsman keys add` writes it), listen on 127.0.0.1 or "
    "a Unix socket, or say pointsman.access.allow_anonymous: true"
)


def access_problems(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of `access`, and of options that contradict it."""
    yield from _contradictions(config, source_map)
    if not serves_anybody(config):
        return
    for i, text in enumerate(config.pointsman.server.listen):
        keys: Keys = ("pointsman", "server", "listen", i)
        with contextlib.suppress(ValueError):
            if source_map.known(*keys) and not is_local(text):
                yield source_map.problem(keys, f'"{text}" {REACHABLE}', KEEP_OUT)


def _contradictions(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    options = config.pointsman
    if options.access.keys_file is None:
        return
    if options.access.allow_anonymous:
        message = "with keys_file every client needs a key, so none is anonymous"
        yield source_map.problem(("pointsman", "access", "allow_anonymous"), message, "remove one of the two")
    if options.relay.forward_authorization:
        message = "with pointsman.access.keys_file the clients' keys are this service's, and vLLM never gets them"
        fix = "remove it, and name the file with vLLM's own key in api_key_file"
        yield source_map.problem(("pointsman", "relay", "forward_authorization"), message, fix)


def serves_anybody(config: Config) -> bool:
    """Return whether everyone who reaches the data port is served with our key, without an explicit setting."""
    options = config.pointsman
    with_our_key = options.relay.api_key_file is not None
    return with_our_key and options.access.keys_file is None and not options.access.allow_anonymous
