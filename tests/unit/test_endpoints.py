"""Which endpoint takes the next request."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack

import pytest

from pointsman.config.model import Endpoint
from pointsman.relay.endpoints import Endpoints


def endpoint(name: str, weight: float = 1.0) -> Endpoint:
    return Endpoint(name=name, address="127.0.0.1", port=8000, weight=weight)


WEIGHTS = [
    pytest.param({"a": 1, "b": 1}, id="even"),
    pytest.param({"a": 1, "b": 3}, id="uneven"),
    pytest.param({"a": 0.5, "b": 1, "c": 2.5}, id="fractions"),
    pytest.param({"a": 0, "b": 1}, id="none at all"),
]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_request_after_another_is_shared_by_weight(weights: dict[str, float]) -> None:
    random.seed(1)
    endpoints, candidates = Endpoints(), tuple(endpoint(*item) for item in weights.items())
    taken: Counter[str] = Counter()
    for _ in range(400):
        with endpoints.lease(candidates) as chosen:
            taken[chosen.name] += 1
    for name, weight in weights.items():
        assert taken[name] == pytest.approx(400 * weight / sum(weights.values()), abs=30)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_requests_side_by_side_are_shared_by_weight(weights: dict[str, float]) -> None:
    endpoints, candidates = Endpoints(), tuple(endpoint(*item) for item in weights.items())
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(endpoints.lease(candidates))
        for name, weight in weights.items():
            assert endpoints.in_flight[name] == pytest.approx(40 * weight / sum(weights.values()), abs=1)


def test_a_busy_endpoint_is_passed_over() -> None:
    endpoints, candidates = Endpoints(), (endpoint("a"), endpoint("b"))
    with endpoints.lease(candidates[:1]):
        for _ in range(10):
            with endpoints.lease(candidates) as chosen:
                assert chosen.name == "b"


def test_a_weight_of_nothing_serves_what_no_other_endpoint_can() -> None:
    with Endpoints().lease((endpoint("a", 0.0),)) as chosen:
        assert chosen.name == "a"


def test_a_lease_ends_however_its_block_ends() -> None:
    endpoints = Endpoints()

    def fail() -> None:
        with endpoints.lease((endpoint("a"),)):
            assert endpoints.in_flight["a"] == 1
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert endpoints.in_flight["a"] == 0
