"""The Debian package in booted Debians: what an operator does with it, from the first installation to the purge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support import load
from support.debian import CONFIG, SERVICE, SOCKET, Booted
from support.packages import Package
from support.process import eventually

from .conftest import Boot

ROOT = Path(__file__).parents[2]
CLIENTS = 4
REQUESTS = 50
LIMIT_SECONDS = 60.0
MINE = "\n# mine\n"
QUESTIONS = {
    "computer science": "How do I sort a list of {} in Python?",
    "engineering": "How thick is the steel of a bridge for {}?",
    "health": "Which medicine helps when {} has a fever?",
    "law": "May my landlord keep the deposit because of {}?",
    "other": "Write a short poem about {} in the rain.",
}
"""By the labels of a head; in the order of CATEGORIES."""
CATEGORIES = ["technical", "technical", "medical", "legal", "general"]
SUBJECTS = ("a cat", "a child", "a dog", "my brother", "a friend", "my wife", "a parrot", "my son", "a nurse")

pytestmark = pytest.mark.long


def more_than(clients: load.Load, requests: int) -> Callable[[], bool]:
    return lambda: clients.total() > requests


def edit(machine: Booted, text: str) -> None:
    """Append to the config."""
    config = machine.root / CONFIG
    config.write_text(config.read_text() + text)


def test_it_installs_without_a_network_and_serves(boot: Boot, plain: Path, package: Package) -> None:
    with boot(plain) as machine:
        machine.install(package.file)
        assert machine.show(SERVICE, "ActiveState") == "inactive"
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)

        assert machine.routed() == "llama2-7b"
        assert f"/{CONFIG}: the service can start" in machine.run("pointsman", "check", f"/{CONFIG}").splitlines()
        assert machine.serving() == package.version
        assert machine.run("dpkg", "--verify", "pointsman") == ""
        documents = machine.root / "usr/share/doc/pointsman"
        assert (documents / "NOTICE").read_text().startswith((ROOT / "NOTICE").read_text())
        terms = (documents / "copyright").read_text()
        assert terms.startswith("Format: ")
        assert "all-MiniLM-L6-v2" in terms
        assert "\nCopyright: 2026 " in terms


def test_each_library_that_it_ships_finds_what_it_needs(boot: Boot, packaged: Path) -> None:
    with boot(packaged) as machine:
        said = machine.run("sh", "-c", "find /usr/lib/pointsman -name '*.so*' -exec ldd {} + 2>&1")

    assert "libonnxruntime" in said
    assert [line for line in said.splitlines() if "not found" in line] == []


async def test_an_upgrade_and_the_way_back_refuse_nobody_and_keep_the_config(
    boot: Boot, packaged: Path, package: Package, successor: Package
) -> None:
    with boot(packaged) as machine:
        edit(machine, MINE)
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)
        with load.run(machine.init, CLIENTS) as clients:
            for target, options in ((successor, ()), (package, ("--allow-downgrades",))):
                before = clients.total()
                await eventually(more_than(clients, before + REQUESTS), "a load", timeout_s=LIMIT_SECONDS)
                machine.install(target.file, *options)
                before = clients.total()
                await eventually(more_than(clients, before + REQUESTS), "answers", timeout_s=LIMIT_SECONDS)

                assert machine.serving() == target.version
                assert list(clients.answers()) == [load.WHOLE]

        assert (machine.root / CONFIG).read_text().endswith(MINE)
        versions = sorted(path.name for path in (machine.root / "usr/lib/pointsman").iterdir())
        assert versions == [package.version, "running"]


async def test_a_promoted_head_serves_over_an_upgrade_with_another_encoder_and_is_made_anew_and_back(
    boot: Boot, packaged: Path, package: Package, retrained: Package
) -> None:
    """Nobody is refused, and the sandbox of the unit lets the service fit."""
    rows = [{"text": question.format(one), "label": label} for label, question in QUESTIONS.items() for one in SUBJECTS]
    with boot(packaged) as machine:
        (machine.root / "root/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)
        machine.run("sh", "-c", "cd /root; pointsman fit --data rows.jsonl -o /var/lib/pointsman/head")
        machine.run("pointsman", "classifier", "promote", "--yes", "/var/lib/pointsman/head")

        def decided() -> list[str]:
            return [machine.decided(question.format("a guest"))["category"] for question in QUESTIONS.values()]

        def encoders() -> int:
            return len(list((machine.root / "var/lib/pointsman/encoders").iterdir()))

        def renewed(heads: int) -> Callable[[], bool]:
            made = machine.root / "var/lib/pointsman/improve/artifacts"
            return lambda: (
                f"/{made.relative_to(machine.root)}/" in machine.run("pointsman", "classifier", "list").splitlines()[0]
                and len([one for one in made.iterdir() if not one.name.startswith(".")]) == heads
            )

        assert decided() == CATEGORIES
        assert encoders() == 1
        with load.run(machine.init, CLIENTS) as clients:
            for heads, (target, options) in enumerate(((retrained, ()), (package, ("--allow-downgrades",))), 1):
                machine.install(target.file, *options)
                assert machine.serving() == target.version
                assert decided() == CATEGORIES
                await eventually(renewed(heads), "the head is made anew", timeout_s=LIMIT_SECONDS)
                assert decided() == CATEGORIES
                assert encoders() == 2
                before = clients.total()
                await eventually(more_than(clients, before + REQUESTS), "answers", timeout_s=LIMIT_SECONDS)
                assert list(clients.answers()) == [load.WHOLE]
        machine.run("pointsman", "classifier", "rollback")
        assert decided() == CATEGORIES


async def test_the_former_version_lives_on_until_the_new_one_is_configured(
    boot: Boot, packaged: Path, package: Package, successor: Package
) -> None:
    """Even one that dies after dpkg removed its files."""
    with boot(packaged) as machine:
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)

        machine.run("dpkg", "--unpack", machine.bring(successor.file))
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", SERVICE)
        await eventually(lambda: machine.show(SERVICE, "NRestarts") == "1", "it is replaced", timeout_s=LIMIT_SECONDS)
        await eventually(lambda: machine.show(SERVICE, "ActiveState") == "active", "it serves", timeout_s=LIMIT_SECONDS)

        assert machine.routed() == "llama2-7b"
        assert machine.serving() == package.version
        machine.run("dpkg", "--configure", "pointsman")
        assert machine.serving() == successor.version
        assert machine.routed() == "llama2-7b"


def test_with_a_config_that_the_new_version_refuses_the_former_goes_on(
    boot: Boot, packaged: Path, package: Package, successor: Package
) -> None:
    with boot(packaged) as machine:
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)
        edit(machine, "\nno_such_key: 1\n")

        said = machine.run("sh", "-c", f"dpkg --force-confold --install {machine.bring(successor.file)} 2>&1")

        assert "no_such_key" in said
        assert "correct it, then: systemctl restart pointsman" in said
        assert machine.routed() == "llama2-7b"
        assert machine.serving() == package.version


def test_an_upgrade_warns_of_an_address_that_is_open_to_all_and_restarts_nothing(
    boot: Boot, packaged: Path, package: Package, successor: Package
) -> None:
    """As after 0.1, which served a config with vLLM's key and no client keys at any address of its socket."""
    open_to_all = "  access: {allow_anonymous: true}\n"
    with boot(packaged) as machine:
        drop_in = machine.root / f"etc/systemd/system/{SOCKET}.d/all.conf"
        drop_in.parent.mkdir()
        drop_in.write_text("[Socket]\nListenStream=\nListenStream=0.0.0.0:8080\n")
        key = machine.root / "etc/pointsman/vllm-key"
        key.write_text("secret\n")
        edit(machine, f"\npointsman:\n  relay: {{api_key_file: vllm-key}}\n{open_to_all}")
        machine.run("chown", "pointsman:", "/etc/pointsman/vllm-key")
        machine.run("chmod", "600", "/etc/pointsman/vllm-key")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)
        process = machine.show(SERVICE, "MainPID")
        config = machine.root / CONFIG
        config.write_text(config.read_text().replace(open_to_all, ""))

        said = machine.run("sh", "-c", f"dpkg --force-confold --install {machine.bring(successor.file)} 2>&1")

        assert "0.0.0.0:8080" in said
        assert "allow_anonymous" in said
        assert "correct it, then: systemctl restart pointsman" in said
        assert machine.show(SERVICE, "MainPID") == process
        assert machine.routed() == "llama2-7b"
        assert machine.serving() == package.version


