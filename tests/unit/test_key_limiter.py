"""The limits of a key: what drains with the time, what is given back, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pointsman.config.client_keys import ClientKey, KeyFile, KeyLimits, parse_keys
from pointsman.errors import RateLimited
from pointsman.proxy.key_limiter import KeyLimiter, LeakyBucket, span
from support.client_keys import line
from support.toy_config import config


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def key(name: str = "ann", **limits: int) -> ClientKey:
    return ClientKey(name, b"", limits=KeyLimits(**limits))


def refusal(limiter: KeyLimiter, of: ClientKey) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        limiter.enter(of)
    return caught.value


def test_a_minutes_requests_may_come_at_once_and_the_next_as_they_drain(clock: Clock) -> None:
    limiter, ann = KeyLimiter(clock), key(requests_per_minute=60)
    for _ in range(60):
        assert limiter.enter(ann) is not None
    error = refusal(limiter, ann)
    assert (error.status, error.reason, error.retry_after) == (429, "key_requests", 1)
    clock.now += 0.999
    refusal(limiter, ann)
    clock.now += 0.002
    limiter.enter(ann)
    refusal(limiter, ann)
    clock.now += 3600
    for _ in range(60):
        limiter.enter(ann)
    refusal(limiter, ann)


def test_a_refused_request_costs_nothing(clock: Clock) -> None:
    limiter, ann = KeyLimiter(clock), key(requests_per_minute=1)
    limiter.enter(ann)
    for _ in range(100):
        refusal(limiter, ann)
    assert refusal(limiter, ann).retry_after == 60
    clock.now += 60
    limiter.enter(ann)


def test_who_waits_as_long_as_it_was_told_is_served(clock: Clock) -> None:
    """Though seconds are told, and the next place is free after one and a half."""
    limiter, ann = KeyLimiter(clock), key(requests_per_minute=40)
    for _ in range(40):
        limiter.enter(ann)
    clock.now += refusal(limiter, ann).retry_after or 0
    limiter.enter(ann)


def test_requests_in_flight_are_counted_until_they_leave(clock: Clock) -> None:
    limiter, ann = KeyLimiter(clock), key(max_in_flight=2)
    first, _ = limiter.enter(ann), limiter.enter(ann)
    assert refusal(limiter, ann).reason == "key_in_flight"
    assert first is not None
    first.leave(0)
    limiter.enter(ann)
    refusal(limiter, ann)


def test_keys_do_not_share_their_limits_and_one_without_has_none(clock: Clock) -> None:
    limiter = KeyLimiter(clock)
    limiter.enter(key("ann", requests_per_minute=1))
    limiter.enter(key("bob", requests_per_minute=1))
    assert limiter.enter(ClientKey("eve", b"")) is None
    assert len(limiter) == 2


def test_tokens_are_reserved_and_settled_by_what_was_used(clock: Clock) -> None:
    limiter, ann = KeyLimiter(clock), key(tokens_per_minute=1000)
    first, second = limiter.enter(ann), limiter.enter(ann)
    assert first is not None
    assert second is not None
    first.reserve(100, 800)
    with pytest.raises(RateLimited) as caught:
        second.reserve(100, 100)
    assert (caught.value.reason, caught.value.retry_after) == ("key_tokens", 6)
    first.leave(150)
    second.reserve(100, 750)
    assert dict(second.headers())["x-ratelimit-remaining-tokens"] == "0"


def test_who_used_more_than_was_reserved_waits_for_it(clock: Clock) -> None:
    limiter, ann = KeyLimiter(clock), key(tokens_per_minute=600)
    first, second = limiter.enter(ann), limiter.enter(ann)
    assert first is not None
    assert second is not None
    first.reserve(10, 0)
    first.leave(1210)
    with pytest.raises(RateLimited) as caught:
        second.reserve(10, 0)
    assert caught.value.retry_after == 62
    assert dict(second.headers())["x-ratelimit-remaining-tokens"] == "0"
    clock.now += 62
    second.reserve(10, 0)


def test_what_an_answer_produces_beyond_its_reservation_is_taken_at_once_and_settled(clock: Clock) -> None:
    limiter, ann = KeyLimiter(clock), key(tokens_per_minute=600)
    lease = limiter.enter(ann)
    assert lease is not None
    lease.reserve(10, 100)
    for produced, left in ((1, 490), (100, 490), (101, 489), (500, 90), (500, 90), (700, 0)):
        lease.produced(produced)
        assert dict(lease.headers())["x-ratelimit-remaining-tokens"] == str(left)
    with pytest.raises(RateLimited) as caught:
        lease.reserve(10, 0)
    assert caught.value.retry_after == 12, "110 are owed, and 10 wanted"
    lease.leave(60)
    assert dict(lease.headers())["x-ratelimit-remaining-tokens"] == "540"


def test_of_a_key_whose_tokens_are_not_limited_nothing_is_taken(clock: Clock) -> None:
    limiter = KeyLimiter(clock)
    lease = limiter.enter(key(requests_per_minute=5))
    assert lease is not None
    lease.produced(700)
    lease.leave(700 if lease.reserved else 0)
    limited = limiter.enter(key(tokens_per_minute=600))
    assert limited is not None
    assert dict(limited.headers())["x-ratelimit-remaining-tokens"] == "600"


def test_a_request_reserves_a_minutes_tokens_at_most_so_that_none_waits_forever(clock: Clock) -> None:
    lease = KeyLimiter(clock).enter(key(tokens_per_minute=100))
    assert lease is not None
    lease.reserve(10, 10**12)
    assert dict(lease.headers())["x-ratelimit-remaining-tokens"] == "0"


def test_the_headers_are_openais(clock: Clock) -> None:
    lease = KeyLimiter(clock).enter(key(requests_per_minute=120, tokens_per_minute=6000))
    assert lease is not None
    lease.reserve(50, 50)
    assert dict(lease.headers()) == {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "119",
        "x-ratelimit-reset-requests": "500ms",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5900",
        "x-ratelimit-reset-tokens": "1s",
    }
    lease = KeyLimiter(clock).enter(key(max_in_flight=3))
    assert lease is not None
    assert lease.headers() == ()


def test_a_time_is_written_as_openai_does() -> None:
    found = {seconds: span(seconds) for seconds in (0, 0.0004, 0.5, 1.0, 1.5, 59.9991, 60.0, 90.5, 360.0)}
    assert list(found.values()) == ["0ms", "1ms", "500ms", "1s", "1.5s", "1m0s", "1m0s", "1m30.5s", "6m0s"]


def test_another_limit_counts_at_once(clock: Clock) -> None:
    limiter = KeyLimiter(clock)
    for _ in range(10):
        limiter.enter(key(requests_per_minute=10))
    refusal(limiter, key(requests_per_minute=10))
    limiter.enter(key(requests_per_minute=11))
    refusal(limiter, key(requests_per_minute=5))


def test_keys_that_are_revoked_are_forgotten_once_their_requests_have_ended(clock: Clock) -> None:
    """So at most as many are known as a file can have, and those in flight."""
    limiter = KeyLimiter(clock)
    leases = [limiter.enter(key(f"k{number}", max_in_flight=1)) for number in range(100)]
    limiter.know(["k0"])
    assert len(limiter) == 100
    for lease in leases:
        assert lease is not None
        lease.leave(0)
    limiter.know(["k0"])
    assert len(limiter) == 1


def test_a_bucket_never_saves_more_than_a_minute() -> None:
    bucket = LeakyBucket(0.0)
    bucket.add(-1000)
    assert bucket.left(60, 0.0) == 60
    assert bucket.left(60, 1e9) == 60


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "max_in_flight", "max_body_bytes"])
def test_a_limit_is_a_whole_number_of_at_least_1(name: str) -> None:
    def read(value: Any) -> KeyFile:
        fields: dict[str, Any] = {name: value}
        return parse_keys(line("ann", **fields), config())

    (found,) = read(5).keys
    if name == "max_body_bytes":
        assert (found.limits, found.max_body_bytes) == (None, 5)
    else:
        assert (found.limits, found.max_body_bytes) == (KeyLimits(**{name: 5}), None)
    for value in (0, -1, 2**31):
        assert [problem.path for problem in read(value).errors] == [name]
    for wrong in (1.5, "5", True):
        assert read(wrong).errors
