"""Judge by model whether it fails or is slow, from its newest requests and from those of comparable models; pure.

Only vLLM's part in a request counts. A model is compared with its base model, or if that has no traffic, with all
others: for the first byte only those of the same base, as another base may well be slower.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from pointsman.observability.model_flags import Finding
from pointsman.observability.model_windows import NEWEST, AbandonedRequest, AnsweredRequest, Slots

# A model with fewer requests is not compared.
MIN_REQUESTS = 5
# Where one request in a hundred fails, 6 of 20 do so by chance once in thirty million times.
MIN_FAILED_REQUESTS = 6
MIN_FAILED_REQUESTS_EACH = 4
# Most of the newest requests must be of one kind: streams, or whole answers.
MIN_TIMED_REQUESTS = NEWEST // 2
# A smaller delay is not slow, whatever the factor.
MIN_SLOWER_SECONDS = 1.0
# Up to this number of requests in flight, the next one waits no longer than it would alone.
FREE_IN_FLIGHT = 8
# A problem is over at this share of the bound; the first byte has at least a factor of 1.
SHARE_OVER, FACTOR_OVER = 0.2, 0.5


S = TypeVar("S", AnsweredRequest, AbandonedRequest)


class OutlierBounds(NamedTuple):
    """The bounds of a problem: the share of errors, and the factor of the first byte."""

    failing: float
    slow: float


class ModelJudge:
    """A judge of models by their newest requests; `bases` has the base model of each model in the config.

    `left` has the requests whose clients have left, `before` the usual times at each endpoint, `slots` the outcome of
    concurrent requests.
    """

    def __init__(
        self,
        recent: Mapping[str, Sequence[AnsweredRequest]],
        left: Mapping[str, Sequence[AbandonedRequest]],
        bases: Mapping[str, str],
        bounds: OutlierBounds,
        before: Mapping[Cohort, ComparableMedians],
        slots: Slots,
    ) -> None:
        self._recent = recent
        self._left = left
        self._slots = slots
        self._before = before
        self._bounds = bounds
        only = set(bases.values())
        # The base of a model that is not in the config is known if there is only one.
        default = next(iter(only)) if len(only) == 1 else None
        self._bases = {name: bases.get(name, default) for name in (*recent, *left)}
        self._typical: dict[tuple[str, frozenset[str], bool, float | None], ComparableMedians | None] = {}
        self._middles: dict[tuple[str, frozenset[str], bool], ComparableMedians | None] = {}
        self._siblings: dict[tuple[str, frozenset[str], bool], list[tuple[str, ComparableMedians]]] = {}
        self._comparable = {name for name, samples in recent.items() if len(samples) >= MIN_REQUESTS}
        self._ill: dict[tuple[str, int, bool], dict[str, bool]] = {}
        """By endpoint and slot, the models that failed then, or were slow."""
        self._at: dict[str, dict[str, list[AnsweredRequest]]] = {}
        """The answered requests, by endpoint and model."""
        for name, samples in recent.items():
            for sample in samples:
                self._at.setdefault(sample.endpoint, {}).setdefault(name, []).append(sample)
        self._left_at: dict[str, dict[str, None]] = {}
        """The models by endpoint from which clients have left."""
        for name, waits in left.items():
            for wait in waits:
                self._left_at.setdefault(wait.endpoint, {})[name] = None
        self._endpoints = frozenset((*self._at, *self._left_at))
        self._kinds: dict[str, bool] = {}
        self._answered: dict[tuple[str | None, bool], float] = {}
        self._failed = {name: _failed(samples) for name, samples in recent.items()}
        self._all = sum(map(len, recent.values())), sum(self._failed.values())

    @property
    def endpoints(self) -> Collection[str]:
        """The endpoints that were sent a request."""
        return self._endpoints

    def but_for(self, endpoints: Collection[str]) -> list[str]:
        """Return the models that other endpoints have answered for as well: nothing is known of others."""
        found = self._recent.items()
        return [name for name, samples in found if any(sample.endpoint not in endpoints for sample in samples)]

    def asked_but_for(self, endpoints: Collection[str]) -> list[str]:
        """Return these models, and those for which other endpoints have kept clients waiting until they left."""
        known = dict.fromkeys(self.but_for(endpoints))
        return list(known | {name: None for name in self._left if self._endpoints_of(name).difference(endpoints)})

    # --- failing -----------------------------------------------------------------------------------------------------

    def failing(self, model: str, without: Collection[str] = ()) -> Finding:
        """Judge a model by its errors; answers of the endpoints `without` do not count against it."""
        samples = self._recent[model]
        share, (usual, than) = self._failed[model] / len(samples), self._usual_share(model)
        counted = [one for one in samples if one.endpoint not in without] if without else samples
        failed = _failed(counted)
        bad = failed >= MIN_FAILED_REQUESTS and failed / len(counted) >= usual + self._bounds.failing
        if bad:
            counted = self._own(model, counted, slow=False)
            failed = _failed(counted)
            bad = failed >= MIN_FAILED_REQUESTS and failed / len(counted) >= usual + self._bounds.failing
        fine = share <= usual + SHARE_OVER * self._bounds.failing
        return Finding(bad, fine, f"{failed} of its newest {len(counted)} requests failed, of {than} {usual:.0%}")

    def _usual_share(self, model: str) -> tuple[float, str]:
        base = self._bases[model]
        if base is not None and base != model and len(self._recent.get(base, ())) >= MIN_REQUESTS:
            return self._failed[base] / len(self._recent[base]), f"its base model {base}"
        others, failed = self._all[0] - len(self._recent[model]), self._all[1] - self._failed[model]
        return (failed / others if others >= MIN_REQUESTS else 0.0), "all others"

    def _own(self, model: str, samples: Iterable[S], *, slow: bool) -> list[S]:
        """Return the requests without those at times when most other models fared as badly at the endpoint.

        A model's newest requests may be from a time when all failed, but not those of busier models.
        """
        return [
            one
            for one in samples
            if not any(self._shared(model, one.endpoint, one.slot + near, slow) for near in (-1, 0, 1))
        ]

    def _shared(self, model: str, endpoint: str, slot: int, slow: bool) -> bool:
        key = endpoint, slot, slow
        if key not in self._ill:
            found = self._slots.get((endpoint, slot), {})
            self._ill[key] = {
                name: ill
                for name, one in found.items()
                if name in self._comparable
                and (ill := self._slow_then(name, one) if slow else _failed_then(one)) is not None
            }
        verdicts = self._ill[key]
        return 2 * (sum(verdicts.values()) - verdicts.get(model, False)) > len(verdicts) - (model in verdicts)

    def all_failing(self, endpoint: str) -> Finding:
        """Judge an endpoint: it is to blame if most of its models fail, and these are at least two."""
        known = self._known(endpoint)
        return self._alike(
            endpoint,
            known,
            [
                name
                for name, samples in known.items()
                if _failed(samples) >= max(MIN_FAILED_REQUESTS_EACH, self._bounds.failing * len(samples))
            ],
            "fail",
        )

    # --- slow --------------------------------------------------------------------------------------------------------

    def slow(self, model: str, without: Collection[str] = ()) -> Finding:
        """Judge a model by its first byte, as `failing` does by its errors."""
        endpoints, streams = self._endpoints_of(model), self._streams(model)
        usual = self._usual(model, endpoints, streams)
        min_seconds = None if usual is None else usual.seconds
        found = self._of(model, endpoints, streams, min_seconds)
        if found is None:
            return Finding(bad=False, fine=True, why="")  # nothing is known any more from few requests
        if usual is None:
            return Finding(bad=False, fine=found.seconds < FACTOR_OVER * MIN_SLOWER_SECONDS, why="")
        counted = (
            found if endpoints.isdisjoint(without) else self._of(model, endpoints - set(without), streams, min_seconds)
        )
        # A queue that the others have not seen is no fault of the model.
        waiting = usual.waiting(found.in_flight)
        bad = (
            len(self._recent.get(model, ())) + found.left >= NEWEST
            and counted is not None
            and counted.requests >= MIN_TIMED_REQUESTS
            and self._slower(counted, waiting, 1.0)
        )
        if bad:
            answered = [one for one in self._recent.get(model, ()) if one.endpoint not in without]
            left = [one for one in self._left_of(model, streams) if one.endpoint not in without]
            own = self._own(model, answered, slow=True), self._own(model, left, slow=True)
            counted = typical(own[0], streams, own[1], min_seconds)
            bad = counted is not None and counted.requests >= MIN_TIMED_REQUESTS and self._slower(counted, waiting, 1.0)
        median = f"at least {found.seconds:.2f} s (median; {found.left} clients left before it)"
        if not found.left:
            median = f"{found.seconds:.2f} s (median)"
        why = f"the first byte takes {median}, of comparable requests {usual.seconds:.2f} s"
        # No model is well by the clients that left alone.
        known = found.requests - found.left >= MIN_REQUESTS
        return Finding(bad, known and not self._slower(found, waiting, FACTOR_OVER), why)

    def _slower(self, found: ComparableMedians, usual: ComparableMedians, part: float) -> bool:
        """Return whether it is slower by this part of the bound.

        The first byte may take longer in proportion to the bytes read, or written before it.
        """
        more = max(1.0, found.size / max(usual.size, 1), found.tokens / max(usual.tokens, 1))
        expected = usual.seconds * more
        return (
            found.seconds >= expected * max(1.0, part * self._bounds.slow)
            and found.seconds - expected >= part * MIN_SLOWER_SECONDS
        )

    def _slow_then(self, model: str, sample: AnsweredRequest | AbandonedRequest) -> bool | None:
        """Return whether a request took longer than usual, by half of the bound; None if not known.

        A long answer or a long prompt always takes long.
        """
        base = self._bases.get(model)
        streams = sample.streams if isinstance(sample, AnsweredRequest) else self._streams(model)
        usual = None if base is None else self._before.get((sample.endpoint, base, streams))
        if usual is None or sample.seconds is None or _failed_then(sample):
            return None
        if isinstance(sample, AbandonedRequest):
            waited = ComparableMedians(1, 1, sample.seconds, sample.size, 0.0, sample.in_flight)
            return True if self._slower(waited, usual, FACTOR_OVER) else None
        tokens = 0.0 if sample.streams else sample.tokens
        found = ComparableMedians(1, 0, sample.seconds, sample.size, tokens, sample.in_flight)
        if self._slower(found, usual, FACTOR_OVER):
            return True
        return None if self._slower(found._replace(size=0.0, tokens=0.0), usual, FACTOR_OVER) else False

    def _usual(self, model: str, endpoints: frozenset[str], streams: bool) -> ComparableMedians | None:
        """Return the figures that a model is compared with: of the same endpoints and its base model if possible."""
        base = self._bases[model]
        if base is None:
            return None
        for where in (endpoints, self._endpoints):
            if base != model and (found := self._of(base, where, streams)) is not None:
                return found
            others = [one for name, one in self._of_base(base, where, streams) if name != model]
            if others:
                return _middle(others)
        return None

    def _of_base(self, base: str, endpoints: frozenset[str], streams: bool) -> list[tuple[str, ComparableMedians]]:
        key = base, endpoints, streams
        if key not in self._siblings:
            found = ((name, self._of(name, endpoints, streams)) for name, its in self._bases.items() if its == base)
            self._siblings[key] = [(name, one) for name, one in found if one is not None]
        return self._siblings[key]

    def _middle_of(self, base: str, endpoints: frozenset[str], streams: bool) -> ComparableMedians | None:
        key = base, endpoints, streams
        if key not in self._middles:
            found = [one for _, one in self._of_base(base, endpoints, streams)]
            self._middles[key] = _middle(found) if found else None
        return self._middles[key]

    def _of(
        self, model: str, endpoints: frozenset[str], streams: bool, min_seconds: float | None = None
    ) -> ComparableMedians | None:
        """Return the typical times of a model; by clients that left alone only if they waited for `min_seconds`."""
        left = self._left_of(model, streams)
        key = model, endpoints, streams, min_seconds if left else None
        if key not in self._typical:
            samples: Iterable[AnsweredRequest] = self._recent.get(model, ())
            if endpoints != self._endpoints:
                samples = [sample for sample in samples if sample.endpoint in endpoints]
                left = [one for one in left if one.endpoint in endpoints]
            self._typical[key] = typical(samples, streams, left, min_seconds)
        return self._typical[key]

    def _left_of(self, model: str, streams: bool) -> list[AbandonedRequest]:
        """Return the requests of one kind whose clients have left; unknown ones count as the model's usual kind.

        But not if they may as well be healthy ones of the other kind.
        """
        left = self._left.get(model, ())
        if not left:
            return []
        alike = self._streams(model) == streams
        min_seconds = self._bounds.slow * self._answered_in(self._bases[model], streams=not streams)
        return [one for one in left if (streams if one.streams else alike and one.seconds >= min_seconds)]

    def _answered_in(self, base: str | None, *, streams: bool) -> float:
        """Return the median first byte of the models of one base, 0 if not known."""
        key = base, streams
        if key not in self._answered:
            names = [name for name, its in self._bases.items() if its == base]
            found = [one for name in names if (one := typical(self._recent.get(name, ()), streams)) is not None]
            self._answered[key] = _middle(found).seconds if found else 0.0
        return self._answered[key]

    def _streams(self, model: str) -> bool:
        """Return whether most requests of a model are streams; if nobody knows, whether those of its base are."""
        if model not in self._kinds:
            others = [name for name, base in self._bases.items() if base == self._bases[model]]
            for names in ([model], others):
                kinds = [one.streams for name in names for one in self._recent.get(name, ()) if not one.failed]
                kinds += [True for name in names for one in self._left.get(name, ()) if one.streams]
                if kinds:
                    break
            self._kinds[model] = 2 * sum(kinds) >= len(kinds)
        return self._kinds[model]

    def _endpoints_of(self, model: str) -> frozenset[str]:
        answered, left = self._recent.get(model, ()), self._left.get(model, ())
        return frozenset([one.endpoint for one in answered] + [one.endpoint for one in left])

    def all_slow(self, endpoint: str) -> Finding:
        """Judge an endpoint as `all_failing` does: by its base model, by other endpoints, or by the hour before."""
        here, elsewhere = frozenset((endpoint,)), self._endpoints - {endpoint}
        known, bad, left = [], [], self._left_at.get(endpoint, {})
        for name in dict.fromkeys([*self._known(endpoint), *left]):
            streams, base = self._streams(name), self._bases[name]
            found = self._of(name, here, streams)
            if base is None or (found is None and name not in left):
                continue
            slow = False
            if name in left or (found is not None and found.seconds >= MIN_SLOWER_SECONDS):
                usual = [self._of(base, here, streams)] if base != name else []
                usual += [self._middle_of(base, elsewhere, streams), self._before.get((endpoint, base, streams))]
                slow = any(self._crawls(name, here, streams, one) for one in usual if one is not None)
            if slow:
                bad.append(name)
            if slow or found is not None:
                known.append(name)
        return self._alike(endpoint, known, bad, "are slow")

    def _crawls(self, model: str, endpoints: frozenset[str], streams: bool, usual: ComparableMedians) -> bool:
        found = self._of(model, endpoints, streams, usual.seconds)
        # Five requests cannot tell if all their clients have left.
        enough = found is not None and (not found.left or found.requests >= MIN_TIMED_REQUESTS)
        return found is not None and enough and self._slower(found, usual, 1.0)

    def usual(self, endpoint: str) -> Iterator[tuple[Cohort, ComparableMedians]]:
        """Yield the usual times at an endpoint now, of all models of one base together."""
        for base in {base for name in self._at.get(endpoint, ()) if (base := self._bases[name]) is not None}:
            for streams in (True, False):
                found = self._middle_of(base, frozenset((endpoint,)), streams)
                if found is not None:
                    yield (endpoint, base, streams), found

    def _known(self, endpoint: str) -> dict[str, list[AnsweredRequest]]:
        """Return the models of which an endpoint has answered enough, with these requests."""
        return {name: samples for name, samples in self._at.get(endpoint, {}).items() if len(samples) >= MIN_REQUESTS}

    def _alike(self, endpoint: str, known: Collection[str], bad: list[str], what: str) -> Finding:
        why = f"{len(bad)} of the {len(known)} models that {endpoint} has answered for {what}"
        return Finding(len(bad) >= 2 and 2 * len(bad) > len(known), 2 * len(bad) <= len(known), why, tuple(bad))


Cohort = tuple[str, str, bool]
"""An endpoint, a base model, and whether it is about streams."""


class ComparableMedians(NamedTuple):
    """The medians of comparable requests, some of whose clients may have `left`."""

    requests: int
    left: int
    seconds: float
    size: float
    tokens: float
    in_flight: float

    def waiting(self, in_flight: float) -> ComparableMedians:
        """Return the times that these requests would take with this many in flight, at most in proportion."""
        more = (in_flight + FREE_IN_FLIGHT) / (self.in_flight + FREE_IN_FLIGHT)
        return self._replace(seconds=self.seconds * max(1.0, more))


def typical(
    samples: Iterable[AnsweredRequest],
    streams: bool,
    left: Sequence[AbandonedRequest] = (),
    min_seconds: float | None = None,
) -> ComparableMedians | None:
    """Return the medians of the answers that have begun, or None if there are too few.

    Clients that have `left` count as if an answer had come then, as that is the least time that it would have taken;
    but not if that makes the others look faster, or is less than `min_seconds`, if given: they may be all there is.
    """
    answered = [one for one in samples if one.streams == streams and one.seconds is not None and not one.failed]
    if len(answered) >= MIN_REQUESTS:
        min_seconds = max(
            min_seconds or 0.0, statistics.median([one.seconds for one in answered if one.seconds is not None])
        )
    elif min_seconds is None:
        return None
    waits = [one for one in left if one.seconds >= min_seconds]
    timed: list[AnsweredRequest | AbandonedRequest] = [*answered, *waits]
    if waits:
        timed = sorted(timed, key=lambda one: one.at)[-NEWEST:]
    if len(timed) < MIN_REQUESTS:
        return None
    tokens = 0.0 if streams or not answered else statistics.median([one.tokens for one in answered])
    return ComparableMedians(
        len(timed),
        sum([isinstance(one, AbandonedRequest) for one in timed]) if waits else 0,
        statistics.median([one.seconds for one in timed if one.seconds is not None]),
        statistics.median([one.size for one in timed]),
        tokens,
        statistics.median([one.in_flight for one in timed]),
    )


def _middle(found: Sequence[ComparableMedians]) -> ComparableMedians:
    """Return the medians of medians, of two the lower: no single model moves them far, however busy or slow."""
    medians = (statistics.median_low(column) for column in list(zip(*found, strict=True))[2:])
    return ComparableMedians(sum(one.requests for one in found), sum(one.left for one in found), *medians)


def _failed(samples: Iterable[AnsweredRequest]) -> int:
    return sum([sample.failed for sample in samples])


def _failed_then(sample: AnsweredRequest | AbandonedRequest) -> bool | None:
    """Return whether a request failed, or None if its client did not wait for that."""
    return sample.failed if isinstance(sample, AnsweredRequest) else None


HISTORY_SECONDS = 3600.0
SNAPSHOT_SECONDS = 300.0


class LatencyBaseline:
    """The usual times at each endpoint in the last hour, while it was not slow."""

    def __init__(self) -> None:
        self._taken = -SNAPSHOT_SECONDS
        self._found: dict[Cohort, deque[tuple[float, ComparableMedians]]] = {}

    def before(self, now: float) -> dict[Cohort, ComparableMedians]:
        """Return the usual times; drop old ones."""
        for cohort, found in list(self._found.items()):
            while found and found[0][0] < now - HISTORY_SECONDS:
                found.popleft()
            if not found:
                del self._found[cohort]
        return {cohort: _middle([one for _, one in found]) for cohort, found in self._found.items()}

    def take(self, judge: ModelJudge, slow: Collection[str], now: float) -> None:
        """Store the usual times now, every SNAPSHOT_SECONDS, except for slow endpoints."""
        if now - self._taken < SNAPSHOT_SECONDS:
            return
        self._taken = now
        for endpoint in judge.endpoints:
            if endpoint not in slow:
                for cohort, found in judge.usual(endpoint):
                    self._found.setdefault(cohort, deque()).append((now, found))
