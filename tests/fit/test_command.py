"""The command line of `pointsman fit`: what its options ask for, how it ends, and what it says."""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.errors import CannotStart, ConfigError
from pointsman_export.common.command import languages, run
from pointsman_export.common.errors import FitDataError
from pointsman_export.correct import command as correct_command
from pointsman_export.correct.pipeline import CorrectionRequest
from pointsman_export.correct.report import CorrectionReport, LabelAccuracy
from pointsman_export.fit import pipeline
from pointsman_export.fit.main import command_parser, main
from pointsman_export.fit.pipeline import FitRequest
from pointsman_export.fit.progress import Progress
from support.config_files import LABELS, MINIMAL, write, write_manifest

# --- how it ends ------------------------------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[], str]:
    def work() -> str:
        raise error

    return work


def test_a_report_follows_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", Path("out"), lambda: "  accuracy 1.00") == 0
    assert capsys.readouterr() == ("out\n  accuracy 1.00\n", "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FitDataError("rows: none; write some"), "rows: none; write some"),
        (CannotStart("no library; install it"), "no library; install it"),
        (ImportError("No module named 'x'"), "needs the extra pointsman[fit] (No module named 'x'); install it"),
        (OSError(28, "No space left"), "[Errno 28] No space left; make room or check the permissions"),
        (KeyboardInterrupt(), "interrupted, nothing was written"),
    ],
)
def test_a_failure_is_one_line_and_1(error: BaseException, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", Path("out"), raising(error)) == 1
    assert capsys.readouterr() == ("", f"pointsman fit: {said}\n")


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="a bug"):
        run("fit", Path("out"), raising(ValueError("a bug")))


@pytest.mark.parametrize("fails", [False, True])
def test_sigterm_interrupts_the_work_and_nothing_after_it(fails: bool) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    during: list[Any] = []

    def work() -> str:
        during.append(signal.getsignal(signal.SIGTERM))
        if fails:
            raise FitDataError("no")
        return ""

    run("fit", Path("out"), work)
    assert during == [signal.default_int_handler]
    assert signal.signal(signal.SIGTERM, before) == signal.SIG_IGN


def test_languages_are_codes_between_commas() -> None:
    assert languages("en, de,fr") == ["en", "de", "fr"]
    with pytest.raises(argparse.ArgumentTypeError, match=r"^'xx' is none of af, ar, .*, zh, zu$"):
        languages("en,xx,de,yy,zz")


# --- the options ------------------------------------------------------------------------------------------------


@pytest.fixture
def request_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FitRequest]:
    """Give what the command asks for by these options, instead of doing it."""

    def asked(*options: str) -> FitRequest:
        found: list[FitRequest] = []

        def noted(request: FitRequest, progress: Progress) -> None:
            found.append(request)
            progress.step("working", 1)
            raise FitDataError("noted")

        monkeypatch.setattr(pipeline, "fit", noted)
        assert main([*options]) == 1
        return found[0]

    return asked


def test_data_and_output_suffice(request_of: Callable[..., FitRequest], capsys: pytest.CaptureFixture[str]) -> None:
    asked = request_of("--data", "rows", "-o", "out")
    assert asked == FitRequest(
        data=Path("rows"),
        base="builtin",
        output=Path("out"),
        precision=0.95,
        languages=None,
        keeps_rows=True,
        force=False,
    )
    assert capsys.readouterr() == ("", "working …\npointsman fit: noted\n")


