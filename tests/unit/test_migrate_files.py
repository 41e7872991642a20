"""Files that cannot be migrated: one line, the documented exit code, and nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pointsman.cli.main import main
from support.config_files import MINIMAL, write

GUIDE = Path(__file__).parent / "data" / "guide.yaml"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x7fELF\x00\x01\x02\xff\xfe", "UTF-8"),
        (b"\x00\x01\x02", "control character"),
        (b"a: [1, 2", "not YAML"),
        (b"- a\n- b\n", "expected a mapping"),
        (b"x" * (1024 * 1024 + 1), "larger than"),
        (BOMB.encode(), "nested too deeply"),
        (b"[" * 1000, "nested too deeply"),
        (b"services: {web: {image: nginx}}\nnetworks: {}\n", "not a configuration of vLLM Semantic Router"),
        (b"global: {scrape_interval: 15s}\nscrape_configs: []\n", "not a configuration of vLLM Semantic Router"),
        (b"config: {providers: {}, routing: {}}\nimage: x\n", "under config"),
        (b"kind: ConfigMap\ndata:\n  config.yaml: |\n    a: 1\n    b: 2\n", 'under data."config.yaml"'),
        ((MINIMAL + "pointsman: {}\n").encode(), "already a Pointsman configuration"),
        (MINIMAL.encode(), "nothing to migrate"),
        (b"providers: {}\n---\nrouting: {}\n", "single document"),
    ],
)
def test_it_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    source, target = tmp_path / "config.yaml", tmp_path / "new.yaml"
    source.write_bytes(content)

    assert main(["migrate", str(source), "-o", str(target)]) == 3
    out, errors = capsys.readouterr()
    assert out == ""
    assert len(errors.splitlines()) == 1
    assert says in errors
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(("kind", "says"), [("missing", "no such file"), ("folder", "is a folder"), ("fifo", "pipe")])
def test_what_is_no_file_is_refused_without_waiting_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, says: str
) -> None:
    source = tmp_path / "config.yaml"
    if kind == "folder":
        source.mkdir()
    elif kind == "fifo":
        os.mkfifo(source)

    assert main(["migrate", str(source)]) == 3
    assert says in capsys.readouterr().err


def test_a_file_is_overwritten_with_force_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there keeps its permissions when it is overwritten."""
    target = write(tmp_path, "mine")
    target.chmod(0o640)

    assert main(["migrate", str(GUIDE), "-o", str(target)]) == 3
    assert "--force" in capsys.readouterr().err
    assert target.read_text("utf-8") == "mine"
    assert main(["migrate", str(GUIDE), "-o", str(target), "--force"]) == 0
    assert "technical-lora" in target.read_text("utf-8")
    assert target.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["missing/new.yaml", "."])
def test_an_output_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["migrate", str(GUIDE), "-o", str(tmp_path / name), "--force"]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
