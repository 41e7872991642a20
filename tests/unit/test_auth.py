"""Whose key a request has, however it is sent, and which models it may name. Pure."""

from __future__ import annotations

import hmac
import time
from typing import Any

import pytest

from pointsman.api.auth import check_model, key_of
from pointsman.config import client_keys
from pointsman.config.client_keys import ClientKey, ClientKeys, KeyScope, parse_keys
from pointsman.errors import ModelNotAllowed, Unauthorized
from pointsman.http1.request_head import RequestHead, read_head
from support.client_keys import line
from support.toy_config import config

KEYS = parse_keys(line("ann") + line("bob") + line("old", expires="2020-01-01"), config()).keys


def head(*fields: bytes) -> RequestHead:
    return read_head(b"\r\n".join([b"POST / HTTP/1.1", b"Host: here", *fields, b"", b""]))[0]


@pytest.mark.parametrize(
    "fields",
    [
        [b"Authorization: Bearer ann-secret"],
        [b"authorization:bearer ann-secret"],
        [b"AUTHORIZATION: BEARER   ann-secret \t"],
        [b"x-api-key: ann-secret"],
        [b"X-Api-Key:  ann-secret  "],
        [b"Authorization: Bearer ann-secret", b"X-Api-Key: ann-secret"],
    ],
)
def test_a_key_is_sent_in_one_of_two_headers(fields: list[bytes]) -> None:
    assert key_of(KEYS, head(*fields)).name == "ann"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="none"),
        pytest.param([b"Authorization: Bearer wrong"], id="wrong"),
        pytest.param([b"Authorization: Bearer"], id="no secret"),
        pytest.param([b"Authorization: Bearer "], id="an empty secret"),
        pytest.param([b"Authorization:"], id="an empty header"),
        pytest.param([b"x-api-key:"], id="an empty x-api-key"),
        pytest.param([b"Authorization: ann-secret"], id="no scheme"),
        pytest.param([b"Authorization: Basic ann-secret"], id="another scheme"),
        pytest.param([b"Authorization: Bearer\tann-secret"], id="a tab"),
        pytest.param([b"Authorization: Bearerann-secret"], id="no space"),
        pytest.param([b"Authorization: Bearer ann-secret ann-secret"], id="two secrets"),
        pytest.param([b"Authorization: Bearer ann-secret, Bearer ann-secret"], id="a list"),
        pytest.param([b"Authorization: Bearer ann-secret", b"Authorization: Bearer ann-secret"], id="two headers"),
        pytest.param([b"Authorization: Bearer wrong", b"Authorization: Bearer ann-secret"], id="the second is right"),
        pytest.param([b"x-api-key: ann-secret", b"x-api-key: ann-secret"], id="x-api-key twice"),
        pytest.param([b"Authorization: Bearer ann-secret", b"x-api-key: bob-secret"], id="two keys"),
        pytest.param([b"Authorization: Bearer ann-secret", b"x-api-key: wrong"], id="one is wrong"),
        pytest.param([b"Authorization: Bearer wrong", b"x-api-key: ann-secret"], id="the other one is"),
        pytest.param([b"Authorization: Basic x", b"x-api-key: ann-secret"], id="another scheme beside a key"),
        pytest.param([b"Authorization: Bearer ann-secr\xe9t"], id="not ASCII"),
        pytest.param([b"Authorization: Bearer \xff\xfe"], id="not UTF-8"),
        pytest.param([b"Authorization: Bearer ANN-SECRET"], id="in capitals"),
        pytest.param([b"api-key: ann-secret"], id="another header"),
        pytest.param([b"Proxy-Authorization: Bearer ann-secret"], id="for a proxy"),
        pytest.param([b"Cookie: Authorization=Bearer ann-secret"], id="a cookie"),
        pytest.param([b"Authorization: Bearer " + KEYS.find(b"ann-secret").digest.hex().encode()], id="the hash"),  # type: ignore[union-attr]
        pytest.param([b"Authorization: Bearer old-secret"], id="expired"),
    ],
)
def test_anything_else_is_unauthorized(fields: list[bytes]) -> None:
    with pytest.raises(Unauthorized) as caught:
        key_of(KEYS, head(*fields))
    assert caught.value.status == 401
    assert "secret" not in caught.value.message, "what was sent is not repeated"


def test_a_key_expires_while_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ClientKeys([ClientKey("ann", client_keys.digest_of(b"s"), None, 1000.0)])
    for now, valid in ((999.9, True), (1000.0, False)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        if valid:
            assert key_of(keys, head(b"x-api-key: s")).name == "ann"
        else:
            with pytest.raises(Unauthorized, match="expired"):
                key_of(keys, head(b"x-api-key: s"))


def test_a_right_and_a_wrong_key_are_hashed_and_compared_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of a secret is ever compared: only whole hashes, in constant time, whether there is such a key or not."""
    work: list[tuple[str, Any]] = []

    def compare(one: bytes, other: bytes) -> bool:
        work.append(("compare", (len(one), len(other))))
        return one == other

    def hashed(secret: bytes, real: Any = client_keys.digest_of) -> Any:
        work.append(("hash", len(secret)))
        return real(secret)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    monkeypatch.setattr(client_keys, "digest_of", hashed)
    seen = []
    for secret in (b"ann-secret", b"ann-secreT", b"xxxxxxxxxx"):
        KEYS.find(secret)
        seen.append(work.copy())
        work.clear()
    assert seen == [[("hash", 10), ("compare", (32, 32))]] * 3


RESTRICTED = ClientKey("ann", b"", KeyScope(frozenset({"legal-lora"}), "legal-lora"))
UNRESTRICTED = (None, ClientKey("bob", b""), ClientKey("eve", b"", KeyScope(None, "legal-lora")))


@pytest.mark.parametrize("model", ["legal", "legal-lora2", "legal-lora ", "LEGAL-LORA", "*", "base", ""])
def test_a_restricted_key_names_its_models_exactly(model: str) -> None:
    check_model(RESTRICTED, "legal-lora")
    with pytest.raises(ModelNotAllowed) as caught:
        check_model(RESTRICTED, model)
    assert (caught.value.status, caught.value.param) == (403, "model")


def test_a_restricted_key_may_not_use_a_model_that_cannot_be_read() -> None:
    with pytest.raises(ModelNotAllowed):
        check_model(RESTRICTED, None)


@pytest.mark.parametrize("key", UNRESTRICTED)
@pytest.mark.parametrize("model", ["base", "", None])
def test_any_other_client_names_what_it_likes(key: ClientKey | None, model: str | None) -> None:
    check_model(key, model)


def test_an_error_repeats_no_long_name() -> None:
    with pytest.raises(ModelNotAllowed) as caught:
        check_model(RESTRICTED, "x" * 100_000)
    assert len(caught.value.message) < 500
