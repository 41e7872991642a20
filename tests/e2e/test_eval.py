"""`pointsman eval` with the classifier that ships: figures, files, errors, and the replay of a daemon's log."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from support.command import run_here
from support.daemon import run_daemon
from support.fake_vllm import run_fake_vllm
from support.service import CHAT, CONFIG, MEDICAL, TECHNICAL, chat, shipped_config

PROMPTS = {
    "computer science": (
        TECHNICAL,
        "Why does my Python list comprehension shadow the loop variable?",
        "Write a SQL query that joins orders with customers",
        "How do I undo the last git commit without losing my changes?",
        "What does a mutex protect in a multithreaded program?",
    ),
    "health": (
        MEDICAL,
        "What are the early symptoms of diabetes?",
        "Can I take ibuprofen and paracetamol together?",
        "How is pneumonia treated in elderly patients?",
        "Which vaccine does a newborn baby need?",
    ),
    "law": (
        "Can my landlord evict me without a written notice?",
        "What must a plaintiff prove for negligence in a civil lawsuit?",
        "Is a verbal contract legally binding in court?",
        "What rights does a defendant have after an arrest?",
        "Does copyright law protect a logo or is that a trademark?",
    ),
    "math": (
        "Find the derivative of x^2 sin(x)",
        "Solve the equation 3x + 7 = 22",
        "What is the integral of 1/x from 1 to e?",
        "How many ways are there to arrange five books on a shelf?",
        "Prove that the sum of two even integers is even",
    ),
    "physics": (
        "What is the kinetic energy of a 2 kg ball that moves at 3 m/s?",
        "Why does a moving electron create a magnetic field?",
        "How far does a stone fall in three seconds without air resistance?",
        "What is the wavelength of a photon with an energy of 2 eV?",
        "Explain the second law of thermodynamics",
    ),
    "out_of_scope": (
        "hello there",
        "thanks, that was great",
        "tell me a joke",
        "set an alarm for seven tomorrow",
        "what is your name",
    ),
}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_here("eval", *arguments)


def write(path: Path, rows: Iterable[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """30 prompts with the classifier's labels."""
    return write(
        tmp_path / "rows.jsonl", ({"text": text, "label": label} for label, texts in PROMPTS.items() for text in texts)
    )


