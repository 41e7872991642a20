"""The guides in docs/guides that a reader can try in a checkout with `make run`, step by step."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from support.daemon import Daemon, run_daemon
from support.guide import Command, Edit, difference, merged, steps
from support.process import reserve_port
from support.service import shipped_config

ROOT = Path(__file__).parents[2]
STARTED = Command("make run 2>service.log &", ())
ALL = sorted((ROOT / "docs" / "guides").glob("*.md"))
GUIDES = [page for page in ALL if f"$ {STARTED.typed}\n" in page.read_text("utf-8")]
# A reload that loads a classifier measures it first.
RELOADED_SECONDS = 60.0
COMMAND_SECONDS = 240.0


def test_there_are_guides_and_the_readme_leads_to_each() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert {"first-day", "roll-out", "add-an-adapter", "add-a-category", "compare-adapters"} <= {
        guide.stem for guide in GUIDES
    }
    assert [guide.name for guide in ALL if f"(docs/guides/{guide.name})" not in readme] == []


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("one 7\nlast\n", True),
        ("one 8.5\nbetween\n\nothers\nlast\n", True),
        ("two 7\nlast\n", False),
        ("one 7\nlast\nmore\n", False),
        ("one 7\n", False),
    ],
)
def test_what_a_command_prints_in_another_way_than_its_guide_says_is_found(printed: str, same: bool) -> None:
    """Numbers may differ, and anything may stand for `...`."""
    assert (difference(("one 1", "...", "last"), printed) is None) is same


def checkout(folder: Path) -> dict[str, str]:
    """Make a folder as a reader's checkout; return the environment of commands there, with `pointsman` on the PATH.

    What a reader has pip install is installed here already.
    """
    (folder / "config").mkdir()
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, line in (("pointsman", f'exec {shlex.quote(sys.executable)} -m pointsman "$@"'), ("pip", "exit 0")):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "STATE_DIRECTORY": str(folder / "state")}


async def run(command: Command, folder: Path, env: dict[str, str], daemon: Daemon) -> None:
    """Type a command, at the ports that this service has."""
    typed = command.typed
    for usual, url in (("8080", daemon.base_url), ("9190", daemon.admin_url)):
        typed = typed.replace(f"127.0.0.1:{usual}", url.removeprefix("http://"))
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", typed),
        cwd=folder,
        env=os.environ | env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(COMMAND_SECONDS):
        printed, _ = await process.communicate()
    text = printed.decode(errors="replace")
    assert (process.returncode, difference(command.prints, text)) == (0, None), command.typed


async def edit(step: Edit, daemon: Daemon) -> None:
    """Add keys to the config, and wait until the service has read it."""
    before = len([line for line in daemon.log_lines() if line["event"] == "reload"])
    new = daemon.config.with_suffix(".new")
    new.write_text(yaml.safe_dump(merged(yaml.safe_load(daemon.config.read_text()), step.keys), sort_keys=False))
    new.replace(daemon.config)
    async with asyncio.timeout(RELOADED_SECONDS):
        while not (found := [line for line in daemon.log_lines() if line["event"] == "reload"][before:]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert found[0]["result"] == "applied", found[0]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
async def test_each_step_of_a_guide_does_what_the_guide_says(guide: Path, tmp_path: Path) -> None:
    env = checkout(tmp_path)
    todo = steps(guide)
    assert todo.pop(0) == STARTED
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(
        r"^run: \.venv.*\n\tmkdir -p \$\(STATE_DIRECTORY\)\n\t\S+/pointsman serve --config \$\(CONFIG\) .*--demo",
        makefile,
        re.MULTILINE,
    )
    async with run_daemon(shipped_config(reserve_port()), tmp_path / "config", args=["--demo"], env=env) as daemon:
        (tmp_path / "config" / "config.yaml").symlink_to(daemon.config)
        (tmp_path / "service.log").symlink_to(daemon.log)
        for step in todo:
            if isinstance(step, Edit):
                await edit(step, daemon)
            else:
                await run(step, tmp_path, env, daemon)
