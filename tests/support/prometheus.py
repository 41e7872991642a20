"""Prometheus, with the alert rules as they are shipped: what it makes of series, and of a daemon that it scrapes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml

from support import needs
from support.daemon import Daemon
from support.process import eventually, no_survivors, reserve_port

ALERTS = Path(__file__).parents[2] / "config" / "prometheus" / "alerts.yaml"


def prove(test: dict[str, Any], folder: Path) -> None:
    """Have Prometheus' own tool run a test of the alert rules, in virtual time."""
    file = folder / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": [test]}))  # JSON is YAML, and is written at once
    command = (needs.program("promtool", "prometheus"), "test", "rules", str(file))

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.asynccontextmanager
async def run_prometheus(daemon: Daemon, folder: Path) -> AsyncIterator[str]:
    """The address of a Prometheus that has scraped the daemon twice, and does so each second."""
    target = daemon.admin_url.partition("://")[2]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "pointsman", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = reserve_port()
    process = await asyncio.create_subprocess_exec(
        needs.program("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    with no_survivors(process.pid):
        try:
            await eventually(lambda: _scraped_twice(address), "two scrapes of the daemon", timeout_s=60)
            yield address
        finally:
            process.kill()
            await process.wait()


def _scraped_twice(address: str) -> bool:
    try:
        return bool(query(address, "count_over_time(pointsman_ready[1m]) >= 2"))
    except OSError:
        return False


def query(address: str, expression: str) -> list[Any]:
    """Return the present answer of a Prometheus."""
    asked = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(asked, timeout=10) as response:  # noqa: S310 - the address is ours
        answer = json.load(response)
    assert answer["status"] == "success", (expression, answer)
    return list(answer["data"]["result"])
