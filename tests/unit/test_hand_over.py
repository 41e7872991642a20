"""What root makes in the state directory belongs to the service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pointsman import files


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_folder_is_the_services_with_all_in_it_and_nothing_that_a_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = tmp_path / "state" / "made", tmp_path / "other"
    (made / "inner").mkdir(parents=True)
    other.mkdir()
    for path in (made / "model", made / "inner" / "file", other / "file"):
        path.touch()
    (made / "link").symlink_to(other / "file")
    (made / "inner" / "link").symlink_to(other)
    os.chown(made.parent, 1234, 2345)
    given, give = [], os.fchown

    def noted(folder: int, user: int, group: int) -> None:
        given.append(Path(f"/proc/self/fd/{folder}").readlink())
        give(folder, user, group)

    monkeypatch.setattr(os, "fchown", noted)
    files.hand_over_folder(made)
    assert given == [made / "inner", made], "until all in it is given away, the new owner cannot change a folder"
    for path in (made, *made.rglob("*")):
        if path.name != "link":
            assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345), path
    (made.parent / "linked").symlink_to(other)
    files.hand_over_folder(made.parent / "linked")
    assert {path.stat().st_uid for path in (other, other / "file")} == {0}
