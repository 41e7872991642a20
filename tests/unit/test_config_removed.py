"""A config of an earlier release, with what has been removed since, still serves, and says what to change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pointsman.app.prepare import prepare
from pointsman.cli.check import check
from support import toy_artifact
from support.config_files import MINIMAL, category, loaded, write

CASCADE = """\
pointsman:
  classifier:
    threads: 1
    cascade:
      model_id: large
      sure_from: 0.9
"""
FIRST = "classifier: {category_model: {model_id: small, threshold: 0.4}}\n"
CATEGORIES = "categories:\n" + category("law") + category("general")


@pytest.fixture
def cascade(tmp_path: Path) -> Path:
    """A config with a cascade; only its first artifact is still there."""
    toy_artifact.build_measured(tmp_path / "small")
    return write(tmp_path, MINIMAL + FIRST + CATEGORIES + CASCADE)


def warned(warnings: tuple[str, ...] | list[str]) -> list[str]:
    return [line for line in warnings if "removed" in line]


def test_a_config_with_a_cascade_passes_the_check_with_a_warning(
    cascade: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One, with the path and line of the key and what to do; nothing of what is below the key is read."""
    assert check(cascade, sys.stdout) == 0
    out = capsys.readouterr().out

    line = cascade.read_text("utf-8").splitlines().index("    cascade:") + 1
    (told,) = warned(out.splitlines())
    assert told.startswith(f"warning: {cascade}:{line}: pointsman.classifier.cascade: ")
    assert "remove it: the artifact that classifier.category_model.model_id names decides alone" in told
    assert "sure_from" not in out


def test_a_start_and_a_reload_with_a_cascade_serve_its_first_artifact_with_the_warning(cascade: Path) -> None:
    started = prepare(cascade)
    try:
        again = prepare(cascade, started)
        assert started.classifier.name == "small"
        assert again.classifier is started.classifier
        for made in (started, again):
            (told,) = warned(made.warnings)
            assert "pointsman.classifier.cascade" in told
            assert "remove it" in told
    finally:
        started.classifier.encoder.close()


@pytest.mark.parametrize("value", ["~", "{}", "{model_id: small}", "{sure_from: 7}", "[large]"])
def test_whatever_a_removed_key_has_it_is_no_error(tmp_path: Path, value: str) -> None:
    made = loaded(tmp_path, f"{MINIMAL}pointsman: {{classifier: {{cascade: {value}}}}}\n")

    assert [warning.path for warning in made.warnings] == ["pointsman.classifier.cascade"]


@pytest.mark.parametrize(
    ("chosen", "counts"),
    [
        ("[tensorrt]", ("cuda",)),
        ("[tensorrt, cpu]", ("cuda", "cpu")),
        ("[tensorrt, cuda, cpu]", ("cuda", "cpu")),
        ("[cuda, tensorrt, cpu]", ("cuda", "cpu")),
        ("[cpu, tensorrt]", ("cpu", "cuda")),
        ("[tensorrt, tensorrt]", ("cuda",)),
    ],
)
def test_in_place_of_tensorrt_it_is_cuda_with_a_warning(tmp_path: Path, chosen: str, counts: tuple[str, ...]) -> None:
    """Which has path, line and remedy. The order of the others stays, and none is tried twice."""
    made = loaded(tmp_path, f"{MINIMAL}pointsman: {{classifier: {{providers: {chosen}}}}}\n")

    assert made.config.pointsman.classifier.providers == counts
    texts = chosen.strip("[]").split(", ")
    places = [place for place, text in enumerate(texts) if text == "tensorrt"]
    assert [(one.path, one.line) for one in made.warnings] == [
        (f"pointsman.classifier.providers[{place}]", 11) for place in places
    ]
    fixes = [one.fix for one in made.warnings]
    first = "remove it" if "cuda" in texts else "write cuda, which counts in its place"
    assert fixes == [first, *["remove it"] * (len(fixes) - 1)]


def test_a_service_that_chose_tensorrt_starts_on_what_else_the_config_names(tmp_path: Path) -> None:
    """This host has no CUDA."""
    toy_artifact.build_measured(tmp_path / "small", target="gpu")
    options = "pointsman: {classifier: {threads: 1, providers: [tensorrt, cpu]}}\n"
    made = prepare(write(tmp_path, MINIMAL + FIRST + CATEGORIES + options))
    try:
        assert made.classifier.settings()["provider"] == "cpu"
        assert len(warned(made.warnings)) == 1
    finally:
        made.classifier.encoder.close()
