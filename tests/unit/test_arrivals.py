"""Which of the requests whose bodies arrive gives way where they are too many."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pointsman.errors import ConcurrencyLimited
from pointsman.server.arrivals import Arrivals


def entered(max_requests: int, clients: str, *, limited: bool = False) -> tuple[Arrivals[int], list[int | None]]:
    """Requests 0, 1, ... of these clients, a letter each, and which of them left for each."""
    arrivals: Arrivals[int] = Arrivals()
    return arrivals, [arrivals.enter(client, n, max_requests, limited=limited) for n, client in enumerate(clients)]


def test_the_client_with_the_most_loses_its_oldest() -> None:
    assert entered(4, "abbbcd")[1] == [None] * 4 + [1, 2]


def test_the_new_one_counts() -> None:
    """Of two that have as many, the one that asks for more gives way."""
    assert entered(4, "aabbb")[1][-1] == 2
    assert entered(4, "aabba")[1][-1] == 0


def test_of_clients_with_one_each_the_first_gives_way() -> None:
    assert entered(3, "abcdefg")[1] == [None] * 3 + [0, 1, 2, 3]


def test_a_limited_client_with_all_of_them_gets_no_more_and_others_do() -> None:
    arrivals, _ = entered(3, "aaa", limited=True)
    with pytest.raises(ConcurrencyLimited):
        arrivals.enter("a", 3, 3, limited=True)
    assert arrivals.enter("b", 4, 3, limited=True) == 0
    arrivals.leave("a", 1)
    assert arrivals.enter("a", 5, 3, limited=True) is None
    assert len(arrivals) == 3


def test_one_that_is_not_limited_loses_its_own_oldest() -> None:
    assert entered(3, "aaaaa")[1] == [None] * 3 + [0, 1]


def test_a_smaller_bound_holds_for_those_that_come() -> None:
    """A reload: nobody is cut off for it, and each new one still displaces one."""
    arrivals, _ = entered(4, "aabb")
    assert arrivals.enter("c", 4, 2, limited=True) == 0
    assert len(arrivals) == 4


def test_whatever_happens_the_bound_holds_the_fullest_client_pays_and_nothing_is_kept_of_others() -> None:
    draw = random.Random(1)  # noqa: S311 - reproducible, not secret
    arrivals: Arrivals[int] = Arrivals()
    there: dict[int, str] = {}
    for number in range(5_000):
        if there and draw.random() < 0.3:
            gone = draw.choice(list(there))
            arrivals.leave(there.pop(gone), gone)
            continue
        client = draw.choice("aaaaabbbcd")
        there[number] = client
        left = arrivals.enter(client, number, 20, limited=False)
        counts = Counter(there.values())
        assert (left is None) == (len(there) <= 20)
        if left is not None:
            assert counts[there[left]] == max(counts.values())
            assert left == min(n for n, owner in there.items() if owner == there[left])
            del there[left]
        assert len(arrivals) == len(there)
    for number, client in there.items():
        arrivals.leave(client, number)
    assert (arrivals._by_client, arrivals._ranks, len(arrivals)) == ({}, [], 0)
