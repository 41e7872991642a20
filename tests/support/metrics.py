"""The daemon's metrics as numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from support.process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from support.daemon import Daemon


class Metrics:
    """One scrape; names without `pointsman_`."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [(family.type, sample) for family in families for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all series of this name that have these labels; 0 without any."""
        return sum(
            sample.value
            for _, sample in self._samples
            if sample.name == f"pointsman_{name}" and labels.items() <= sample.labels.items()
        )

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """The sums by the values of one label, without those that are zero."""
        values = {sample.labels[label] for _, sample in self._samples if sample.name == f"pointsman_{name}"}
        return {value: total for value in sorted(values) if (total := self.total(name, **{label: value}))}

    def gauges(self) -> Mapping[str, float]:
        """Every series of every gauge, by its name and labels."""
        return {
            f"{sample.name}{sorted(sample.labels.items())}": sample.value
            for kind, sample in self._samples
            if kind == "gauge"
        }


async def scrape(daemon: Daemon) -> Metrics:
    async with aiohttp.ClientSession() as http, http.get(daemon.admin_url + "/metrics") as response:
        assert response.status == 200
        return Metrics(await response.text())


async def until(daemon: Daemon, name: str, value: float, *, timeout_s: float = PATIENCE_SECONDS, **labels: str) -> None:
    """Poll a metric until it has this value."""
    got = float("nan")
    try:
        async with asyncio.timeout(timeout_s):
            while (got := (await scrape(daemon)).total(name, **labels)) != value:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{name}{labels} is {got}, not {value}, for {timeout_s:g} s") from None
