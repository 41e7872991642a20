"""The secret key of the log's `text_hash`."""

from __future__ import annotations

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pointsman.app.prepare import prepare
from pointsman.classify.classification import text_key
from pointsman.classify.hash_key import hash_key
from pointsman.evaluation import replay
from support import toy_artifact
from support.config_files import MINIMAL, write

FILE = "text_hash.key"


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first, again = hash_key(tmp_path), hash_key(tmp_path)
    assert first == again
    assert (len(first[0]), first[1]) == (32, None)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_without_a_state_directory_each_process_has_a_key_of_its_own() -> None:
    one, other = hash_key(None), hash_key(None)
    assert one[0] != other[0]
    assert (len(one[0]), one[1]) == (32, None)


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"short"), lambda path: path.mkdir()])
def test_a_file_that_is_no_key_is_left_and_warned_of(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    path = tmp_path / FILE
    spoil(path)
    before = path.stat()
    key, warning = hash_key(tmp_path)
    assert len(key) == 32
    assert warning is not None
    assert str(path) in warning
    after = path.stat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


def test_a_state_directory_that_cannot_be_made_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    key, warning = hash_key(tmp_path / "file" / "folder")
    assert len(key) == 32
    assert warning is not None
    assert "Not a directory" in warning


def test_two_starts_at_once_end_with_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(hash_key, [tmp_path] * 32))) == 1


def test_equal_texts_have_equal_hashes_under_one_key_alone() -> None:
    one, other = bytes(32), bytes([1] * 32)
    assert text_key("x", one) == text_key("x", one)
    assert len({text_key("x", one), text_key("x", other), text_key("x"), text_key("y", one)}) == 4


async def test_a_classifier_hashes_with_the_key_of_its_service(tmp_path: Path) -> None:
    key = bytes([7] * 32)
    toy_artifact.build_measured(tmp_path / "artifact")
    text = MINIMAL + "classifier: {category_model: {model_id: artifact, threshold: 0.4}}\n"
    made = prepare(write(tmp_path, text), hash_key=key)
    try:
        found = [await made.classifier.classify("What is a tort?") for _ in range(2)]
    finally:
        made.classifier.encoder.close()
    assert [one.text_hash for one in found] == [text_key("What is a tort?", key).hex()] * 2


def test_texts_without_a_hash_join_the_logs_of_every_release(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text('{"hash": "ab", "text": "x"}\n{"text": "y"}\n')
    key = bytes([7] * 32)
    assert replay.read_texts(tmp_path / "texts", key) == {
        "ab": "x",
        text_key("y", key).hex(): "y",
        text_key("y").hex(): "y",
    }
