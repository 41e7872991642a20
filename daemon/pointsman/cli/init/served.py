"""Query the models of a vLLM."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from pointsman.cli.http_client import CallFailed, HttpClient, connected
from pointsman.config.model import Endpoint
from pointsman.errors import CommandFailed

MAX_MODELS = 1_000
MAX_NAME_CHARACTERS = 500
_ROUTED_NAMES = {"MoM", "auto"}
"""Model names that Pointsman itself answers by default; no vLLM has a model of such a name."""


class InitError(CommandFailed):
    """No config can be written; the message says why."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter; `path` is its folder as vLLM sees it."""

    name: str
    base: str
    path: str | None


@dataclass(frozen=True, slots=True)
class VllmInventory:
    """The models of a vLLM: one or more base models with the name or path of their weights, and their adapters."""

    version: str | None
    bases: dict[str, str | None]
    adapters: tuple[Adapter, ...]

    def of(self, base: str) -> list[Adapter]:
        """Return the adapters of a base model."""
        return [adapter for adapter in self.adapters if adapter.base == base]

    @property
    def default(self) -> str:
        """Return the base model with the most adapters."""
        return max(self.bases, key=lambda base: len(self.of(base)))


class _ModelEntry(msgspec.Struct):
    id: str
    parent: str | None = None
    root: str | None = None


class _ModelEntries(msgspec.Struct):
    data: list[_ModelEntry]


class _Version(msgspec.Struct):
    version: str


async def ask_vllm(endpoint: Endpoint, key: bytes | None) -> VllmInventory:
    """Query the models and the version; raises InitError, or CallFailed if vLLM does not answer."""
    async with connected(endpoint, key) as vllm:
        status, body = await vllm.get("/v1/models")
        if status in {401, 403}:
            raise InitError(_key(endpoint, status, key is not None))
        if status != 200:
            raise InitError(f"{endpoint.address} answers `/v1/models` with status {status}; is this vLLM's address?")
        return read(endpoint.address, body, await _version(vllm))


def _key(endpoint: Endpoint, status: int, given: bool) -> str:
    if given:
        return f"{endpoint.address} refuses the key (status {status}); put the key of vLLM's --api-key in the file"
    return (
        f"{endpoint.address} requires a key (status {status}); put the key of vLLM's --api-key in a file and name it "
        "with --api-key-file"
    )


async def _version(vllm: HttpClient) -> str | None:
    """Return the version, or None if there is none: not every OpenAI-compatible server has this path."""
    try:
        status, body = await vllm.get("/version")
        found = msgspec.json.decode(body, type=_Version).version if status == 200 else ""
    except (CallFailed, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if re.fullmatch(r"[\w.+-]{1,40}", found, re.ASCII) else None


def read(where: str, body: bytes, version: str | None) -> VllmInventory:
    """Parse a `/v1/models` response; `where` is its address for messages. Raises InitError."""
    try:
        cards = {card.id: card for card in msgspec.json.decode(body, type=_ModelEntries).data}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InitError(
            f"{where} answers `/v1/models`, but not as vLLM does ({error}); is this the address of a vLLM?"
        ) from error
    bases = {card.id: card.root for card in cards.values() if card.parent is None}
    if not bases:
        raise InitError(f"{where} serves no base model; start vLLM with one")
    if len(cards) > MAX_MODELS:
        raise InitError(f"{where} lists {len(cards):,} models, but `init` supports at most {MAX_MODELS:,}")
    if not all(0 < len(name) <= MAX_NAME_CHARACTERS for name in cards):
        raise InitError(f"{where} lists a model whose name is empty or longer than {MAX_NAME_CHARACTERS} characters")
    if routed := _ROUTED_NAMES.intersection(cards):
        raise InitError(f"{where} serves {min(routed)!r}, as Pointsman itself does; name the address of vLLM")
    return VllmInventory(
        version, bases, tuple(_adapter(card, bases) for card in cards.values() if card.parent is not None)
    )


def _adapter(card: _ModelEntry, bases: dict[str, str | None]) -> Adapter:
    """Return the adapter; the first base model stands for a parent that vLLM does not serve under that name."""
    base = card.parent if card.parent is not None and card.parent in bases else next(iter(bases))
    return Adapter(card.id, base, None if card.root in {None, "", card.id} else card.root)
