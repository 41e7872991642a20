"""`pointsman keys`: keys are added, listed and revoked; nothing else in the file changes."""

from __future__ import annotations

import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli import keys as module
from pointsman.cli.main import main
from pointsman.config.client_keys import KeyEntry, parse_keys
from pointsman.config.key_lines import added, removed
from pointsman.config.load import load
from support.client_keys import line, overlapping
from support.config_files import MINIMAL, write

CONFIG = MINIMAL + "pointsman:\n  access: {keys_file: lab/keys.jsonl}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "lab").mkdir()
    return write(tmp_path, CONFIG)


@pytest.fixture
def file(config: Path) -> Path:
    return config.parent / "lab" / "keys.jsonl"


def keys(config: Path, *arguments: str) -> int:
    return main(["keys", *arguments, "--config", str(config)])


def test_a_secret_is_shown_once_and_only_its_hash_is_stored(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys(config, "add", "ann", "--model", "law-lora", "--model", "base", "--expires", "2099-01-01") == 0
    secret = capsys.readouterr().out.strip()
    assert len(secret) >= 43, "256 random bits"
    assert secret not in file.read_text()
    found = parse_keys(file.read_bytes(), load(config).config)
    assert found.errors == ()
    key = found.keys.find(secret.encode())
    assert key is not None
    assert (key.name, key.scope and key.scope.models) == ("ann", frozenset({"law-lora", "base"}))
    assert key.expires < float("inf")
    assert keys(config, "list") == 0
    out = capsys.readouterr().out
    assert secret not in out
    assert out.splitlines()[1].split()[:2] == ["ann", "law-lora,base"]


def test_json_for_scripts(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys(config, "add", "ann", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["name"] == "ann"
    assert keys(config, "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert {"name": "ann", "models": ["*"]}.items() <= listed.items()
    assert "sha256" not in listed


def test_a_key_may_have_a_place_in_the_queue_or_choose_it(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(config.parent, CONFIG + "  relay: {scheduling_policy: priority}\n")
    choice = ("--allow-field", "priority", "--allow-field", "kv_transfer_params")
    assert keys(config, "add", "ann", "--priority", "-5", *choice) == 0
    (key,) = parse_keys(file.read_bytes(), load(config).config).keys
    assert (key.priority, key.allowed_fields) == (-5, ("priority", "kv_transfer_params"))
    assert keys(config, "list") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-3:-1] == ["-5", "priority,kv_transfer_params"]


def test_a_new_file_is_the_owners_alone_and_an_old_one_is_closed_to_others(config: Path, file: Path) -> None:
    assert keys(config, "add", "ann") == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for mode, after in ((0o644, 0o640), (0o666, 0o640), (0o400, 0o400)):
        file.chmod(mode)
        assert keys(config, "add", f"bob{mode}") == 0
        assert stat.S_IMODE(file.stat().st_mode) == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_owner_of_the_file_stays(config: Path, file: Path) -> None:
    assert keys(config, "add", "ann") == 0
    os.chown(file, 1234, 2345)
    assert keys(config, "add", "bob") == 0
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_new_file_that_root_writes_is_the_services(config: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose user only an installed host has."""
    monkeypatch.setattr(module, "SERVICE_USER", "nobody")
    assert keys(config, "add", "ann") == 0
    user = pwd.getpwnam("nobody")
    assert (file.stat().st_uid, file.stat().st_gid) == (user.pw_uid, user.pw_gid)


def test_every_other_byte_of_the_file_stays(config: Path, file: Path) -> None:
    before = b"# for the lab\r\n\n" + line("ann") + b'  {"name":   "bob", "broken"\n' + line("eve").strip()
    assert removed(before, "nobody") == before
    assert removed(before, "ann") == before.replace(line("ann"), b"")
    entry = KeyEntry("zoe", "0" * 64, ["*"])
    assert added(before, entry) == before + b'\n{"name":"zoe","sha256":"%b","models":["*"]}\n' % (b"0" * 64)
    file.write_bytes(b"# for the lab\n" + line("ann") + line("bob"))
    assert keys(config, "revoke", "ann") == 0
    assert file.read_bytes() == b"# for the lab\n" + line("bob")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "ann"), "already used"),
        (("add", "a b"), "name"),
        (("add", "bob", "--model", "law-lara"), "did you mean law-lora"),
        (("add", "bob", "--model", "law-lora", "--default-model", "base"), "default"),
        (("add", "bob", "--expires", "soon"), "2027-01-31"),
        (("revoke", "bob"), "no key named"),
    ],
)
def test_what_the_service_would_refuse_is_not_written(
    config: Path, file: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(line("ann"))
    assert keys(config, *arguments) == 1
    assert says in capsys.readouterr().err
    assert file.read_bytes() == line("ann")


@pytest.mark.parametrize(
    "arguments",
    [("add",), ("revoke",), ("list", "ann"), ("revoke", "ann", "--model", "base"), ("list", "--expires", "x")],
)
def test_wrong_usage(config: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        keys(config, *arguments)
    assert caught.value.code == 2


def test_a_config_without_a_key_file_says_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys(write(tmp_path, MINIMAL), "add", "ann") == 1
    assert "keys_file" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "lab").rmdir()
    assert keys(config, "add", "ann") == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_commands_at_the_same_time_lose_no_key(config: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits until the first has written, and adds to that."""
    codes = overlapping(monkeypatch, *(lambda name=name: keys(config, "add", name) for name in ("ann", "bob")))
    assert codes == [0, 0]
    entries: list[Any] = [json.loads(text) for text in file.read_text().splitlines()]
    assert [entry["name"] for entry in entries] == ["ann", "bob"]
