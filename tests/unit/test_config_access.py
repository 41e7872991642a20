"""`pointsman.access`: what contradicts it, and the addresses at which strangers would be served with vLLM's key."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pointsman.app.prepare import refuse_strangers
from pointsman.cli.check import check
from pointsman.config.loops import is_local
from pointsman.errors import CannotStart
from support.client_keys import line
from support.config_files import LABELS, MINIMAL, loaded, the_problem, write, write_manifest

LOCAL = ["127.0.0.1:8080", "127.3.2.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]:80", "localhost:80", "unix:/run/a.sock"]
BEYOND = ["0.0.0.0:8080", "[::]:8080", "10.0.0.5:8080", "[2001:db8::1]:80", "gpu-1:8080", "[::ffff:10.0.0.5]:80"]
"""A host name may be any address, so it counts as one of others."""


@pytest.mark.parametrize("text", LOCAL)
def test_some_addresses_are_reached_from_this_host_alone(text: str) -> None:
    assert is_local(text)


@pytest.mark.parametrize("text", BEYOND)
def test_all_others_are_reached_from_elsewhere(text: str) -> None:
    assert not is_local(text)


def text(listen: str, *options: str) -> str:
    more = "".join(f"  {option}\n" for option in options)
    return f'{MINIMAL}pointsman:\n  server: {{listen: ["127.0.0.1:1", "{listen}"]}}\n{more}'


KEY = "relay: {api_key_file: vllm-key}"


@pytest.mark.parametrize("listen", BEYOND)
def test_strangers_must_not_be_served_with_our_key_unless_the_config_says_so(tmp_path: Path, listen: str) -> None:
    found = the_problem(tmp_path, text(listen, KEY))
    assert (found.path, found.line) == ("pointsman.server.listen[1]", 12)
    assert "pointsman.access.keys_file" in found.fix
    assert "allow_anonymous: true" in found.fix
    for also in ("access: {keys_file: keys}", "access: {allow_anonymous: true}"):
        loaded(tmp_path, text(listen, KEY, also))
    loaded(tmp_path, text(listen))  # without a key of ours, vLLM itself decides whom it serves


@pytest.mark.parametrize("listen", LOCAL)
def test_on_the_loopback_no_keys_are_needed(tmp_path: Path, listen: str) -> None:
    loaded(tmp_path, text(listen, KEY))


def test_an_inherited_socket_is_judged_as_an_address_is(tmp_path: Path) -> None:
    config = loaded(tmp_path, text("localhost:80", KEY)).config
    refuse_strangers(config, LOCAL)
    with pytest.raises(CannotStart, match=r"beyond the loopback.*keys_file"):
        refuse_strangers(config, [*LOCAL, "0.0.0.0:8080"])
    refuse_strangers(loaded(tmp_path, text("localhost:80", KEY, "access: {allow_anonymous: true}")).config, BEYOND)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        (("access: {keys_file: keys, allow_anonymous: true}",), "pointsman.access.allow_anonymous"),
        (
            ("access: {keys_file: keys}", "relay: {forward_authorization: true}"),
            "pointsman.relay.forward_authorization",
        ),
    ],
)
def test_what_client_keys_leave_no_meaning_is_an_error(tmp_path: Path, options: tuple[str, ...], path: str) -> None:
    assert the_problem(tmp_path, text("localhost:80", *options)).path == path


# --- check ---------------------------------------------------------------------------------------------------------

CHECKED = MINIMAL + "classifier: {category_model: {model_id: artifact}}\n"
KEYS = CHECKED + "pointsman: {access: {keys_file: keys}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_manifest(tmp_path / "artifact", LABELS)
    return tmp_path


def checked(folder: Path, config: str, *listen: str) -> tuple[int, str]:
    out = io.StringIO()
    return check(write(folder, config), out, listen), out.getvalue()


def test_check_reads_the_keys_too(folder: Path) -> None:
    keys = folder / "keys"
    keys.write_bytes(line("ann", "law-lora") + line("bob", "law-lara") + line("ann"))
    keys.chmod(0o644)
    code, out = checked(folder, KEYS)
    assert code == 1
    assert f"error: {keys}:2: models: " in out
    assert f"error: {keys}:3: name: " in out
    assert f"warning: {keys}: other users can read this file" in out
    assert "2 errors" in out
    keys.write_bytes(line("ann", "law-lora"))
    assert checked(folder, KEYS)[0] == 0


def test_a_key_file_that_is_not_there_yet_is_a_warning(folder: Path) -> None:
    code, out = checked(folder, KEYS)
    assert code == 0
    assert f"warning: {folder}/config.yaml:12: pointsman.access.keys_file: {folder}/keys cannot be read" in out


def test_a_key_file_that_is_none_is_an_error(folder: Path) -> None:
    (folder / "keys").mkdir()
    assert checked(folder, KEYS)[0] == 1


def test_check_judges_the_sockets_that_systemd_would_pass(folder: Path) -> None:
    """The Debian package asks so before it restarts the service."""
    (folder / "key").write_text("k")
    config = CHECKED + "pointsman: {relay: {api_key_file: key}}\n"
    assert checked(folder, config, "127.0.0.1:8080")[0] == 0
    code, out = checked(folder, config, "127.0.0.1:8080", "0.0.0.0:8080")
    assert code == 1
    assert "0.0.0.0:8080 is beyond the loopback" in out
