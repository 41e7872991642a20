"""Errors name endpoints as the config does; their addresses are for operators."""

from __future__ import annotations

import json

import pytest

from support.playbook import Wire, post
from support.toy_config import A, B


def test_a_client_is_told_the_endpoints_name_and_the_log_its_address_too(wire: Wire) -> None:
    wire.a.accepts = wire.b.accepts = False
    wire.client.sends(post())
    wire.a.refuses()
    wire.b.refuses()
    assert wire.error == (502, "upstream_unreachable")
    message = json.loads(wire.answer.body)["error"]["message"]
    (line,) = wire.outcomes()
    address = B.base_url
    assert "endpoint b" in message
    assert address not in wire.client.taken.decode()
    assert "refused" not in message
    assert address in line["error"]
    assert "Connection refused" in line["error"]
    assert A.base_url in line["retried"][0]["proof"]


@pytest.mark.parametrize("answered", [b"rubbish\r\n\r\n", b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\n\r\n", b""])
def test_no_error_about_a_vllm_shows_a_client_its_address(wire: Wire, answered: bytes) -> None:
    upstream = wire.ask()
    if answered:
        upstream.sends(answered)
    else:
        upstream.ends()
    assert wire.answer.status == 502
    assert "endpoint a" in json.loads(wire.answer.body)["error"]["message"]
    assert A.address.encode() not in wire.client.taken
