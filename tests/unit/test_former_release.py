"""What the former release left on a host: its configs, its log and its files, read by this one.

`tests/fixtures/former` was made by its code. `e2e/test_former_release.py` starts services on it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.app.prepare import prepare
from pointsman.app.source import ConfigSource
from support import former
from support.command import run_here

CONFIGS = sorted((former.FIXTURE / "configs").glob("*.yaml"))
REMOVED = {
    "cascade": "remove it: the artifact that classifier.category_model.model_id names decides alone",
    "tensorrt": "remove it",
}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    former.lay_out(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [file.stem for file in CONFIGS])
def test_each_config_serves_and_what_is_removed_is_a_warning_with_the_remedy(name: str, host: Path) -> None:
    text = (former.FIXTURE / "configs" / f"{name}.yaml").read_text()
    file = host / "shipped.yaml"
    file.write_text(text.replace("model_id: builtin", "model_id: artifact"))
    made = prepare(file)
    made.classifier.encoder.close()

    warned = [line for line in made.warnings if "removed" in line]
    assert len(warned) == (name in REMOVED)
    assert all(REMOVED[name] in line for line in warned)
    assert run_here("check", file).returncode == 0


def test_the_config_to_which_it_went_back_serves_with_the_way_to_keep_it(host: Path) -> None:
    """Also with a classifier that was promoted, and a cascade."""
    made = ConfigSource(host / "config.yaml", state=host / "state").prepare()
    made.classifier.encoder.close()

    assert "threshold: 0.6" in (host / "config.yaml").read_text()
    assert made.config.classifier.category_model.threshold == 0.5
    assert made.classifier.name == "fitted"
    assert [line for line in made.warnings if "`cp " in line]
    assert "`cp " in run_here("check", host / "config.yaml").stdout


COMMANDS = {
    "why": ("why ID log --text --config config.yaml", "Explain async/await in JavaScript"),
    "eval": ("eval --replay log artifact --threshold 0.9 --texts texts.jsonl", "decisions"),
    "replay": ("replay log artifact --config config.yaml", "decisions"),
    "compare": ("compare canary stable --log log --config config.yaml", "score"),
    "collect": ("collect --config config.yaml --log log", "worklist"),
    "label": ("label --undo --config config.yaml", "technical"),
    "keys": ("keys list --config config.yaml", "dora"),
    "texts": ("texts delete --request-id ID --config config.yaml", "1 "),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_reads_its_log_and_files(name: str, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(host)
    typed, says = COMMANDS[name]
    done = run_here(*typed.replace("ID", former.request_lines()[0]["request_id"]).split())

    assert done.returncode == 0, done
    assert says in done.stdout + done.stderr
