"""The folder of an artifact: complete, absent, or the one before."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pointsman_export.common import destination
from pointsman_export.common.errors import DestinationError


def artifact_at(folder: Path, content: str = "old") -> Path:
    folder.mkdir()
    (folder / "pointsman.json").write_text(content)
    return folder


def publish(folder: Path, *, force: bool = False) -> None:
    with destination.workspace(folder) as work:
        destination.publish(artifact_at(work / "built", "new"), folder, force=force)


def test_a_folder_that_is_not_there_is_free(tmp_path: Path) -> None:
    destination.check(tmp_path / "out", force=False)
    destination.check(tmp_path / "out", force=True)


def test_what_is_there_needs_force_even_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (artifact_at(tmp_path / "out"), tmp_path / "link"):
        with pytest.raises(DestinationError) as caught:
            destination.check(folder, force=False)
        assert str(caught.value) == f"{folder}: exists already; name another folder, or replace it with --force"
    destination.check(tmp_path / "out", force=True)


@pytest.mark.parametrize("kind", ["a folder", "a file", "a link to an artifact"])
def test_force_replaces_an_artifact_and_nothing_else(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    if kind == "a folder":
        folder.mkdir()
    elif kind == "a file":
        folder.touch()
    else:
        folder.symlink_to(artifact_at(tmp_path / "real"))
    with pytest.raises(DestinationError) as caught:
        destination.check(folder, force=True)
    assert str(caught.value) == (
        f"{folder}: holds no pointsman.json, and --force replaces nothing but an artifact; name another folder"
    )


def test_the_work_is_hidden_beside_the_folder_and_goes(tmp_path: Path) -> None:
    def fail() -> None:
        with destination.workspace(tmp_path / "out") as work:
            found.append(work)
            assert not list(work.iterdir())
            (work / "half").touch()
            raise RuntimeError

    found: list[Path] = []
    with pytest.raises(RuntimeError):
        fail()
    [work] = found
    assert work.parent == tmp_path
    assert work.name.startswith(".out.")
    assert not list(tmp_path.iterdir())


def test_a_parent_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DestinationError) as caught, destination.workspace(tmp_path / "file" / "out"):
        pass
    assert (
        str(caught.value) == f"{tmp_path / 'file'}: cannot be written (File exists); name a folder where you may write"
    )


def test_the_artifact_may_be_read_by_the_services_user(tmp_path: Path) -> None:
    publish(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755


def test_force_leaves_the_new_one_alone(tmp_path: Path) -> None:
    publish(artifact_at(tmp_path / "out"), force=True)
    assert (tmp_path / "out" / "pointsman.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_appears_while_it_is_built_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with destination.workspace(folder) as work:
        built = artifact_at(work / "built", "new")
        artifact_at(folder)
        with pytest.raises(DestinationError):
            destination.publish(built, folder, force=False)
    assert (folder / "pointsman.json").read_text() == "old"


def test_a_name_that_cannot_be_taken_is_the_error_that_is_told(tmp_path: Path) -> None:
    """Where nothing is replaced, nothing is put back."""
    folder = tmp_path / "out"
    with pytest.raises(FileNotFoundError) as caught, destination.workspace(folder) as work:
        destination.publish(artifact_at(work / "built"), folder / "deeper" / "out", force=False)
    assert caught.value.filename2 == str(folder / "deeper" / "out")


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    publish(tmp_path / "out")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