def test_each_option_of_data_counts(request_of: Callable[..., FitRequest]) -> None:
    options = "--data rows --base other -o out --precision 0.8 --languages en,de --no-rows --force"
    assert request_of(*options.split()) == FitRequest(
        data=Path("rows"),
        base="other",
        output=Path("out"),
        precision=0.8,
        languages=["en", "de"],
        keeps_rows=False,
        force=True,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--data rows", "error: -o is required"),
        ("-o out", "one of the arguments --data --labelled --again is required"),
        ("--data rows --labelled labels -o out", "not allowed with argument"),
        ("--data rows -o out --precision 0", "0 is not above 0 and at most 1"),
        ("--data rows -o out --precision 1.01", "1.01 is not above 0 and at most 1"),
        ("--data rows -o out --precision nan", "nan is not above 0 and at most 1"),
        ("--labelled --memory-mb 127", "127 is not 128 or more"),
        ("--labelled --memory-mb 1048577", "1048577 is not 128 or more"),
        ("--labelled --memory-mb much", "invalid"),
        ("--data rows -o out --languages xx", "'xx' is none of"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(options: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options.split())
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: pointsman fit ")
    assert said in shown


def test_the_bounds_of_the_options_are_allowed() -> None:
    options = "--data rows --precision 1 --memory-mb {}"
    assert command_parser().parse_args(options.format(128).split()).memory_mb == 128
    assert command_parser().parse_args(options.format(1 << 20).split()).precision == 1


def test_the_help_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert "as an artifact that `pointsman serve` runs. It takes seconds on a CPU, and needs nothing" in shown
    assert "\n\nThe figures of --data come from cross-validation: each row is judged by a head" in shown


def test_one_thread_multiplies_unless_the_operator_wants_more(
    request_of: Callable[..., FitRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given, expected in ((None, "1"), ("3", "3")):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
        if given is None:
            monkeypatch.delenv("OPENBLAS_NUM_THREADS")
        request_of("--data", "rows", "-o", "out")
        assert os.environ["OPENBLAS_NUM_THREADS"] == expected


# --- a correction -----------------------------------------------------------------------------------------------


class AsideCommand:
    """The command with `--labelled`, in a process whose priority and bound it notes instead of changing them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.priority = 5
        self.set: list[tuple[int, ...]] = []
        self.limits: list[tuple[int, tuple[int, int]]] = []
        self.error: BaseException | None = None
        self.asked: tuple[argparse.Namespace, Path]
        monkeypatch.setattr(os, "getpriority", lambda which, who: {(os.PRIO_PROCESS, 0): self.priority}[which, who])
        monkeypatch.setattr(os, "setpriority", lambda *given: self.set.append(given))
        monkeypatch.setattr(resource, "setrlimit", lambda which, limit: self.limits.append((which, limit)))
        monkeypatch.setattr(correct_command, "correct_by", self._correct)

    def _correct(self, options: argparse.Namespace, output: Path) -> str:
        assert output.parent.is_dir()
        self.asked = options, output
        if self.error is not None:
            raise self.error
        return "corrected"


@pytest.fixture
def aside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsideCommand:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return AsideCommand(monkeypatch)


def test_a_correction_reads_and_writes_the_state_directory_unless_told_otherwise(
    aside: AsideCommand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = time.strftime("%Y%m%d-%H%M%S")
    assert main(["--labelled"]) == 0
    options, output = aside.asked
    assert options.labelled == tmp_path / "improve" / "labels.jsonl"
    assert output.parent == tmp_path / "improve" / "artifacts"
    assert before <= output.name <= time.strftime("%Y%m%d-%H%M%S")
    assert (options.config, options.base, options.json, options.force) == (None, None, None, False)
    assert capsys.readouterr().out == f"{output}\ncorrected\n"


def test_each_option_of_a_correction_counts(aside: AsideCommand, tmp_path: Path) -> None:
    given = ["--labelled", "labels", "--config", "c", "--json", "j", "-o", str(tmp_path / "new" / "out"), "--force"]
    assert main(given) == 0
    options, output = aside.asked
    assert (options.labelled, options.config, options.json) == (Path("labels"), Path("c"), Path("j"))
    assert options.force
    assert output == tmp_path / "new" / "out"


@pytest.mark.parametrize(("priority", "expected"), [(0, 10), (9, 10), (15, 15)])
def test_a_correction_is_nicer_than_the_service_and_never_less_nice_than_it_was(
    aside: AsideCommand, priority: int, expected: int
) -> None:
    aside.priority = priority
    assert main(["--labelled"]) == 0
    assert aside.set == [(os.PRIO_PROCESS, 0, expected)]


@pytest.mark.parametrize(("options", "mib"), [([], 2048), (["--memory-mb", "300"], 300)])
def test_a_correction_has_a_bound_of_memory(
    aside: AsideCommand, options: list[str], mib: int, capsys: pytest.CaptureFixture[str]
) -> None:
    aside.error = MemoryError()
    assert main(["--labelled", *options]) == 1
    assert aside.limits == [(resource.RLIMIT_DATA, (mib * 1024 * 1024, mib * 1024 * 1024))]
    said = f"pointsman fit: {mib:,} MiB of memory do not suffice; raise --memory-mb\n"
    assert capsys.readouterr().err == said


CATEGORIES = """\
categories:
  - {name: law, mmlu_categories: [law], model_scores: [{model: base, lora_name: law-lora, use_reasoning: false}]}
"""
REPORT = CorrectionReport(
    base="toy", labelled=10, labels=(LabelAccuracy("law", 10, 3, 7),), levels=(), calibrated=0, strength=1.0, folds=5,
    traffic=0, changes=(), seconds=0.5,
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CorrectionRequest]:
    """The requests of corrections that are not made."""
    found: list[CorrectionRequest] = []

    def noted(request: CorrectionRequest, progress: Progress) -> CorrectionReport:
        found.append(request)
        request.output.mkdir(exist_ok=True)
        progress.step("working", 1)
        return REPORT

    monkeypatch.setattr(correct_command, "correct", noted)
    return found


def namespace(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(
        **{"config": None, "base": None, "labelled": Path("l"), "force": False, "json": None, "no_rows": False} | given
    )


def config(folder: Path, own: str = "", categories: str = CATEGORIES) -> Path:
    write_manifest(folder / "toy", LABELS)
    return write(folder, f"{MINIMAL}{categories}classifier: {{category_model: {{model_id: toy}}}}\n{own}")


def test_the_classifier_and_the_texts_are_those_of_the_config(
    tmp_path: Path, asked: list[CorrectionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, "pointsman: {log: {texts_file: kept.jsonl}}\n")
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    told = correct_command.correct_by(namespace(config=path, force=True), tmp_path / "out")
    [request] = asked
    assert (request.labels, request.base, request.output) == (Path("l"), tmp_path / "toy", tmp_path / "out")
    assert (request.texts, request.force, request.keeps_rows) == (tmp_path / "kept.jsonl", True, True)
    assert [one.name for one in request.config.categories] == ["law"]
    assert told == REPORT.table()
    assert shown.getvalue() == "working …\n"


def test_another_base_is_relative_to_the_working_directory(
    tmp_path: Path, asked: list[CorrectionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(tmp_path / "other", LABELS)
    (tmp_path / "conf").mkdir()
    monkeypatch.chdir(tmp_path)
    correct_command.correct_by(namespace(config=config(tmp_path / "conf"), base="other"), tmp_path / "out")
    assert (asked[0].base, asked[0].texts, asked[0].force) == (tmp_path / "other", None, False)


def test_without_a_config_it_is_the_default_one(
    tmp_path: Path, asked: list[CorrectionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path)
    monkeypatch.setattr(correct_command, "default_path", lambda: path)
    correct_command.correct_by(namespace(), tmp_path / "out")
    assert asked[0].base == tmp_path / "toy"


def test_a_config_that_does_not_suit_the_classifier_is_refused(tmp_path: Path, asked: list[CorrectionRequest]) -> None:
    path = config(tmp_path, categories=CATEGORIES.replace("[law]", "[alchemy]"))
    with pytest.raises(ConfigError, match="alchemy"):
        correct_command.correct_by(namespace(config=path), tmp_path / "out")
    assert not asked


@pytest.mark.usefixtures("asked")
def test_the_report_in_json_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "report"
    for _ in range(2):
        correct_command.correct_by(namespace(config=config(tmp_path), json=path), tmp_path / "out")
        found = json.loads(path.read_text())
        assert (found["base"], found["labelled"], found["labels"][0]["after"]) == ("toy", 10, 7)
        assert (found["before"], found["after"], found["artifact"]) == (3, 7, str(tmp_path / "out"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().endswith("}\n")


@pytest.mark.usefixtures("asked")
def test_a_correction_elsewhere_discards_none_of_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    made = tmp_path / "improve" / "artifacts"
    for number in range(12):
        (made / f"{number:02}").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    correct_command.correct_by(namespace(config=config(tmp_path)), tmp_path / "out")
    assert len(list(made.iterdir())) == 12
