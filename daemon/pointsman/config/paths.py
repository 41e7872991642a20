"""The paths of the data port, and those of vLLM that no client may reach. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from pointsman.formats import FORMATS, RESPONSES


class DataPath(NamedTuple):
    """A method and a path; `{id}` stands for one segment, `{name}` for one or more."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


ROUTED = tuple(DataPath("POST", form.path) for form in FORMATS if form.routed)
RELAYED = tuple(DataPath("POST", form.path) for form in FORMATS if not form.routed)
STORED = (DataPath("GET", f"{RESPONSES.path}/{{id}}"), DataPath("POST", f"{RESPONSES.path}/{{id}}/cancel"))
REALTIME = DataPath("GET", "/v1/realtime")
"""A websocket."""
OWN = {
    "models": DataPath("GET", "/v1/models"),
    "model": DataPath("GET", "/v1/models/{name}"),
    "version": DataPath("GET", "/version"),
    "load": DataPath("GET", "/load"),
    "dry run": DataPath("POST", "/v1/route"),
    "feedback": DataPath("POST", "/v1/feedback"),
    "intent": DataPath("POST", "/api/v1/classify/intent"),
    "intents": DataPath("POST", "/api/v1/classify/batch"),
}
"""Paths with a handler of their own."""
ALL = (*ROUTED, *RELAYED, *STORED, REALTIME, *OWN.values())
"""All paths except those that tell whether the service is up, which cannot be removed."""
KEPT = ("/health", "/ready", "/ping")

# By any segment, as vLLM may serve them below a prefix. They change or show the server, and belong to its operator.
_ADMINISTRATION = re.compile(
    r"(un)?load_lora_adapter|adapters|sleep|wake_up|is_sleeping|release_kv_cache_memory|reset_\w+|pause|resume|is_paused"
    r"|abort_requests|collective_rpc|server_info|(start|stop)_profile|(is_scaling|scale)_elastic_ep|fault_tolerance"
    r"|\w*weight\w*|get_world_size|kv_event_sources|metrics|docs|redoc|openapi\.json",
    re.IGNORECASE,
)
_PATH = re.compile(r"(GET|POST) ((?:/[A-Za-z0-9_.~-]+)+)")


def added(text: str) -> DataPath:
    """Parse a path of vLLM to relay; raises ValueError with the advice."""
    match = _PATH.fullmatch(text)
    if match is None or {".", ".."} & set(match[2].split("/")):
        raise ValueError("write the method and the path: `POST /v2/embed`")
    path = DataPath(*match.groups())
    if any(_ADMINISTRATION.fullmatch(segment) for segment in path.path.split("/")):
        raise ValueError("remove it, and use vLLM's own address: clients are not to administer or inspect vLLM")
    return path


def is_listed(path: DataPath) -> bool:
    """Return whether clients can reach a path that nobody adds, or could."""
    return path in ALL or path.path in KEPT


def removed(text: str) -> DataPath:
    """Parse a path of the data port to remove; raises ValueError with the advice."""
    found = {str(path): path for path in ALL}.get(text)
    if found is None:
        raise ValueError("write a method and path that docs/vllm-paths.md lists, such as `POST /tokenize`")
    return found
