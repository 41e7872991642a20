"""An upgrade from the former release and the way back, by real services on one state directory.

`unit/test_former_release.py` has what needs no service.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fixtures.former import make
from support import former
from support.command import run_here
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.service import CHAT, TECHNICAL, chat

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Host:
    """A host with a vLLM, on which one release after the other serves."""

    folder: Path
    config: dict[str, Any]
    http: aiohttp.ClientSession

    async def get(self, url: str) -> str:
        async with self.http.get(url) as got:
            return await got.text()

    @property
    def env(self) -> dict[str, str]:
        return {"STATE_DIRECTORY": str(self.folder / "state")}


@dataclass
class Seen:
    """What a release makes of the files of another."""

    log: list[dict[str, Any]]
    overlay: Any
    metrics: str
    response: int
    """The status of a stored response of before."""
    feedback: int
    """The status of feedback on an answer of before."""
    text_hash: str
    request_id: str

    @property
    def trouble(self) -> list[str]:
        """What the log says of files that cannot be used."""
        said = [str(line.get("message")) for line in self.log]
        return [message for message in said if re.search(r"cannot be (read|used|written)|does not hold", message)]


async def look(host: Host, daemon: Daemon, *, answer: str) -> Seen:
    """Ask a service for a response that was stored, and give feedback on an answer, of before its start."""

    async def ask(method: str, path: str, body: Any = None) -> aiohttp.ClientResponse:
        async with host.http.request(method, daemon.base_url + path, json=body) as got:
            await got.read()
            return got

    found = await ask("GET", "/v1/responses/resp_former")
    rated = await ask("POST", "/v1/feedback", {"request_id": answer, "score": 1})
    asked = await ask("POST", CHAT, chat(TECHNICAL))
    request_id = asked.headers["x-request-id"]
    line = await daemon.logged("routing_decision", request_id=request_id)
    overlay = json.loads(await host.get(f"{daemon.admin_url}/overlay"))["overlay"]
    return Seen(daemon.log_lines(), overlay, "", found.status, rated.status, line["text_hash"], request_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    """A host as the former release left it."""
    folder = tmp_path_factory.mktemp("host")
    former.lay_out(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    authorization = {"Authorization": f"Bearer {(folder / 'secret').read_text()}"}

    async with run_fake_vllm() as vllm, aiohttp.ClientSession(headers=authorization) as http:
        vllm.answer = make.answer
        config["vllm_endpoints"][0]["port"] = vllm.port
        yield Host(folder, config, http)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upgraded(host: Host) -> Seen:
    """This release after the former one; then it does the same, and stores what it can."""
    answer = next(line for line in former.request_lines()[1:] if line["status"] == 200)["request_id"]
    async with run_daemon(host.config, host.folder, env=host.env) as daemon:
        seen = await look(host, daemon, answer=answer)
        await commands(daemon, "mode config", "canary restart legal")
        await make.ask(host.http, daemon.base_url)
        seen.metrics = await host.get(f"{daemon.admin_url}/metrics")
        await commands(daemon, "canary rollback legal", "classifier rollback", "keys add ben", "mode off --for 1h")
    seen.log = daemon.log_lines()
    (host.folder / "later.log").symlink_to(daemon.log)
    return seen


async def commands(daemon: Daemon, *lines: str) -> None:
    for line in lines:
        done = await asyncio.to_thread(run_here, *line.split(), "--config", daemon.config)
        assert done.returncode == 0, done


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def downgraded(host: Host, upgraded: Seen) -> Seen:
    """The former release after this one."""
    env = host.env | {"PYTHONPATH": str(former.code(host.folder / "code"))}
    async with run_daemon(host.config, host.folder, env=env) as daemon:
        return await look(host, daemon, answer=upgraded.request_id)


async def test_an_upgrade_reads_each_file_of_the_former_release(upgraded: Seen, host: Host) -> None:
    """Stored responses, answers that can be judged, the key of text hashes, and what commands decided."""
    assert upgraded.trouble == []
    assert (upgraded.response, upgraded.feedback) == (200, 200)
    hashes = {line["text_hash"] for line in former.request_lines() if line.get("category") == "technical"}
    assert upgraded.text_hash in hashes
    assert upgraded.overlay["mode"] == "shadow"
    assert upgraded.overlay["canaries"]["legal"]["state"] == "promoted"
    assert upgraded.overlay["classifier"]["path"] == str(host.folder / "state/improve/artifacts/fitted")
    assert upgraded.overlay["adapters"] == {"medical-lora": {"base": "llama2-7b", "path": "/srv/medical"}}


async def test_a_downgrade_reads_each_file_of_this_release(downgraded: Seen, upgraded: Seen) -> None:
    assert downgraded.trouble == []
    assert (downgraded.response, downgraded.feedback) == (200, 200)
    assert downgraded.text_hash == upgraded.text_hash
    assert "mode" not in downgraded.overlay, "a mode with an end is this release's own"
    assert downgraded.overlay["canaries"]["legal"]["state"] == "rolled_back"
    assert "classifier" not in downgraded.overlay
    assert downgraded.overlay["adapters"] == upgraded.overlay["adapters"]


async def test_a_downgrade_reads_the_log_and_files_that_commands_read(downgraded: Seen, host: Host) -> None:
    lines = ("compare canary stable --log later.log", "collect --log later.log", "label --undo", "keys list")
    typed = [[*line.split(), "--config", "config.yaml"] for line in lines]
    program = f"from pointsman.cli.main import main; print([main(one) for one in {typed}])"
    env = os.environ | host.env | {"PYTHONPATH": str(host.folder / "code/daemon")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=host.folder, env=env, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    assert printed.endswith(b"[0, 0, 0, 0]\n"), printed


async def test_each_metric_is_still_there_with_its_labels_or_listed_as_removed(upgraded: Seen) -> None:
    before, now = labels((former.FIXTURE / "metrics").read_text()), labels(upgraded.metrics)
    removed = former.removed_since()

    assert len(before) > 40
    gone = {name for name in before if name not in now and f"`{name.removeprefix('pointsman_')}`" not in removed}
    assert gone == set()
    changed = {name: (labels, now[name]) for name, labels in before.items() if now.get(name) and labels - now[name]}
    assert changed == {}


async def test_each_field_of_the_log_is_still_there_or_listed_as_removed(upgraded: Seen) -> None:
    before, now = (
        {name for line in lines for name in line}
        for lines in (former.request_lines(), [line for line in upgraded.log if line["event"] == "routing_decision"])
    )
    removed = former.removed_since()

    assert len(before) > 20
    assert {name for name in before - now if f"`{name}`" not in removed} == set()


def labels(text: str) -> dict[str, set[str]]:
    """The names of the labels of each metric; its name as in the line of its type."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        found[family.name] = {name for sample in family.samples for name in sample.labels} - {"le"}
    return found