def test_removed_it_leaves_what_is_the_operators_and_purged_nothing(boot: Boot, packaged: Path) -> None:
    with boot(packaged) as machine:
        edit(machine, MINE)
        machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)

        machine.run("apt-get", "--yes", "remove", "pointsman")
        left = machine.run("find", "/etc", "/usr", "/opt", "/var/lib/pointsman", "-name", "*pointsman*").split()
        assert left == ["/etc/pointsman", "/var/lib/pointsman"]
        assert machine.show(SERVICE, "LoadState") == "not-found"
        assert (machine.root / CONFIG).read_text().endswith(MINE)
        assert machine.run("getent", "passwd", "pointsman").startswith("pointsman:")

        machine.run("apt-get", "--yes", "purge", "pointsman")
        assert machine.run("find", "/etc", "/usr", "/opt", "/var/lib", "-name", "*pointsman*") == ""
        assert machine.run("getent", "passwd", "pointsman", check=False) == ""


def test_purged_it_names_what_is_the_operators_and_leaves_it_to_root(boot: Boot, packaged: Path) -> None:
    """Keys and the like may be wanted again, and nobody else may get to read them with the number of the user."""
    mine = ["/etc/pointsman/keys.jsonl", "/etc/pointsman/tls/server.key"]
    drop_in = "/etc/systemd/system/pointsman.service.d/mine.conf"
    with boot(packaged) as machine:
        for name in (*mine, drop_in):
            file = machine.root / name[1:]
            file.parent.mkdir(exist_ok=True)
            file.write_text("secret\n")
            file.chmod(0o640)
        machine.run("chown", "pointsman:pointsman", *mine)

        said = machine.run("apt-get", "--yes", "purge", "pointsman")

        assert all(name in said.splitlines() for name in (*mine, drop_in))
        assert f"/{CONFIG}" not in said.splitlines()
        assert machine.run("stat", "--format=%U:%G %a", *mine).split("\n") == ["root:root 640"] * 2 + [""]
        assert machine.run("getent", "passwd", "pointsman", check=False) == ""
