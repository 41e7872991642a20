"""A key has two secrets for as long as the operator wants, and one name, under which everything goes on."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pointsman.app import reload
from pointsman.cli import keys as command
from pointsman.cli.check import check
from pointsman.cli.main import main
from pointsman.config.client_keys import ClientKeys, KeyFile, parse_keys
from pointsman.config.load import load
from support.client_keys import bearer, line
from support.config_files import LABELS, MINIMAL, write, write_manifest
from support.playbook import OK, Wire, playing, post, with_length
from support.toy_config import BASE, config

SINCE = "2026-12-01T10:00:00+00:00"
FORMER_FIELDS = {"name", "sha256", "models", "default_model", "expires", "created"}
"""What a release before this one reads of a line."""


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def two(name: str, **fields: Any) -> bytes:
    """A key with the secrets `<name>-secret` and, before that, `<name>-old`."""
    return line(name, former_sha256=digest(f"{name}-old"), rotated=SINCE, **fields)


def read(*lines: bytes) -> KeyFile:
    return parse_keys(b"".join(lines), config())


# --- the file ------------------------------------------------------------------------------------------------------


def test_either_secret_is_the_same_key() -> None:
    found = read(two("ann"), line("bob"))
    assert found.errors == ()
    keys = found.keys
    new, old = keys.find(b"ann-secret"), keys.find(b"ann-old")
    assert new is not None
    assert old is not None
    assert (new.by_former, old.by_former) == (False, True)
    assert structs.replace(old, by_former=False) == new
    assert keys.find(b"bob-old") is None
    assert [key.name for key in keys] == ["ann", "bob"]
    assert len(keys) == 2


def test_a_lookup_is_one_whatever_the_number_of_secrets() -> None:
    class Counted(dict[bytes, Any]):
        count = 0

        def get(self, key: bytes, default: Any = None) -> Any:
            Counted.count += 1
            return super().get(key, default)

    keys = read(two("ann")).keys
    keys._by_digest = Counted(keys._by_digest)
    for secret in (b"ann-secret", b"ann-old", b"neither"):
        Counted.count = 0
        keys.find(secret)
        assert Counted.count == 1


@pytest.mark.parametrize(
    ("lines", "number", "field", "says"),
    [
        ([line("ann", former_sha256=digest("ann-secret"))], 1, "former_sha256", "the same secret twice"),
        ([line("bob"), line("ann", former_sha256=digest("bob-secret"))], 2, "former_sha256", 'the key "bob"'),
        ([two("ann"), line("bob", sent="ann-old")], 2, "sha256", 'the key "ann"'),
        ([two("ann"), line("bob", former_sha256=digest("ann-old"))], 2, "former_sha256", 'the key "ann"'),
        ([line("ann", former_sha256="0" * 63)], 1, "former_sha256", "64 hexadecimal digits"),
        ([line("ann", former_sha256=digest("x").upper())], 1, "former_sha256", "lower case"),
        ([line("ann", former_sha256="")], 1, "former_sha256", "64 hexadecimal digits"),
        ([line("ann", former_sha256=[digest("x"), digest("y")])], 1, "", "former_sha256"),
    ],
)
def test_a_secret_is_there_once_and_a_key_has_at_most_two(
    lines: list[bytes], number: int, field: str, says: str
) -> None:
    (problem,) = read(*lines).errors
    assert (problem.line, problem.path) == (number, field)
    assert says in problem.message


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    return write(tmp_path, MINIMAL + "pointsman:\n  access: {keys_file: keys.jsonl}\n")


@pytest.fixture
def file(configured: Path) -> Path:
    path = configured.parent / "keys.jsonl"
    path.write_bytes(b"# for the lab\n" + line("ann", created="2026-01-01", expires="2099-01-01") + line("bob"))
    path.chmod(0o600)
    return path


def keys(configured: Path, *arguments: str) -> int:
    return main(["keys", *arguments, "--config", str(configured)])


def served(configured: Path, file: Path) -> ClientKeys:
    found = parse_keys(file.read_bytes(), load(configured).config)
    assert found.errors == ()
    return found.keys


def valid(configured: Path, file: Path, *secrets: str) -> list[bool]:
    return [served(configured, file).find(secret.encode()) is not None for secret in secrets]


def rotated(configured: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Give `ann` a second secret."""
    capsys.readouterr()
    assert keys(configured, "rotate", "ann") == 0
    return capsys.readouterr().out.strip()


