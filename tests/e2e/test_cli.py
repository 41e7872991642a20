"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pointsman
from support.command import run_here
from support.daemon import run_daemon
from support.process import reserve_port
from support.quick_config import quick_config
from support.service import CONFIG, MEDICAL, TECHNICAL, shipped_config

FIVE_DOMAINS = Path(__file__).parents[2] / "export" / "examples" / "five-domains.jsonl"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pointsman", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """The shipped config, and time enough to classify on a busy host."""
    config = shipped_config(8000) | {"pointsman": {"classifier": {"deadline_ms": 20_000}}}
    (tmp_path / "patient.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "patient.yaml"


def test_explain_shows_the_decision_the_edits_and_the_times(patient: Path) -> None:
    done = run("explain", TECHNICAL, "--offline", "--config", patient)

    assert done.returncode == 0
    for expected in (
        "technical-lora",
        "classified",
        "computer science",
        "You are an expert software engineer.",
        "infer",
    ):
        assert expected in done.stdout


def test_explain_as_json_is_what_the_dry_run_answers(patient: Path) -> None:
    done = run_here("explain", MEDICAL, "--json", "--offline", "--config", patient)

    answer = json.loads(done.stdout)
    assert answer["decision"]["model"] == "medical-lora"
    assert set(answer) == {
        *(
            "decision",
            "ask",
            "conversation",
            "categories",
            "labels",
            "edits",
            "text",
            "thresholds",
            "threshold_origins",
            "timing_ms",
            "service",
        )
    }


def test_explain_takes_what_is_not_utf_8() -> None:
    command: list[str | bytes] = [
        sys.executable,
        "-m",
        "pointsman",
        "explain",
        b"caf\xe9 code",
        "--offline",
        "--config",
        str(CONFIG),
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ("version",),
        ("check", CONFIG),
        ("explain", MEDICAL, "--offline", "--config", CONFIG),
        ("eval", "builtin", "rows.jsonl"),
        ("fit", "--data", FIVE_DOMAINS, "-o", "fitted"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_reader_that_has_enough_ends_a_command_quietly(arguments: tuple[str | Path, ...], tmp_path: Path) -> None:
    """`pointsman eval ... | head`: no traceback, and the exit code that a shell gives to a program without a reader."""
    (tmp_path / "rows.jsonl").write_text('{"text": "What causes high blood pressure?", "label": "health"}\n')
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "pointsman", *map(str, arguments)]
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60, cwd=tmp_path
        )
    finally:
        os.close(writer)

    assert done.returncode == 141, done.stderr
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(("level", "expected"), [("debug", True), ("info", True), ("warning", False)])
async def test_the_log_level_of_the_command_line_wins_over_the_configs(
    level: str, expected: bool, tmp_path: Path
) -> None:
    config = quick_config(reserve_port()) | {"pointsman": {"log": {"level": "error"}}}
    async with run_daemon(config, tmp_path, args=("--log-level", level)) as daemon:
        pass
    assert ("ready" in [line["event"] for line in daemon.log_lines()]) is expected


def test_check_accepts_the_shipped_config() -> None:
    done = run_here("check", CONFIG)

    assert (done.returncode, "can start" in done.stdout) == (0, True)


def test_check_and_serve_name_every_fault_of_a_config(tmp_path: Path) -> None:
    """`check` fails with 1, `serve` cannot start: 3."""
    config = shipped_config(8000)
    config["categories"][0]["model_scores"][0]["lora_name"] = "technical-lorra"
    config["default_model"] = "nobody"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))

    check, serve = run_here("check", file), run("serve", "--config", file)

    assert (check.returncode, serve.returncode) == (1, 3)
    for output in (check.stdout, serve.stderr):
        assert "technical-lorra" in output
        assert "nobody" in output
        assert "Traceback" not in output


def test_serve_says_what_is_missing_and_exits_with_3(tmp_path: Path) -> None:
    missing = run("serve", "--config", tmp_path / "none.yaml")
    config = shipped_config(8000)
    config["classifier"]["category_model"]["model_id"] = "nowhere"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    no_artifact = run("serve", "--config", tmp_path / "config.yaml")

    assert (missing.returncode, no_artifact.returncode) == (3, 3)
    assert "none.yaml" in missing.stderr
    assert "nowhere" in no_artifact.stderr
    assert "Traceback" not in missing.stderr + no_artifact.stderr


def test_a_command_that_fails_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text("categories: 7\n")
    done = run("check", tmp_path / "faulty.yaml")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "categories" in done.stdout + done.stderr


def test_usage_errors_exit_with_2() -> None:
    wrong = (["no-such-command"], ["serve", "--no-such-option"], ["serve", "--vllm", "http://user:key@host:1"])

    assert [run(*arguments).returncode for arguments in wrong] == [2, 2, 2]


def test_version() -> None:
    printed = [run(command).stdout for command in ("version", "--version")]

    assert printed == [f"pointsman {pointsman.__version__}\n"] * 2


async def test_vllm_on_the_command_line_replaces_the_endpoints(tmp_path: Path) -> None:
    nobody = reserve_port()
    async with run_daemon(quick_config(8000), tmp_path, args=["--vllm", f"127.0.0.1:{nobody}"]) as daemon:
        line = await daemon.logged("endpoint", endpoint="vllm")
        assert f"127.0.0.1:{nobody}" in line["state"]
