"""Where the admin port is if the config does not say so, and where commands look for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli.admin_client import AdminError, AdminPort
from pointsman.config import admin_address
from pointsman.config.admin_address import running_at, with_admin_address
from pointsman.config.model import ServerOptions

FOLDER = Path("/run/pointsman")


@pytest.mark.parametrize(
    ("given", "folder", "admin", "status"),
    [
        pytest.param({}, None, "127.0.0.1:9190", None, id="one port for everything"),
        pytest.param({}, FOLDER, "unix:/run/pointsman/admin.sock", "127.0.0.1:9190", id="systemd"),
        pytest.param({"admin_listen": "localhost:1"}, FOLDER, "localhost:1", None, id="0.1's config under systemd"),
        pytest.param({"status_listen": "0.0.0.0:1"}, FOLDER, "unix:/run/pointsman/admin.sock", "0.0.0.0:1", id="moved"),
        pytest.param({"status_listen": "127.0.0.1:1"}, None, "127.0.0.1:1", None, id="moved, without systemd"),
        pytest.param({"status_listen": "0.0.0.0:9190"}, None, "127.0.0.1:9191", "0.0.0.0:9190", id="same port"),
        pytest.param({"status_listen": "10.0.0.1:1"}, None, "127.0.0.1:9190", "10.0.0.1:1", id="for others to read"),
        pytest.param({"admin_listen": "unix:/a", "status_listen": "[::]:1"}, None, "unix:/a", "[::]:1", id="both"),
    ],
)
def test_the_admin_port_is_a_unix_socket_under_systemd_and_never_open_to_others_by_default(
    given: dict[str, Any], folder: Path | None, admin: str, status: str | None
) -> None:
    found = with_admin_address(ServerOptions(**given), folder)

    assert (found.admin_listen, found.status_listen) == (admin, status)


def test_commands_find_the_socket_of_the_installed_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "admin.sock"
    monkeypatch.setattr(admin_address, "INSTALLED_SOCKET", socket)
    assert running_at(ServerOptions()) == "127.0.0.1:9190"
    assert running_at(ServerOptions(status_listen="127.0.0.1:1")) == "127.0.0.1:1"
    socket.touch()

    assert running_at(ServerOptions()) == f"unix:{socket}"
    assert running_at(ServerOptions(admin_listen="127.0.0.1:1")) == "127.0.0.1:1"


def test_a_folder_that_may_not_be_looked_into_has_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting then says who may."""

    def forbidden(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", forbidden)
    assert running_at(ServerOptions()) == "unix:/run/pointsman/admin.sock"


def test_commands_send_the_token_over_tcp_only(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("5f3a\n")
    server = ServerOptions(admin_listen="127.0.0.1:1", admin_token_file=str(file))

    assert AdminPort.of(server).headers() == {"Authorization": "Bearer 5f3a"}
    assert AdminPort.of(replace(server, admin_listen="unix:/a")).headers() == {}


def test_a_token_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match=r"admin_token_file: .*No such file.* or run this command as a user who may"):
        AdminPort("127.0.0.1:1", str(tmp_path / "token")).headers()
