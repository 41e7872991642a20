"""Poll the models that each vLLM serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from pointsman.adapters.catalog import ModelCard, ServedModels, parse_models
from pointsman.adapters.host import Host
from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError

# Minimum delay before the next poll, however often a 404 or an endpoint that comes back asks for one.
SPACING_SECONDS = 0.1
# An endpoint whose models are not known may refuse any name that clients make up.
MAX_REFUSED_NAMES = 1024

Fetch = Callable[[Endpoint], Awaitable[bytes]]
"""A function that returns the body of an endpoint's `/v1/models`; raises UpstreamError."""


class Poller:
    """A poller that updates `served`; an endpoint that fails keeps its last known models."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        fetch: Fetch,
        report: Callable[[str, str, bool], None],
        previous: Poller | None = None,
    ) -> None:
        """Take `report(endpoint name, message, well)`, called when the state of an endpoint changes.

        The state of endpoints that `previous` also has is preserved.
        """
        self.endpoints = endpoints
        self._fetch = fetch
        self._report = report
        known = {_identity(one): previous.hosts[one.name] for one in previous.endpoints} if previous else {}
        self.hosts: dict[str, Host] = {one.name: known.get(_identity(one)) or Host() for one in endpoints}
        self.served = ServedModels()
        self.answered = asyncio.Event()
        """Set once any endpoint has answered."""
        self.publish()

    async def refresh(self) -> ServedModels:
        """Poll all endpoints once, concurrently."""
        await asyncio.gather(*map(self.poll, self.endpoints))
        return self.served

    async def run(self, endpoint: Endpoint, interval: float, settle: Callable[[Endpoint], Awaitable[None]]) -> None:
        """Poll one endpoint each `interval` seconds until canceled; call `settle` after each poll."""
        host, loop = self.hosts[endpoint.name], asyncio.get_running_loop()
        while True:
            host.wake.clear()
            started = loop.time()
            await self.poll(endpoint)
            await settle(endpoint)
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that arrives together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await host.wake.wait()
                    await asyncio.sleep(started + SPACING_SECONDS - loop.time())

    async def poll(self, endpoint: Endpoint) -> None:
        """Poll one endpoint."""
        host = self.hosts[endpoint.name]
        before = host.cards, host.trouble
        try:
            host.cards = parse_models(await self._fetch(endpoint))
        except UpstreamError as error:
            host.trouble = error.in_full
        else:
            host.trouble = None
            host.refused.clear()
        if (host.cards, host.trouble) != before:
            self._report_change(endpoint.name, host, before[0] or ())
        self.publish()

    def _report_change(self, endpoint: str, host: Host, before: tuple[ModelCard, ...]) -> None:
        """Report the models that an endpoint has lost, unless unloaded from here, and those that it serves now."""
        if host.trouble is not None:
            self._report(endpoint, f"models unknown: {host.trouble}", False)
            return
        lost = [card.id for card in before if not host.lists(card.id) and card.id not in host.withheld | host.unloaded]
        if lost:
            self._report(endpoint, "no longer serves " + ", ".join(lost), False)
        self._report(endpoint, "serves " + ", ".join(card.id for card in host.cards or ()), True)

    def refused(self, endpoint: str, name: str) -> None:
        """Record a 404 for `name`; the endpoint gets no requests for it until its next list has it."""
        host = self.hosts[endpoint]
        if host.lists(name) or (host.cards is None and len(host.refused) < MAX_REFUSED_NAMES):
            host.refused.add(name)
            self.publish()
        self.wake(endpoint)

    def wake(self, endpoint: str) -> None:
        """Poll an endpoint now."""
        self.hosts[endpoint].wake.set()

    def publish(self) -> None:
        """Publish changes in `hosts` as a new snapshot."""
        served = ServedModels(
            {name: host.cards for name, host in self.hosts.items() if host.cards is not None},
            {name: frozenset(gone) for name, host in self.hosts.items() if (gone := host.refused | host.withheld)},
            frozenset(name for name, host in self.hosts.items() if host.down),
        )
        if served != self.served:
            self.served = served
        if served.cards:
            self.answered.set()


def _identity(endpoint: Endpoint) -> tuple[str, str, int | None]:
    return endpoint.name, endpoint.address, endpoint.port
