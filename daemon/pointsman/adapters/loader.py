"""Load the configured adapters into each vLLM that serves their base model, and unload them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from pointsman.adapters.host import LoadFailure
from pointsman.adapters.poller import Poller
from pointsman.config.model import Config, Endpoint, Lora
from pointsman.config.overlay import UnloadedAdapter
from pointsman.errors import RequestError, UpstreamBroken, UpstreamError, UpstreamTimeout
from pointsman.upstream.vllm_admin import LoraApi

FIRST_PAUSE_SECONDS = 10.0
MAX_PAUSE_SECONDS = 300.0
# Longest pause after a failure that may have crashed vLLM.
MAX_DEADLY_PAUSE_SECONDS = 86_400.0


Note = Callable[[str, str, str, str | None], None]
"""Called with an endpoint, an adapter, the outcome (`loaded`, `unloaded` or `failed`), and the error."""


class Loader:
    """A loader of one config's adapters, which makes one change at a time for each vLLM.

    A loaded adapter gets no requests until it has answered a probe.
    """

    def __init__(
        self, config: Config, poller: Poller, vllm: LoraApi, note: Note, unloaded: dict[str, UnloadedAdapter]
    ) -> None:
        """Take `unloaded`, the adapters unloaded by hand, to which `unload` adds."""
        self._unloaded = unloaded
        self._config = config
        self._poller = poller
        self._vllm = vllm
        self._note = note

    async def settle(self, endpoint: Endpoint) -> None:
        """Load missing adapters of the config if `pointsman.adapters.load` is set; never raises UpstreamError."""
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
                wanted = lora.name in host.withheld  # loaded, but not probed yet
            else:
                wanted = automatic and lora.path is not None and lora.name not in host.unloaded
            if wanted and self._serves(endpoint, base):
                yield lora

    def _serves(self, endpoint: Endpoint, base: str) -> bool:
        """Return whether an endpoint serves a base model, possibly under another name.

        An adapter loaded onto another base would only produce noise.
        """
        name = self._poller.served.base_name(base, (endpoint,))
        host = self._poller.hosts[endpoint.name]
        return host.lists(name) and (name == base or name not in self._config.model_config)

    def health_changed(self, endpoint: str, well: bool) -> None:
        """Record that an endpoint is down or back.

        An endpoint that is back may be a new process, so failures are cleared.
        """
        host = self._poller.hosts[endpoint]
        host.down = not well
        self._poller.publish()
        if not well:
            return
        host.failures = {name: failure for name, failure in host.failures.items() if failure.deadly}
        self._poller.wake(endpoint)

    def _loras(self) -> Iterator[tuple[str, Lora]]:
        for base, model in self._config.model_config.items():
            for lora in model.loras:
                yield base, lora

    async def load(self, name: str) -> dict[str, str | None]:
        """Load an adapter that is configured, or was unloaded, on every endpoint that serves its base model.

        Returns the error, or None, by endpoint. Raises RequestError if the adapter cannot be loaded anywhere.
        """
        base, lora = next(((base, lora) for base, lora in self._loras() if lora.name == name), (None, None))
        known = self._unloaded.get(name)
        if known is not None and (lora is None or lora.path is None):
            base, lora = base or known.base, Lora(name=name, path=known.path)
        if base is None or lora is None:
            raise _impossible(f"the config has no adapter {name}; add it to the loras of its model", 404)
        if lora.path is None:
            raise _impossible(f"the config has no path for {name}; add `path` next to its name", 400)
        await self._poller.refresh()
        hosts = self._poller.hosts
        candidates = self._config.endpoints_of(name)
        endpoints = tuple(one for one in candidates if hosts[one.name].trouble or self._serves(one, base))
        if not endpoints:
            raise _impossible(f"no endpoint serves {base}, the base model of {name}", 404)

        async def bring(endpoint: Endpoint) -> None:
            host = hosts[endpoint.name]
            if host.trouble:
                raise UpstreamError(host.trouble)
            host.unloaded.discard(name)
            await self._bring(endpoint, lora)

        return await _each(endpoints, bring)

    async def unload(self, name: str, *, force: bool = False) -> dict[str, str | None]:
        """Unload an adapter on every endpoint that serves it; only `load` loads it again.

        Returns and raises as `load` does. If its path is unknown, `force` is needed.
        """
        await self._poller.refresh()
        hosts = self._poller.hosts
        served = {card.id: card for host in hosts.values() for card in host.cards or ()}
        if name in served and served[name].parent is None:
            raise _impossible(f"{name} is a base model", 400)
        endpoints = tuple(one for one in self._poller.endpoints if hosts[one.name].lists(name))
        if not endpoints:
            raise _impossible(f"{name} is served nowhere", 404)
        configured_paths = [lora.path for _, lora in self._loras() if lora.name == name and lora.path]
        path = next(iter(configured_paths), served[name].root)
        if path is None and not force:
            message = f"{name} could not be loaded again: vLLM reports no path for it, and the config has none"
            raise _impossible(f"{message}; add `path` next to its name, or use --force", 409)
        if path is not None:
            self._unloaded.pop(name, None)
            self._unloaded[name] = UnloadedAdapter(base=served[name].parent or "", path=path)
        return await _each(endpoints, lambda endpoint: self._take_away(endpoint, name))

    async def _bring(self, endpoint: Endpoint, lora: Lora) -> None:
        poller, name = self._poller, lora.name
        host = poller.hosts[endpoint.name]
        async with host.lock:
            if name in host.unloaded or (host.lists(name) and name not in host.withheld):
                return  # another call loaded or unloaded it while this one waited for the lock
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
            raise UpstreamError(host.trouble or "vLLM reports it as loaded but does not list it in `/v1/models`")

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
        # A crash may repeat with every attempt.
        deadly = isinstance(error, UpstreamBroken | UpstreamTimeout)
        again = asyncio.get_running_loop().time() + pause(times, deadly=deadly)
        failures[name] = LoadFailure(times, error.in_full, again, deadly)
        self._note(endpoint.name, name, "failed", error.in_full)

    async def _take_away(self, endpoint: Endpoint, name: str) -> None:
        poller, host = self._poller, self._poller.hosts[endpoint.name]
        async with host.lock:
            host.unloaded.add(name)
            host.withheld.add(name)  # before vLLM refuses it, so that no request reaches vLLM too late
            poller.publish()
            try:
                await self._vllm.unload(endpoint, name)
            except UpstreamError:
                host.unloaded.discard(name)
                raise
            finally:
                await poller.poll(endpoint)
                host.withheld.discard(name)
                poller.publish()
            host.failures.pop(name, None)
            self._note(endpoint.name, name, "unloaded", None)


def pause(times: int, *, deadly: bool) -> float:
    """Return the seconds until the next attempt after this many failures in a row."""
    max_pause = MAX_DEADLY_PAUSE_SECONDS if deadly else MAX_PAUSE_SECONDS
    return min(max_pause, FIRST_PAUSE_SECONDS * 2.0 ** min(times - 1, 30))


def configured(config: Config, endpoint: Endpoint) -> Iterator[tuple[str, Lora]]:
    """Yield the adapters that an endpoint should serve, each with its base model."""
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
            return error.in_full
        return None

    outcomes = await asyncio.gather(*map(tried, endpoints))
    return {endpoint.name: outcome for endpoint, outcome in zip(endpoints, outcomes, strict=True)}
