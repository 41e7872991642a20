"""Measure the classifier without a daemon."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from inference.load import LoadWindow, Reply
from pointsman.classify.classifier import Classifier


async def median_us(classifier: Classifier, texts: Sequence[str], pause: float) -> float:
    """Return the median microseconds of a classification without a daemon, each `pause` seconds after the last.

    After a tenth of a second without work, the same run takes more than twice as long on a core as in a row, because
    its caches hold other data.
    """
    times = []
    for text in texts:
        await asyncio.sleep(pause)
        started = time.perf_counter()
        await classifier.classify(text)
        times.append(time.perf_counter() - started)
    return round(statistics.median(times) * 1e6, 2)


async def closed_loop(classifier: Classifier, texts: Iterator[str], concurrency: int, seconds: float) -> LoadWindow:
    """Run `concurrency` clients without HTTP, each with one text in flight, for `seconds` or until `texts` ends."""
    replies: list[Reply] = []
    started = time.perf_counter()

    async def client() -> None:
        for text in texts:
            if (sent := time.perf_counter()) > started + seconds:
                break
            await classifier.classify(text)
            replies.append(Reply(time.perf_counter() - sent, HTTPStatus.OK, ""))

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return LoadWindow(replies, time.perf_counter() - started)
