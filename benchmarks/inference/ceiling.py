"""Compute this host's limits from the cost curve."""

from __future__ import annotations

import contextlib
import heapq
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from target import quantile

from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import CostCurve
from pointsman.config.model import ClassifierOptions
from support.classifiers import opened


def measured(model: Path) -> tuple[CostCurve, int]:
    """Return the cost curve, which later daemons reuse, and the resulting default deadline in ms."""
    with opened(artifact.load(model), ClassifierOptions()) as classifier:
        return classifier.encoder.curve, classifier.settings()["deadline_ms"]


@contextlib.contextmanager
def measured_anew(models: Mapping[str, Path], options: ClassifierOptions) -> Iterator[dict[str, Classifier]]:
    """Load classifiers, and close them at last; each has a cost curve of now, since a host's pace changes."""
    with contextlib.ExitStack() as stack:
        loaded = {}
        for name, model in models.items():
            for stored in model.glob("cost-*.json"):
                stored.unlink()
            loaded[name] = stack.enter_context(opened(artifact.load(model), options))
        yield loaded


def prompts_per_second(curve: CostCurve, lengths: Sequence[int]) -> float:
    """Return the throughput if all workers are always busy and short prompts share runs."""
    return curve.workers / statistics.mean(_costs(curve, lengths))


def least_p95_ms(curve: CostCurve, lengths: Sequence[int], clients: int) -> float:
    """Return p95 in ms for clients that each wait for their answer, if nothing but the runs took time.

    It is the better of two orders: first come, first served, and the shortest first.
    """
    costs = _costs(curve, lengths)
    ranks: tuple[Sequence[float], ...] = (range(len(costs)), costs)
    return 1000 * min(quantile(_waits(costs, rank, clients, curve.workers), 0.95) for rank in ranks)


def _costs(curve: CostCurve, lengths: Sequence[int]) -> list[float]:
    """Return the seconds of a worker for each prompt; short ones share runs."""
    shared = curve.batch_tokens
    return [curve.seconds(tokens) if tokens > shared else curve.seconds(shared) * tokens / shared for tokens in lengths]


def _waits(costs: Sequence[float], rank: Sequence[float], clients: int, workers: int) -> list[float]:
    """Return the seconds from each prompt's arrival to its answer; a free worker takes the one of the lowest rank."""
    waiting = [(rank[number], number) for number in range(min(clients, len(costs)))]
    heapq.heapify(waiting)
    arrived = dict.fromkeys(range(len(waiting)), 0.0)
    running: list[tuple[float, int]] = []
    waits = []
    now = 0.0
    while waiting or running:
        while waiting and len(running) < workers:
            _, number = heapq.heappop(waiting)
            heapq.heappush(running, (now + costs[number], number))
        now, number = heapq.heappop(running)
        waits.append(now - arrived.pop(number))
        following = len(waits) + len(arrived)  # its client asks at once for the next
        if following < len(costs):
            arrived[following] = now
            heapq.heappush(waiting, (rank[following], following))
    return waits
