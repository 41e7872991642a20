"""How many requests one client may have in flight."""

from __future__ import annotations

import pytest

from pointsman.errors import ConcurrencyLimited
from pointsman.server.client_limiter import ClientLimiter


def test_what_one_client_has_is_nothing_to_another() -> None:
    limiter = ClientLimiter()
    limiter.acquire("here", 1)
    limiter.acquire("there", 1)


def test_the_end_of_one_request_makes_room_for_one_and_no_more() -> None:
    limiter = ClientLimiter()
    for _ in range(3):
        limiter.acquire("here", 3)
    limiter.release("here")
    limiter.acquire("here", 3)
    with pytest.raises(ConcurrencyLimited):
        limiter.acquire("here", 3)


def test_a_request_that_is_refused_takes_no_room() -> None:
    limiter = ClientLimiter()
    limiter.acquire("here", 1)
    for _ in range(5):
        with pytest.raises(ConcurrencyLimited):
            limiter.acquire("here", 1)
    limiter.release("here")
    limiter.acquire("here", 1)


def test_a_client_without_requests_is_forgotten() -> None:
    limiter = ClientLimiter()
    for client in ("here", "here", "there"):
        limiter.acquire(client, 2)
    for client in ("here", "there", "here"):
        limiter.release(client)
    assert limiter._in_flight == {}
