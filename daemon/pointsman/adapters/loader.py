"""Brings the adapters that the config has a path for to each vLLM that serves their base, and takes them away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from pointsman.adapters.host import Failure
from pointsman.adapters.poller import Poller
from pointsman.config.model import Config, Endpoint, Lora
from pointsman.errors import RequestError, UpstreamBroken, UpstreamError, UpstreamTimeout
from pointsman.upstream.vllm_admin import LoraApi

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
# Of what may take vLLM down with it, each time.
LONGEST_DEADLY_PAUSE_SECONDS = 86_400.0


Note = Callable[[str, str, str, str | None], None]
"""Told of an endpoint, an adapter, what became of it (`loaded`, `unloaded`, `failed`), and why it failed."""


class Loader:
    """Changes one vLLM's adapters one at a time. What it loads gets no requests before it has answered one of ours."""

    def __init__(self, config: Config, poller: Poller, vllm: LoraApi, note: Note) -> None:
        self._config = config
        self._poller = poller
        self._vllm = vllm
        self._note = note

    async def settle(self, endpoint: Endpoint) -> None:
        """Load what should be there and is not, if the config says so; never raises UpstreamError."""
        host = self._poller.hosts[endpoint.name]
        if host.trouble is not None:
            return
        now = asyncio.get_running_loop().time()
        for lora in list(self._due(endpoint)):
            failure = host.failures.get(lora.name)
            if failure is None or failure.again <= now:
                with contextlib.suppress(UpstreamError):
                    await self._bring(endpoint, lora)

    def _due(self, endpoint: Endpoint) -> Iterator[Lora]:
        host = self._poller.hosts[endpoint.name]
        automatic = self._config.pointsman.adapters.load
        for base, lora in configured(self._config, endpoint):
            if host.lists(lora.name):
                wanted = lora.name in host.withheld  # it was loaded, and something came between
            else:
                wanted = automatic and lora.path is not None and lora.name not in host.held
            if wanted and self._serves(endpoint, base):
                yield lora

    def _serves(self, endpoint: Endpoint, base: str) -> bool:
        """Whether an endpoint serves a base model, be it under another name: an adapter of another base is noise."""
        name = self._poller.served.base_name(base, (endpoint,))
        host = self._poller.hosts[endpoint.name]
        return host.lists(name) and (name == base or name not in self._config.model_config)

    def health_changed(self, endpoint: str, well: bool) -> None:
        """An endpoint is down, or back, perhaps as another process: what it refused before it may take now."""
        host = self._poller.hosts[endpoint]
        host.down = not well
        self._poller.publish()
        if not well:
            return
        host.failures = {name: failure for name, failure in host.failures.items() if failure.deadly}
        self._poller.wake(endpoint)

    async def load(self, name: str) -> dict[str, str | None]:
        """Load an adapter of the config wherever its base is served.

        By endpoint: what went wrong, or None. Raises RequestError where there is nothing to try.
        """
        found = [(base, lora) for base, model in self._config.model_config.items() for lora in model.loras]
        base, lora = next(((base, lora) for base, lora in found if lora.name == name), (None, None))
        if base is None or lora is None:
            raise _impossible(f"the config has no adapter {name}; add it to the loras of its model", 404)
        if lora.path is None:
            raise _impossible(f"the config has no path for {name}; add `path` beside its name", 400)
        await self._poller.refresh()
        hosts = self._poller.hosts
        candidates = self._config.endpoints_of(name)
        endpoints = tuple(one for one in candidates if hosts[one.name].trouble or self._serves(one, base))
        if not endpoints:
            raise _impossible(f"no endpoint serves {base}, the base of {name}", 404)

        async def bring(endpoint: Endpoint) -> None:
            host = hosts[endpoint.name]
            if host.trouble:
                raise UpstreamError(host.trouble)
            host.held.discard(name)
            await self._bring(endpoint, lora)

        return await _each(endpoints, bring)

    async def unload(self, name: str) -> dict[str, str | None]:
        """Unload an adapter wherever it is served; it is not loaded again but by `load`. As `load` otherwise."""
        await self._poller.refresh()
        hosts = self._poller.hosts
        served = {card.id: card for host in hosts.values() for card in host.cards or ()}
        if name in served and served[name].parent is None:
            raise _impossible(f"{name} is a base model", 400)
        endpoints = tuple(one for one in self._poller.endpoints if hosts[one.name].lists(name))
        if not endpoints:
            raise _impossible(f"{name} is served nowhere", 404)
        return await _each(endpoints, lambda endpoint: self._take_away(endpoint, name))

    async def _bring(self, endpoint: Endpoint, lora: Lora) -> None:
        poller, name = self._poller, lora.name
        host = poller.hosts[endpoint.name]
        async with host.lock:
            if name in host.held or (host.lists(name) and name not in host.withheld):
                return  # it was unloaded, or loaded, while this waited for the lock
            host.loading = name
            host.withheld.add(name)
            poller.publish()
            try:
                await self._load(endpoint, lora)
                await self._prove(endpoint, name)
            except UpstreamError as error:
                self._failed(endpoint, name, error)
                if not host.lists(name):
                    host.withheld.discard(name)
                raise
            else:
                host.failures.pop(name, None)
                host.withheld.discard(name)
                self._note(endpoint.name, name, "loaded", None)
            finally:
                host.loading = None
                poller.publish()

    async def _load(self, endpoint: Endpoint, lora: Lora) -> None:
        host = self._poller.hosts[endpoint.name]
        if host.lists(lora.name):
            return
        await self._vllm.load(endpoint, lora.name, lora.path or "")
        await self._poller.poll(endpoint)
        if not host.lists(lora.name):
            raise UpstreamError(host.trouble or "vLLM says that it is loaded and does not list it")

    async def _prove(self, endpoint: Endpoint, name: str) -> None:
        try:
            await self._vllm.probe(endpoint, name)
        except UpstreamError:
            with contextlib.suppress(UpstreamError):
                await self._vllm.unload(endpoint, name)
                await self._poller.poll(endpoint)
            raise

    def _failed(self, endpoint: Endpoint, name: str, error: UpstreamError) -> None:
        failures = self._poller.hosts[endpoint.name].failures
        times = failures[name].times + 1 if name in failures else 1
        # It may have taken vLLM down, and would again and again.
        deadly = isinstance(error, UpstreamBroken | UpstreamTimeout)
        again = asyncio.get_running_loop().time() + pause(times, deadly=deadly)
        failures[name] = Failure(times, error.message, again, deadly)
        self._note(endpoint.name, name, "failed", error.message)

    async def _take_away(self, endpoint: Endpoint, name: str) -> None:
        poller, host = self._poller, self._poller.hosts[endpoint.name]
        async with host.lock:
            host.held.add(name)
            host.withheld.add(name)  # before vLLM refuses it, no request is on its way to it
            poller.publish()
            try:
                await self._vllm.unload(endpoint, name)
            except UpstreamError:
                host.held.discard(name)
                raise
            finally:
                await poller.poll(endpoint)
                host.withheld.discard(name)
                poller.publish()
            host.failures.pop(name, None)
            self._note(endpoint.name, name, "unloaded", None)


def pause(times: int, *, deadly: bool) -> float:
    """Seconds until the next try after so many failures in a row."""
    longest = LONGEST_DEADLY_PAUSE_SECONDS if deadly else LONGEST_PAUSE_SECONDS
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(times - 1, 30))


def configured(config: Config, endpoint: Endpoint) -> Iterator[tuple[str, Lora]]:
    """The adapters that an endpoint is meant to serve, each with its base model."""
    for base, model in config.model_config.items():
        if endpoint in config.endpoints_of(base):
            for lora in model.loras:
                yield base, lora


def _impossible(message: str, status: int) -> RequestError:
    return RequestError(message, status=status, code="adapter_unavailable")


async def _each(
    endpoints: tuple[Endpoint, ...], change: Callable[[Endpoint], Awaitable[None]]
) -> dict[str, str | None]:
    async def tried(endpoint: Endpoint) -> str | None:
        try:
            await change(endpoint)
        except UpstreamError as error:
            return error.message
        return None

    outcomes = await asyncio.gather(*map(tried, endpoints))
    return {endpoint.name: outcome for endpoint, outcome in zip(endpoints, outcomes, strict=True)}