def test_a_second_secret_is_shown_once_and_the_first_stays_valid(
    configured: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes().split(b"\n")
    new = rotated(configured, capsys)
    assert len(new) >= 43, "256 random bits"
    assert new not in file.read_text()
    assert valid(configured, file, "ann-secret", new, "bob-secret") == [True, True, True]
    after = file.read_bytes().split(b"\n")
    assert (after[0], *after[2:]) == (before[0], *before[2:]), "all other bytes stay"
    shown: Any = json.loads(after[1])
    assert {"name": "ann", "expires": "2099-01-01", "created": "2026-01-01"}.items() <= shown.items()


@pytest.mark.parametrize(("action", "left"), [("drop-old", "new"), ("drop-new", "old")])
def test_one_of_the_two_ends_and_the_line_is_one_of_a_former_release(
    configured: Path, file: Path, capsys: pytest.CaptureFixture[str], action: str, left: str
) -> None:
    """After `drop-old`, the note says when the secret that is left was made."""
    new = rotated(configured, capsys)
    assert keys(configured, action, "ann") == 0
    assert valid(configured, file, "ann-secret", new) == [left == "old", left == "new"]
    shown: Any = json.loads(file.read_bytes().split(b"\n")[1])
    assert shown.keys() <= FORMER_FIELDS
    assert (shown["created"] == "2026-01-01") is (left == "old")


def test_every_line_keeps_its_end(configured: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"#\r\n" + line("ann").replace(b"\n", b"\r\n") + line("bob").strip())
    rotated(configured, capsys)
    first, second, third = file.read_bytes().splitlines(keepends=True)
    assert (first, second[-3:], third) == (b"#\r\n", b"}\r\n", line("bob").strip())


@pytest.mark.parametrize(
    ("rotations", "arguments", "says"),
    [
        (1, ("rotate", "ann"), "ann has two secrets already"),
        (1, ("rotate", "eve"), 'no key named "eve"'),
        (0, ("drop-old", "eve"), 'no key named "eve"'),
        (0, ("drop-new", "eve"), 'no key named "eve"'),
        (0, ("drop-old", "ann"), "ann has one secret alone"),
        (0, ("drop-new", "ann"), "ann has one secret alone"),
        (1, ("drop-old", "bob"), "bob has one secret alone"),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    configured: Path,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    rotations: int,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    for _ in range(rotations):
        rotated(configured, capsys)
    before = file.read_bytes()
    assert keys(configured, *arguments) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == "", "no secret that is not valid"
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [("rotate",), ("drop-old",), ("drop-new",), ("rotate", "ann", "--expires", "2099-01-01")]
)
def test_wrong_usage(configured: Path, file: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        keys(configured, *arguments)
    assert caught.value.code == 2


def test_a_file_that_the_service_would_refuse_gets_no_second_secret(
    configured: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = file.read_bytes() + line("ann", sent="x")
    file.write_bytes(broken)
    assert keys(configured, "rotate", "ann") == 1
    assert "already used on line 2" in capsys.readouterr().err
    assert file.read_bytes() == broken


@pytest.mark.parametrize("arguments", [("add", "eve"), ("rotate", "ann")])
def test_no_file_grows_larger_than_the_service_reads(
    configured: Path, file: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    before = file.read_bytes()
    before += b"#" * (4 * 2**20 - len(before) - 20) + b"\n"
    file.write_bytes(before)
    assert keys(configured, *arguments) == 1
    captured = capsys.readouterr()
    assert "larger than 4,194,304 bytes" in captured.err
    assert captured.out == ""
    assert file.read_bytes() == before


def test_of_a_name_that_is_there_twice_the_key_with_one_secret_keeps_it(configured: Path, file: Path) -> None:
    other = line("ann", sent="x")
    file.write_bytes(two("ann") + other)
    assert keys(configured, "drop-new", "ann") == 0
    shown = [json.loads(one)["sha256"] for one in file.read_bytes().splitlines()]
    assert shown == [digest("ann-old"), digest("x")]


@pytest.mark.parametrize("arguments", [("add", "eve"), ("rotate", "ann")])
def test_what_an_editor_has_written_meanwhile_stays(
    configured: Path,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    def edited(*given: Any) -> Any:
        file.write_bytes(line("eve"))
        return parse_keys(*given)

    monkeypatch.setattr(command, "parse_keys", edited)
    assert keys(configured, *arguments) == 1
    captured = capsys.readouterr()
    assert "changed by another process" in captured.err
    assert captured.out == ""
    assert file.read_bytes() == line("eve")


def test_list_says_which_keys_have_two_secrets_and_since_when(
    configured: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(two("ann") + line("bob"))
    assert keys(configured, "list") == 0
    head, ann, bob = capsys.readouterr().out.splitlines()
    column = head.index("secrets")
    assert ann[column:].startswith(f"2 since {SINCE} ")
    assert bob[column:].startswith("1 ")
    assert keys(configured, "list", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["secrets"], one.get("rotated")) for one in shown] == [(2, SINCE), (1, None)]
    assert not any("sha256" in name for one in shown for name in one)


def test_check_says_which_keys_have_two_secrets(tmp_path: Path) -> None:
    """Of many, ten by name."""
    write_manifest(tmp_path / "artifact", LABELS)
    text = "classifier: {category_model: {model_id: artifact}}\npointsman: {access: {keys_file: keys}}\n"
    written = write(tmp_path, MINIMAL + text)
    out = io.StringIO()
    (tmp_path / "keys").write_bytes(line("bob") + b"".join(two(f"ann{number}") for number in range(12)))
    (tmp_path / "keys").chmod(0o600)
    assert check(written, out) == 0
    shown = [text for text in out.getvalue().splitlines() if "two secrets" in text]
    assert f"the key ann0 has two secrets since {SINCE}" in shown[0]
    assert len(shown) == 11
    assert "2 more" in shown[-1]
    assert "bob" not in out.getvalue()


# --- the service ---------------------------------------------------------------------------------------------------


def send(wire: Wire, secret: str, body: Any, path: str = "/v1/chat/completions") -> None:
    """POST on a connection of its own."""
    data = json.dumps(body).encode()
    fields = ["Host: here", "Content-Type: application/json", f"Content-Length: {len(data)}"]
    wire.client = wire.connect()
    head = [f"POST {path} HTTP/1.1", f"Authorization: Bearer {secret}", *fields, "", ""]
    wire.client.sends("\r\n".join(head).encode() + data)


def chat(*turns: str, model: str = BASE) -> dict[str, Any]:
    said = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(turns)]
    return {"model": model, "messages": said}


def test_limits_log_and_metrics_are_the_keys_whichever_secret_is_sent() -> None:
    with playing(keys=two("ann", requests_per_minute=2)) as wire:
        for secret in ("ann-old", "ann-secret"):
            send(wire, secret, chat("Why?"))
            wire.upstream.sends(OK)
        for secret in ("ann-secret", "ann-old"):
            send(wire, secret, chat("Why?"))
            assert wire.error == (429, "rate_limit_exceeded")
        shown = [(one["key"], one.get("old_secret")) for one in wire.outcomes()]
        assert shown == [("ann", True), ("ann", None), ("ann", None), ("ann", True)]
        text = wire.generations.metrics.render().decode()
        assert 'pointsman_key_requests_total{key="ann"' in text
        for secret in ("ann-old", "ann-secret"):
            assert secret not in text
            assert secret not in wire.log.getvalue()


def test_no_request_is_refused_while_a_secret_is_replaced() -> None:
    """Before, between and after, by reloads, on connections that stay open; the count of tokens goes on."""
    limits: dict[str, Any] = {"tokens_per_minute": 1000}
    used = b'{"usage": {"prompt_tokens": 100, "completion_tokens": 100}}'
    with playing(keys=line("ann", sent="ann-old", **limits)) as wire:
        for file, secrets in (
            (line("ann", sent="ann-old", **limits), ["ann-old"]),
            (two("ann", **limits), ["ann-old", "ann-secret", "ann-old"]),
            (line("ann", **limits), ["ann-secret"]),
        ):
            wire.keys = file
            wire.reload()
            for secret in secrets:
                send(wire, secret, chat("Why?") | {"max_tokens": 1})
                wire.upstream.sends(with_length(used))
                assert wire.answer.status == 200
        send(wire, "ann-old", chat("Why?"))
        assert wire.error == (401, "invalid_api_key")
        send(wire, "ann-secret", chat("Why?") | {"max_tokens": 1})
        assert wire.error == (429, "rate_limit_exceeded"), "five requests have used the minute's tokens"


def test_both_secrets_in_one_request_are_one_key() -> None:
    with playing(keys=two("ann") + line("bob")) as wire:
        for plain, status in (("ann-old", 200), ("bob-secret", 401)):
            wire.client = wire.connect()
            wire.client.sends(post(BASE, "/v1/chat/completions", bearer("ann"), f"x-api-key: {plain}"))
            if status == 200:
                wire.upstream.sends(OK)
            assert wire.answer.status == status


def test_a_reload_says_what_became_of_the_secrets() -> None:
    def changes(before: bytes, after: bytes) -> list[Any]:
        return [one.new for one in reload._keys(read(before).keys, read(after).keys)]

    assert changes(line("ann"), two("ann")) == ["(a second secret)"]
    assert changes(two("ann"), line("ann")) == ["(one of its two secrets)"]
    assert changes(two("ann"), line("ann", sent="ann-old")) == ["(one of its two secrets)"]
    assert changes(line("ann"), line("ann", sent="x")) == ["(another secret)"]
    assert changes(line("ann"), line("ann", requests_per_minute=1)) == ["(other limits)"]
    assert changes(two("ann"), two("ann")) == []


def test_of_many_keys_that_changed_a_reload_tells_the_number() -> None:
    many = b"".join(line(f"key{number}") for number in range(100))
    (change,) = reload._keys(read(line("ann")).keys, read(line("ann") + many).keys)
    assert (change.old, change.new) == ("(1 keys)", "(101 keys, 100 of them changed)")
