"""A clean Debian that boots with the service: the handbook's commands, and systemd's own judgement of what they do.

POINTSMAN_DEBIAN names another suite than trixie; bookworm's systemd 252 gets the drop-in for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import debian, needs
from support.debian import Booted
from support.process import eventually

SOURCE = Path(__file__).parents[2]
SERVICE, SOCKET = "pointsman.service", "pointsman.socket"
CONFIG = "etc/pointsman/config.yaml"
DROP_INS = "etc/systemd/system/pointsman.service.d"
LIMIT_S = 60.0

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    if reason := debian.missing():
        needs.lacking(f"NOT booted: {reason}")
    root = tmp_path_factory.mktemp("debian") / "root"
    debian.make(root)
    debian.install(root, SOURCE)
    with debian.booted(root) as machine:
        yield machine
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def _as_installed(machine: Booted) -> Iterator[None]:
    """Each test finds the service stopped, with the config and the unit as they were installed."""
    config = machine.root / CONFIG
    before = config.read_text()
    if debian.SUITE == "bookworm":
        drop_in(machine, "before-253.conf")
    yield
    machine.run("systemctl", "stop", SERVICE, SOCKET, check=False)
    machine.run("systemctl", "reset-failed", check=False)
    shutil.rmtree(machine.root / DROP_INS, ignore_errors=True)
    machine.run("systemctl", "daemon-reload")
    config.write_text(before)


def drop_in(machine: Booted, name: str, text: str | None = None) -> None:
    """One of those that are installed for the operator to copy, or another `text`."""
    folder = machine.root / DROP_INS
    folder.mkdir(exist_ok=True)
    offered = machine.root / "opt/pointsman/share/pointsman" / name
    (folder / name).write_text(offered.read_text() if text is None else text)
    machine.run("systemctl", "daemon-reload")


def routed(machine: Booted) -> str:
    """The model that a question of mathematics would go to."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What are the roots of x^2 - 4?"}]})
    command = ("curl", "--silent", "--show-error", "--fail", "-H", "Content-Type: application/json", "-d", body)
    answer = json.loads(machine.run(*command, "http://127.0.0.1:8080/v1/route"))
    model: str = answer["decision"]["model"]
    return model


def test_the_service_starts_and_answers_with_all_that_is_forbidden_to_it(machine: Booted) -> None:
    machine.run("systemctl", "start", SERVICE)

    assert routed(machine) == "llama2-7b"
    assert machine.show(SERVICE, "StatusText").startswith("0 of 1 vLLM up")
    assert machine.show(SERVICE, "NRestarts") == "0"


async def test_a_reload_is_awaited_and_applied(machine: Booted) -> None:
    machine.run("systemctl", "start", SERVICE)
    config = machine.root / CONFIG
    config.write_text(config.read_text().replace("threshold: 0.6", "threshold: 0.7"))

    def applied() -> bool:
        serving = json.loads(machine.run("curl", "--silent", "--fail", "http://127.0.0.1:9190/config"))
        threshold: float = serving["config"]["classifier"]["category_model"]["threshold"]
        return threshold == 0.7

    machine.run("systemctl", "reload", SERVICE)

    if debian.SUITE == "bookworm":  # its systemd only sends the signal
        await eventually(applied, "it is applied", within_s=LIMIT_S)
    assert applied()
    assert machine.show(SERVICE, "ActiveState") == "active"


def test_a_config_that_cannot_start_is_not_tried_again(machine: Booted) -> None:
    config = machine.root / CONFIG
    config.write_text(config.read_text() + "\nno_such_key: 1\n")

    machine.run("systemctl", "start", SERVICE, check=False)

    assert machine.show(SERVICE, "ActiveState") == "failed"
    assert machine.show(SERVICE, "ExecMainStatus") == "3"
    assert machine.show(SERVICE, "NRestarts") == "0"
    assert "no_such_key" in machine.run("journalctl", "--unit", SERVICE, "--output=cat")


async def test_a_process_that_hangs_is_replaced(machine: Booted) -> None:
    drop_in(machine, "test.conf", "[Service]\nWatchdogSec=2\n")
    machine.run("systemctl", "start", SERVICE)

    machine.run("systemctl", "kill", "--signal=STOP", SERVICE)

    await eventually(
        lambda: (machine.show(SERVICE, "NRestarts"), machine.show(SERVICE, "ActiveState")) == ("1", "active"),
        "systemd starts another one",
        within_s=LIMIT_S,
    )
    assert routed(machine) == "llama2-7b"


async def test_with_its_socket_the_first_client_starts_it(machine: Booted) -> None:
    machine.run("systemctl", "start", SOCKET)
    assert machine.show(SERVICE, "ActiveState") == "inactive"

    assert routed(machine) == "llama2-7b"

    await eventually(lambda: machine.show(SERVICE, "ActiveState") == "active", "it is ready", within_s=LIMIT_S)


def test_vllms_key_comes_as_a_credential(machine: Booted) -> None:
    drop_in(machine, "api-key.conf")
    key, config = machine.root / "etc/pointsman/vllm-key", machine.root / CONFIG
    key.write_text("secret\n")
    key.chmod(0o600)
    credential = "/run/credentials/pointsman.service/vllm-key"
    config.write_text(config.read_text() + f"\npointsman:\n  relay:\n    api_key_file: {credential}\n")

    machine.run("systemctl", "start", SERVICE)

    assert routed(machine) == "llama2-7b"
    assert "secret" not in machine.run("journalctl", "--unit", SERVICE, "--output=cat")


def test_uninstalled_it_leaves_the_config_and_nothing_that_runs(machine: Booted) -> None:
    machine.run("systemctl", "enable", "--now", SERVICE)

    machine.run("make", "-C", "/root/pointsman", "uninstall")

    assert machine.show(SERVICE, "LoadState") == "not-found"
    assert not (machine.root / "opt/pointsman").exists()
    assert (machine.root / CONFIG).exists()
