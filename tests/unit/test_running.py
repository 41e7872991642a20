"""Commands find a running service by what it tells, whatever its config file says by then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.cli.admin_client import AdminPort
from pointsman.config.running import admin_of, published
from pointsman.errors import ConfigError
from support.config_files import MINIMAL, write

SOCKET = "unix:/run/here/admin.sock"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own, and an empty runtime directory."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return tmp_path / "state"


def test_a_service_tells_its_address_while_it_runs(state: Path, tmp_path: Path) -> None:
    config = write(tmp_path, MINIMAL)
    assert admin_of(config) is None
    with published(state, config, SOCKET):
        assert admin_of(config) == SOCKET
        assert [file.name for file in state.iterdir()] == ["admin.json"]
    assert (admin_of(config), list(state.iterdir())) == (None, [])


def test_the_runtime_directory_comes_first_as_others_may_read_it(state: Path, tmp_path: Path) -> None:
    config = write(tmp_path, MINIMAL)
    with published(state, config, "127.0.0.1:1"), published(tmp_path / "run", config, SOCKET):
        assert admin_of(config) == SOCKET


def test_it_is_told_for_its_own_config_file_alone_by_whatever_link(state: Path, tmp_path: Path) -> None:
    config = write(tmp_path, MINIMAL)
    (tmp_path / "link.yaml").symlink_to(config)
    (tmp_path / "other.yaml").write_text(MINIMAL)
    with published(state, config, SOCKET):
        assert admin_of(tmp_path / "link.yaml") == SOCKET
        assert admin_of(tmp_path / "other.yaml") is None


KILLED = """
import os, sys
from pathlib import Path
from pointsman.config.running import published
with published(Path(sys.argv[1]), Path(sys.argv[2]), "unix:/a"):
    os._exit(0)
"""


@pytest.mark.heavy
def test_what_a_service_that_was_killed_has_told_is_nothing(state: Path, tmp_path: Path) -> None:
    config = write(tmp_path, MINIMAL)
    subprocess.run([sys.executable, "-c", KILLED, str(state), str(config)], check=True, timeout=60)
    assert (state / "admin.json").exists()
    assert admin_of(config) is None
    with published(state, config, SOCKET):
        assert admin_of(config) == SOCKET


def test_the_end_of_one_service_removes_nothing_of_the_next(state: Path, tmp_path: Path) -> None:
    config = write(tmp_path, MINIMAL)
    first = published(state, config, "unix:/a")
    first.__enter__()
    (state / "admin.json").unlink()
    with published(state, config, SOCKET):
        first.__exit__(None, None, None)
        assert admin_of(config) == SOCKET


@pytest.mark.parametrize("content", [b"", b"x", b"[]", b'{"config": 1}', b"\xff", b" " * 20_000 + b"{}"])
def test_another_file_says_nothing(state: Path, tmp_path: Path, content: bytes) -> None:
    config = write(tmp_path, MINIMAL)
    with published(state, config, SOCKET):
        (state / "admin.json").write_bytes(content)
        assert admin_of(config) is None
    (state / "admin.json").unlink(missing_ok=True)


def test_without_a_folder_nothing_is_told(state: Path, tmp_path: Path) -> None:
    with published(None, tmp_path / "config.yaml", SOCKET):
        assert not state.exists()


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"), published(tmp_path / "file" / "folder", tmp_path, SOCKET):
        pass


def test_commands_go_by_what_is_told_and_else_by_the_file(state: Path, tmp_path: Path) -> None:
    """And their token is the file's: another's would be told to whoever wrote the address."""
    config = write(tmp_path, MINIMAL + "pointsman: {server: {admin_listen: '127.0.0.1:1', admin_token_file: t}}\n")
    assert AdminPort.of_service(config).address == "127.0.0.1:1"
    for address, token in ((SOCKET, None), ("127.0.0.1:2", str(tmp_path / "t"))):
        with published(state, config, address):
            found = AdminPort.of_service(config)
            assert (found.address, found.token_file) == (address, token)


def test_a_service_is_found_whose_file_cannot_be_read_any_more(state: Path, tmp_path: Path) -> None:
    config = write(tmp_path, "vllm_endpoints: {")
    with published(state, config, SOCKET):
        assert AdminPort.of_service(config) == AdminPort(SOCKET)
    with pytest.raises(ConfigError):
        AdminPort.of_service(config)


def test_others_may_read_the_address(state: Path, tmp_path: Path) -> None:
    with published(state, tmp_path / "config.yaml", SOCKET):
        assert (state / "admin.json").stat().st_mode & 0o777 == 0o644 & ~_umask()
        assert json.loads((state / "admin.json").read_bytes())["admin"] == SOCKET


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found