def test_the_shipped_classifier_is_measured(file: Path, tmp_path: Path) -> None:
    """In the terminal and as JSON, both without the prompts. In a process of its own, as all others."""
    command = [sys.executable, "-m", "pointsman", "eval", "builtin", str(file)]
    command += ["--json", str(tmp_path / "r.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("builtin on rows.jsonl: 30 rows\n")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["judged"]["accuracy"]["whole"] == 25
    assert report["judged"]["accuracy"]["share"] >= 0.8
    assert report["out_of_scope"]["caught"]["share"] >= 0.6
    assert report["latency"]["median_ms"] > 0
    assert all(text not in done.stdout + json.dumps(report) for texts in PROMPTS.values() for text in texts)


def test_a_prompt_in_another_language_is_counted_and_decided_as_by_the_service(tmp_path: Path) -> None:
    german = "Darf mein Vermieter die Kaution behalten, wenn ich die Wohnung nicht gestrichen habe?"
    file = write(tmp_path / "rows.jsonl", [{"text": german, "label": "out_of_scope"}])
    done = run("builtin", file, "--config", CONFIG, "--json", tmp_path / "r.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 prompts are in none that the artifact declares" in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["unsupported"], report["out_of_scope"]["caught"]["part"]) == (1, 1)


def test_every_fault_of_a_file_is_told_and_exits_with_1(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": "helth"}\nno json\n')

    done = run("builtin", path)

    assert (done.returncode, done.stdout) == (1, "")
    assert f'{path}:1: unknown label "helth"; did you mean health?' in done.stderr
    assert f"{path}:2: not a JSON object" in done.stderr


def test_a_report_that_cannot_be_written_is_told_after_the_table(file: Path, tmp_path: Path) -> None:
    done = run("builtin", file, "--json", tmp_path / "nowhere" / "r.json")

    assert (done.returncode, "accuracy" in done.stdout) == (1, True)
    assert "nowhere/r.json: cannot be written" in done.stderr


def test_a_reader_of_the_table_that_leaves_costs_no_file(tmp_path: Path) -> None:
    """As in `pointsman eval ... --json FILE | head`."""
    file = write(tmp_path / "rows.jsonl", [{"text": MEDICAL, "label": "health"}])
    report = tmp_path / "r.json"
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-m", "pointsman", "eval", "builtin", file)
    try:
        done = subprocess.run(
            [*command, "--json", report], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (141, b"")
    assert json.loads(report.read_text())["judged"]["accuracy"]["whole"] == 1


def test_a_missing_artifact_or_a_wrong_config_exits_with_3(file: Path, tmp_path: Path) -> None:
    no_artifact = run(tmp_path / "nowhere", file)
    no_config = run("builtin", file, "--config", tmp_path / "none.yaml")

    assert (no_artifact.returncode, no_config.returncode) == (3, 3)
    assert "nowhere: no such folder" in no_artifact.stderr
    assert "none.yaml: no such file" in no_config.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["builtin"],
        ["builtin", "rows", "--threshold", "0.5"],
        ["builtin", "--replay", "log"],
        ["builtin", "rows", "--replay", "log", "--threshold", "0.5"],
        ["builtin", "--replay", "log", "--threshold", "2"],
    ],
)
def test_options_that_do_not_go_together_exit_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, "usage: pointsman eval" in done.stderr) == (2, True)


def test_help_lists_both_uses() -> None:
    done = run("--help")
    assert (done.returncode, "ARTIFACT FILE.jsonl" in done.stdout, "--replay LOG" in done.stdout) == (0, True, True)


async def test_a_daemons_log_is_replayed_with_the_texts_that_it_kept(tmp_path: Path) -> None:
    """The same classifier and threshold decide the same; the log has no prompt, the file of texts is its owner's."""
    texts = [text for label in ("computer science", "health", "law") for text in PROMPTS[label]]
    async with run_fake_vllm() as fake:
        config: dict[str, Any] = shipped_config(fake.port) | {"pointsman": {"log": {"texts_file": "texts.jsonl"}}}
        async with run_daemon(config, tmp_path) as daemon, aiohttp.ClientSession() as http:
            for text in [*texts, texts[0]]:
                async with http.post(daemon.base_url + CHAT, json=chat(text)) as response:
                    assert response.status == 200
    written = [json.loads(line)["text"] for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert written == texts
    assert (tmp_path / "texts.jsonl").stat().st_mode & 0o777 == 0o600
    assert not any(text in daemon.log_text() for text in texts)

    replay: list[str | Path] = [
        "--replay",
        daemon.log,
        "builtin",
        "--config",
        daemon.config,
        "--json",
        tmp_path / "r.json",
    ]
    same = await asyncio.to_thread(run, *replay)
    report = json.loads((tmp_path / "r.json").read_text())
    other = await asyncio.to_thread(run, *replay, "--threshold", "1")

    assert (same.returncode, other.returncode) == (0, 0)
    assert (report["logged"], report["texts"], report["changed"]["part"]) == (16, 15, 0)
    changed = json.loads((tmp_path / "r.json").read_text())
    assert changed["as_logged"]["share"] == 1.0
    assert all(list(after) == ["(none)"] for after in changed["matrix"].values())


async def test_conversations_and_rules_are_replayed_from_the_journal(tmp_path: Path) -> None:
    """Of `journalctl -o json`, compressed; the table has a sample of what changes."""
    rules = [{"name": "drums", "keywords": ["drum"], "adapter": "legal-lora"}]
    options = {"log": {"texts_file": "texts.jsonl"}, "routing": {"rules": rules}}
    said: list[dict[str, str]] = []
    async with run_fake_vllm() as fake:
        config: dict[str, Any] = shipped_config(fake.port) | {"pointsman": options}
        async with run_daemon(config, tmp_path) as daemon, aiohttp.ClientSession() as http:
            for text in (MEDICAL, "And what about a low one?", "ok, thanks", "My drum is loud"):
                said.append({"role": "user", "content": text})
                sent = {"model": "MoM", "messages": said}
                async with http.post(daemon.base_url + CHAT, json=sent) as response:
                    assert response.status == 200
                said.append({"role": "assistant", "content": "It depends."})
    entries = [json.dumps({"MESSAGE": line}) for line in daemon.log_text().splitlines()]
    (tmp_path / "journal.gz").write_bytes(gzip.compress("\n".join(entries).encode()))
    replay: list[str | Path] = ["--replay", tmp_path / "journal.gz", "builtin", "--config"]

    same = await asyncio.to_thread(run, *replay, daemon.config)
    without = yaml.safe_load(daemon.config.read_text())
    without["pointsman"]["routing"] = {"sticky": False}
    (tmp_path / "without.yaml").write_text(yaml.safe_dump(without))
    other = await asyncio.to_thread(run, *replay, tmp_path / "without.yaml")

    assert "4 decisions, 4 decided again" in same.stdout
    assert "changed      0.0 %" in same.stdout
    assert "2 decided again" in other.stdout
    assert "changed      0.0 %" not in other.stdout
    assert "And what about a low one?" in other.stdout


async def test_without_texts_there_is_nothing_to_replay(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"event": "routing_decision", "text_hash": "00"}\n')
    strange = write(tmp_path / "texts.jsonl", [{"hash": "11", "text": "x"}])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(shipped_config(8000)))

    none = run("--replay", log, "builtin", "--config", tmp_path / "config.yaml")
    others = run("--replay", log, "builtin", "--threshold", "0.5", "--texts", strange)

    assert (none.returncode, "texts_file" in none.stderr) == (1, True)
    assert (others.returncode, "none of the texts of its 1 decisions" in others.stderr) == (1, True)
