"""Keep the endpoints that are vLLM servers, without duplicate addresses or names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.config.yaml_tree import Items, Node, Table
from pointsman.migration.nodes import changed, children, entries, find, items, number, scalar, table, text
from pointsman.migration.note import Notes

_VLLM = ("vllm", "chat", "vllm_omni")
_KEYS = ("api_key", "api_key_env", "access_key")
_KEY_FILE = "put the key in a file and name it in pointsman.relay.api_key_file"
_SCHEME_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The kept endpoints: `migrated` maps each name of the file to the kept endpoint, `kinds` each name to its API."""

    root: Table
    made: Items
    migrated: Mapping[str, str]
    kinds: Mapping[str, str]


def rewrite(root: Table, notes: Notes) -> Endpoints:
    """Return the root with the endpoints that Pointsman can relay to."""
    reader = _EndpointReader(root, notes)
    for node in children(root, "vllm_endpoints"):
        reader.read(node)
    if profiles := find(root, "provider_profiles"):
        notes.dropped(profiles, "endpoints are vLLM servers, which need no profile")
    made = items(root.entries.get("vllm_endpoints", root), reader.made)
    rest = changed(root, {"vllm_endpoints": None, "provider_profiles": None})
    return Endpoints(rest, made, reader.migrated, reader.kinds)


class _EndpointReader:
    def __init__(self, root: Table, notes: Notes) -> None:
        self._profiles = entries(root, "provider_profiles")
        self._notes = notes
        self._by_address: dict[tuple[str, int | None], Table] = {}
        self.made: list[Table] = []
        self.migrated: dict[str, str] = {}
        self.kinds: dict[str, str] = {}

    def read(self, node: Node) -> None:
        """Keep one endpoint, or note why it is dropped."""
        if not isinstance(node, Table):
            self._notes.dropped(node, "expected a mapping with name, address and port")
            return
        kind = self._kind(node)
        name = text(node, "name") or "vllm"
        self.kinds[name] = kind
        if kind not in _VLLM:
            self._notes.dropped(node, f"it has the API of {kind}, but Pointsman relays only to vLLM servers")
            return
        if text(node, "address") is None:
            self._notes.dropped(node, "it has no address")
            return
        self._keep(node, name)

    def _kind(self, node: Table) -> str:
        """Return the API of an endpoint, from its profile, its provider or its type."""
        profile = self._profiles.get(text(node, "provider_profile") or "")
        return (text(profile, "type") or text(node, "provider") or text(node, "type") or "vllm").lower()

    def _keep(self, node: Table, name: str) -> None:
        address, port = _address(node)
        same = self._by_address.get((address, port))
        if same is not None:
            self._note_same(node, same)
            self.migrated.setdefault(name, text(same, "name") or "")
            return
        unique = _unique(name, {text(one, "name") or "" for one in self.made})
        if unique != name:
            self._notes.changed(node, f'renamed to "{unique}": another endpoint has the name "{name}"')
        made = table(node, {**self._rest(node), "name": scalar(node, unique)} | _address_fields(node, address, port))
        self._by_address[address, port] = made
        self.made.append(made)
        self.migrated.setdefault(name, unique)

    def _note_same(self, node: Table, same: Table) -> None:
        shown = text(same, "name")
        own = number(node, "weight"), number(same, "weight")
        weight = "" if own[0] == own[1] else f"; its weight {own[0] or 1:g} is dropped"
        self._notes.changed(node, f"same address as {shown}: merged into one endpoint{weight}")

    def _rest(self, node: Table) -> dict[str, Node]:
        """Return the keys that the walk reads or notes as dropped."""
        own = ("protocol", "type", "provider", "provider_profile", *_KEYS)
        for key in _KEYS:
            if text(node, key):
                self._notes.dropped(node.entries[key], f"keys are not migrated: {_KEY_FILE}")
        return {key: value for key, value in node.entries.items() if key not in own}


def _address(node: Table) -> tuple[str, int | None]:
    """Return address and port as Pointsman writes them: host and port, or a URL that contains its port.

    Without a port, the default of an explicit scheme is used; otherwise the port is None.
    """
    given = text(node, "address") or ""
    if given.startswith("unix:"):
        return given, None
    scheme, _, rest = given.rpartition("://")
    given_scheme = (scheme or text(node, "protocol") or "").lower()
    scheme = given_scheme or "http"
    authority, _, path = rest.partition("/")
    host, _, own_port = authority.rpartition(":")
    port = int(own_port[:6]) if host and own_port.isdecimal() and not host.count(":") else None
    host = host if port is not None else authority
    port = port or int(number(node, "port") or 0) or _SCHEME_PORTS.get(given_scheme)
    prefix = path.strip("/").removesuffix("v1").rstrip("/")
    if scheme == "http" and not prefix:
        return host, port
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{shown}" + (f":{port}" if port else "") + (f"/{prefix}" if prefix else ""), None


def _address_fields(node: Table, address: str, port: int | None) -> dict[str, Node | None]:
    at = find(node, "address") or node
    return {"address": scalar(at, address), "port": None if port is None else scalar(find(node, "port") or at, port)}


def _unique(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(one for i in range(2, len(taken) + 3) if (one := f"{name}-{i}") not in taken)
