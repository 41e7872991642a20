"""The file of client keys: what a line may say, and all that is wrong with a file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.config.client_keys import ClientKey, KeyFile, KeyScope, digest_of, expiry, load_keys, parse_keys
from pointsman.config.model import RelayOptions
from support.client_keys import line
from support.toy_config import BASE, config

CONFIG = config()


def read(*lines: bytes) -> KeyFile:
    return parse_keys(b"".join(lines), CONFIG)


def the_key(*lines: bytes) -> ClientKey:
    found = read(*lines)
    assert found.errors == ()
    (key,) = found.keys
    return key


def test_a_key_is_found_by_its_secret_and_by_nothing_else() -> None:
    keys = read(line("ann"), line("bob")).keys
    ann = keys.find(b"ann-secret")
    assert ann is not None
    assert ann.name == "ann"
    for other in (b"", b"ann", b"ann-secret ", b"ANN-SECRET", digest_of(b"ann-secret"), "ann-secr\xe9t".encode()):
        assert keys.find(other) is None


def test_comments_and_blank_lines_are_no_keys() -> None:
    assert the_key(b"# for the lab\n\n", line("ann"), b"   \n", b"#\xff\n").name == "ann"


@pytest.mark.parametrize(
    ("models", "fields", "scope"),
    [
        pytest.param(("*",), {}, None, id="all"),
        pytest.param(("legal-lora", "*"), {}, None, id="all and one"),
        pytest.param(("*",), {"default_model": "legal-lora"}, KeyScope(None, "legal-lora"), id="all, own default"),
        pytest.param((BASE, "legal-lora"), {}, KeyScope(frozenset({BASE, "legal-lora"}), BASE), id="common default"),
        pytest.param(
            ("medical-lora", "legal-lora"),
            {},
            KeyScope(frozenset({"medical-lora", "legal-lora"}), "medical-lora"),
            id="the first, as the common default is not among them",
        ),
        pytest.param(
            ("medical-lora", "legal-lora"),
            {"default_model": "legal-lora"},
            KeyScope(frozenset({"medical-lora", "legal-lora"}), "legal-lora"),
            id="own default",
        ),
    ],
)
def test_a_key_has_models_and_a_default_among_them(
    models: tuple[str, ...], fields: dict[str, str], scope: KeyScope | None
) -> None:
    key = the_key(line("ann", *models, **fields))
    assert key.scope == scope
    assert key.restricted is ("*" not in models)


def test_a_key_without_a_day_does_not_expire() -> None:
    assert the_key(line("ann")).expires == math.inf


def test_a_key_is_valid_until_the_end_of_a_day_in_utc_or_until_a_time() -> None:
    assert expiry("2027-01-31") == expiry("2027-02-01T00:00:00+00:00") == expiry("2027-02-01T01:00:00+01:00")


def problem(*fields: Any, **changed: Any) -> tuple[str, int | None, str]:
    """Where the one problem of a line with these values is, and what it says."""
    entry = {"name": "ann", "sha256": "0" * 64, "models": ["*"]} | changed
    (found,) = read(b"# first\n", json.dumps(entry).encode()).errors
    return found.path, found.line, f"{found.message}; {found.fix}"


@pytest.mark.parametrize(
    ("changed", "path", "says"),
    [
        ({"name": "ann/../bob"}, "name", "letters, digits"),
        ({"name": "é"}, "name", "letters, digits"),
        ({"name": ""}, "name", "letters, digits"),
        ({"name": "a" * 65}, "name", "1 to 64"),
        ({"sha256": "0" * 63}, "sha256", "64 hexadecimal digits"),
        ({"sha256": "A" * 64}, "sha256", "lower case"),
        ({"models": []}, "models", "empty"),
        ({"models": ["legal-lara"]}, "models", "did you mean legal-lora"),
        ({"models": ["MoM"]}, "models", "requests routing"),
        ({"models": ["legal-lora"], "default_model": BASE}, "default_model", "may not use its own default"),
        ({"default_model": "gpt-4"}, "default_model", "neither a model"),
        ({"expires": "tomorrow"}, "expires", "2027-01-31"),
        ({"expires": "2027-01-31T12:00:00"}, "expires", "2027-01-31T12:00:00+00:00"),
        ({"colour": "red"}, "", "colour"),
        ({"models": "legal-lora"}, "", "array"),
    ],
)
def test_a_wrong_value_is_told_with_its_line_and_what_to_write(changed: dict[str, Any], path: str, says: str) -> None:
    where, number, words = problem(**changed)
    assert (where, number) == (path, 2)
    assert says in words


@pytest.mark.parametrize("text", [b"{", b"[]", b"5", b'{"name": "ann"}', b"\xff\xfe", b"[" * 5000])
def test_a_line_that_is_no_key_is_an_error(text: bytes) -> None:
    (found,) = read(text).errors
    assert found.line == 1


def test_all_problems_of_a_file_are_told_and_a_broken_key_is_left_out() -> None:
    found = read(line("ann", "x"), line("bob"), b"oops\n")
    assert [problem.line for problem in found.errors] == [1, 3]
    assert [key.name for key in found.keys] == ["bob"]


def test_a_name_and_a_secret_are_used_once() -> None:
    (name,) = read(line("ann"), line("bob"), line("ann", sent="other")).errors
    assert (name.line, name.path) == (3, "name")
    assert "line 1" in name.message
    (secret,) = read(line("ann", sent="s"), line("bob", sent="s")).errors
    assert (secret.line, secret.path) == (2, "sha256")
    assert '"ann"' in secret.message


def test_there_are_at_most_10_000_keys() -> None:
    lines = [b'{"name":"k%d","sha256":"%064x","models":["*"]}\n' % (number, number) for number in range(10_001)]
    assert read(*lines[:10_000]).errors == ()
    (found,) = read(*lines).errors
    assert found.line == 10_001


def test_a_file_without_a_key_is_a_warning_as_it_serves_nobody() -> None:
    (found,) = read(b"# later\n").warnings
    assert "nobody" in found.message


@pytest.mark.parametrize(
    ("mode", "what"),
    [(0o600, None), (0o640, None), (0o400, None), (0o644, "read"), (0o660, "change"), (0o602, "change")],
)
def test_a_file_that_others_can_read_or_change_is_a_warning(tmp_path: Path, mode: int, what: str | None) -> None:
    path = tmp_path / "keys"
    path.write_bytes(line("ann"))
    path.chmod(mode)
    warnings = load_keys(path, CONFIG).warnings
    assert [f"other users can {what}" in found.message for found in warnings] == ([] if what is None else [True])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"priority": 1_000_001}, "at most 1,000,000"),
        ({"priority": -1_000_001}, "at least -1,000,000"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"allowed_fields": ["user"]}, "allowed_fields"),
    ],
)
def test_a_wrong_place_in_the_queue_is_told(fields: dict[str, Any], says: str) -> None:
    relay = RelayOptions(scheduling_policy="priority")
    by_priority = replace(CONFIG, pointsman=replace(CONFIG.pointsman, relay=relay))
    (problem,) = parse_keys(line("ann", **fields), by_priority).errors
    assert says in problem.message
    assert not parse_keys(line("ann", priority=-1_000_000, allowed_fields=["priority"]), by_priority).errors


def test_a_priority_that_vllm_ignores_is_an_error() -> None:
    """Without an option vLLM orders its queue by arrival."""
    (problem,) = read(line("ann", priority=0)).errors
    assert (problem.path, problem.line) == ("priority", 1)
    assert "vLLM ignores priorities" in problem.message
    assert "--scheduling-policy priority" in problem.fix


def test_a_file_of_more_than_4_mib_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"#" * (4 * 2**20))
    load_keys(path, CONFIG)
    path.write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(OSError, match="larger"):
        load_keys(path, CONFIG)


def test_a_file_with_vllms_key_must_hold_one(tmp_path: Path) -> None:
    """Its path is relative to the file of keys."""
    keys, own = tmp_path / "keys", tmp_path / "own"
    keys.write_bytes(line("ann", upstream_key_file="own"))
    for content in (None, b"", b"\xff", b"a\nb"):
        if content is not None:
            own.write_bytes(content)
        (problem,) = load_keys(keys, CONFIG).errors
        assert (problem.path, problem.line) == ("upstream_key_file", 1)
        assert str(own) in problem.message
    own.write_bytes(b"secret\n")
    (key,) = load_keys(keys, CONFIG).keys
    assert key.upstream == b"Authorization: Bearer secret\r\n"
