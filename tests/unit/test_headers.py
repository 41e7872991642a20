"""Which headers cross to vLLM and back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pointsman.relay.headers import Pairs, request_id, to_client, to_upstream


def up(*pairs: tuple[str, str], api_key: str | None = None, pass_credentials: bool = False) -> Pairs:
    """What vLLM gets, without the request id."""
    sent = to_upstream(pairs, request_id="id", api_key=api_key, pass_credentials=pass_credentials)
    assert ("X-Request-Id", "id") in sent
    return [pair for pair in sent if pair[0] != "X-Request-Id"]


END_TO_END = (
    ("Content-Type", "application/json"),
    ("accept", "text/event-stream"),
    ("X-Custom", "  two  "),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Custom", "one"),
    ("Accept-Encoding", "gzip"),
    ("User-Agent", "OpenAI/Python 2.0"),
)


def test_end_to_end_headers_cross_as_they_came_in_order_with_every_value() -> None:
    assert up(*END_TO_END) == list(END_TO_END)
    answered = (*END_TO_END, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
    assert to_client(answered) == list(answered)


@pytest.mark.parametrize(
    "name", ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]
)
def test_hop_by_hop_headers_stay_in_both_directions(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert up((spelled, "x")) == []
        assert to_client([(spelled, "x")]) == []


def test_what_connection_nominates_stays_too() -> None:
    pairs = [("X-Hop", "1"), ("Connection", "close, X-HOP"), ("x-two", "2"), ("connection", " X-Two ,"), ("X-End", "3")]
    assert up(*pairs) == [("X-End", "3")]
    assert to_client(pairs) == [("X-End", "3")]


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Expect", "X-Request-Id", "x-request-id"])
def test_what_we_set_ourselves_is_not_the_clients(name: str) -> None:
    sent = to_upstream([(name, "theirs")], request_id="ours", api_key=None, pass_credentials=True)
    assert sent == [("X-Request-Id", "ours")]


@pytest.mark.parametrize("name", ["X-data-parallel-rank", "x-data-parallel-host", "X-DATA-PARALLEL-RANK"])
def test_a_client_does_not_choose_vllms_engine(name: str) -> None:
    assert up((name, "1"), pass_credentials=True) == []


CREDENTIALS = (("Authorization", "Bearer client"), ("x-api-key", "k"), ("api-key", "k"), ("Cookie", "a=1"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [], id="they stay here"),
        pytest.param({"pass_credentials": True}, list(CREDENTIALS), id="unless told otherwise"),
        pytest.param({"api_key": "ours"}, [("Authorization", "Bearer ours")], id="vLLM's key"),
        pytest.param({"api_key": "ours", "pass_credentials": True}, [("Authorization", "Bearer ours")], id="wins"),
    ],
)
def test_the_clients_credentials(options: dict[str, Any], expected: Pairs) -> None:
    assert up(*CREDENTIALS, **options) == expected


def test_credentials_for_a_proxy_end_at_the_proxy() -> None:
    assert up(("Proxy-Authorization", "Basic x"), pass_credentials=True) == []


def test_the_answers_own_request_id_gives_way_to_ours() -> None:
    assert to_client([("x-request-id", "vllm's"), ("Content-Length", "5")]) == [("Content-Length", "5")]


@pytest.mark.parametrize("given", ["a", "req-1.2_3:4", "x" * 128, "0af7651916cd43dd"])
def test_a_short_plain_request_id_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\n", "a\r\nX: y", "é", '"', "a/b", "٣"])
def test_any_other_request_id_is_made_anew(given: str | None) -> None:
    assert re.fullmatch("[0-9a-f]{32}", request_id(given))
    assert request_id(given) != request_id(given)
