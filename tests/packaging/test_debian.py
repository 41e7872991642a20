"""Clean Debians that boot with the package: the handbook's commands, and systemd's own judgement of what they do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import debian, newcomer
from support.debian import CONFIG, SERVICE, SOCKET, Booted
from support.process import eventually

DROP_INS = "etc/systemd/system/pointsman.service.d"
LIMIT_SECONDS = 60.0
VLLM = "vllm.service"
MODELS = "http://127.0.0.1:8000/v1/models"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def machine(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with debian.booted(packaged, tmp_path_factory.mktemp("debian") / "scratch") as machine:
        yield machine


@pytest.fixture(autouse=True)
def _as_installed(machine: Booted) -> Iterator[None]:
    """Each test finds the service stopped, with the config and the unit as they were installed, and no vLLM."""
    config = machine.root / CONFIG
    before = config.read_text()
    yield
    machine.run("systemctl", "stop", SERVICE, SOCKET, VLLM, check=False)
    machine.run("systemctl", "reset-failed", check=False)
    shutil.rmtree(machine.root / DROP_INS, ignore_errors=True)
    machine.run("systemctl", "daemon-reload")
    config.write_text(before)


def drop_in(machine: Booted, name: str, text: str | None = None) -> None:
    """One of those that are installed for the operator to copy, or another `text`."""
    folder = machine.root / DROP_INS
    folder.mkdir(exist_ok=True)
    offered = machine.root / "usr/share/pointsman" / name
    (folder / name).write_text(offered.read_text() if text is None else text)
    machine.run("systemctl", "daemon-reload")


def test_the_service_starts_and_answers_with_all_that_is_forbidden_to_it(machine: Booted) -> None:
    machine.run("systemctl", "start", SERVICE)

    assert machine.routed() == "llama2-7b"
    assert machine.show(SERVICE, "StatusText").startswith("0 of 1 vLLM up")
    assert machine.show(SERVICE, "NRestarts") == "0"


async def test_a_reload_is_awaited_and_applied(machine: Booted, suite: str) -> None:
    machine.run("systemctl", "start", SERVICE)
    config = machine.root / CONFIG
    config.write_text(config.read_text().replace("threshold: 0.5", "threshold: 0.7"))

    def applied() -> bool:
        at_socket = ("--unix-socket", "/run/pointsman/admin.sock", "http://localhost/config")
        serving = json.loads(machine.run("curl", "--silent", "--fail", *at_socket))
        threshold: float = serving["config"]["classifier"]["category_model"]["threshold"]
        return threshold == 0.7

    machine.run("systemctl", "reload", SERVICE)

    if suite == "bookworm":  # its systemd only sends the signal
        await eventually(applied, "it is applied", timeout_s=LIMIT_SECONDS)
    assert applied()
    assert machine.show(SERVICE, "ActiveState") == "active"


def test_the_admin_port_is_a_socket_for_the_group_and_the_metrics_are_on_tcp(machine: Booted) -> None:
    machine.run("systemctl", "start", SERVICE)
    machine.run("useradd", "--groups", "pointsman", "alice")
    machine.run("useradd", "stranger")

    shown = machine.run("stat", "--format=%a %U %G", "/run/pointsman", "/run/pointsman/admin.sock")
    answers = [
        machine.run("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", f"{url}")
        for url in ("http://127.0.0.1:9190/metrics", "http://127.0.0.1:9190/config")
    ]
    status = {
        user: machine.run("runuser", "--user", user, "--", "pointsman", "status", check=False)
        for user in ("root", "alice", "stranger")
    }

    assert shown.splitlines() == ["750 pointsman pointsman", "660 pointsman pointsman"]
    assert answers == ["200", "404"]
    assert ["at unix:/run/pointsman/admin.sock" in said for said in status.values()] == [True, True, False]


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

    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", SERVICE)

    await eventually(
        lambda: (machine.show(SERVICE, "NRestarts"), machine.show(SERVICE, "ActiveState")) == ("1", "active"),
        "systemd starts another one",
        timeout_s=LIMIT_SECONDS,
    )
    assert machine.routed() == "llama2-7b"


async def test_with_its_socket_the_first_client_starts_it(machine: Booted) -> None:
    machine.run("systemctl", "start", SOCKET)
    assert machine.show(SERVICE, "ActiveState") == "inactive"

    assert machine.routed() == "llama2-7b"

    await eventually(lambda: machine.show(SERVICE, "ActiveState") == "active", "it is ready", timeout_s=LIMIT_SECONDS)


async def test_a_newcomer_with_twelve_unknown_adapters_has_a_service_that_routes(machine: Booted) -> None:
    newcomer.write_cards(machine.root / "srv/loras")
    vllm = machine.root / "srv/vllm"
    (vllm / "v1").mkdir(parents=True)
    served = [
        {"id": one["name"], "root": f"/srv/loras/{one['name']}", "parent": "base-model"} for one in newcomer.ADAPTERS
    ]
    (vllm / "v1/models").write_text(json.dumps({"data": [{"id": "base-model", "root": "/srv/base"}, *served]}))
    machine.run("systemd-run", f"--unit={VLLM}", "python3", "-m", "http.server", "--directory=/srv/vllm", "8000")
    await eventually(
        lambda: "base-model" in machine.run("curl", "-s", MODELS, check=False), "it answers", timeout_s=LIMIT_SECONDS
    )

    said = machine.run("pointsman", "init", "--force", "--vllm", "127.0.0.1:8000")
    newcomer.say_what_each_is_for(machine.root / CONFIG)
    machine.run("systemctl", "restart", SERVICE)

    assert said.count("described by its card") == 6
    newcomer.assert_routed(lambda prompt: machine.decided(prompt)["model"])


def test_vllms_key_comes_as_a_credential(machine: Booted) -> None:
    drop_in(machine, "api-key.conf")
    key, config = machine.root / "etc/pointsman/vllm-key", machine.root / CONFIG
    key.write_text("secret\n")
    key.chmod(0o600)
    credential = "/run/credentials/pointsman.service/vllm-key"
    config.write_text(config.read_text() + f"\npointsman:\n  relay:\n    api_key_file: {credential}\n")

    machine.run("systemctl", "start", SERVICE)

    assert machine.routed() == "llama2-7b"
    assert "secret" not in machine.run("journalctl", "--unit", SERVICE, "--output=cat")
