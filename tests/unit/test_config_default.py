"""Which config file a command reads when it is told none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.cli.main import main
from pointsman.config import load
from support.config_files import MINIMAL


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the installed config would be; the working folder is another one."""
    path = tmp_path / "etc" / "config.yaml"
    path.parent.mkdir()
    (tmp_path / "work" / "config").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(load, "INSTALLED", path)
    return path


def test_the_installed_config_comes_first(installed: Path) -> None:
    Path("config/config.yaml").write_text(MINIMAL)
    assert load.default_path() == Path("config/config.yaml")

    installed.write_text(MINIMAL)
    assert load.default_path() == installed


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check"], 1),
        (["serve"], 3),
        (["explain", "hello"], 3),
        (["adapters"], 3),
        (["status"], 3),
        (["texts", "delete", "--older-than", "7d"], 3),
    ],
)
def test_without_any_config_a_command_names_both_files_and_init(
    arguments: list[str], code: int, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert f"config/config.yaml: no such file, and {installed} does not exist either" in out + err
    assert "pointsman init" in out + err


@pytest.mark.parametrize("command", ["serve", "check", "explain", "adapters", "status"])
def test_the_help_names_both_files(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    output = " ".join(capsys.readouterr().out.split())
    assert "/etc/pointsman/config.yaml if it exists, else config/config.yaml" in output


def test_a_broken_link_is_not_passed_over(installed: Path) -> None:
    """What the operator meant to be read is named, rather than another file read in its place."""
    installed.symlink_to("nowhere")
    Path("config/config.yaml").write_text(MINIMAL)

    assert load.default_path() == installed
