"""`log.texts_file`: what is kept of the texts, how much, and how it is removed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.cli.main import main
from pointsman.config.lint import lint
from pointsman.config.model import LogOptions
from pointsman.errors import ConfigError
from pointsman.evaluation.replay import read_texts
from pointsman.formats import CHAT
from pointsman.improve.labels_file import LabelledText, add_label, read_labels, undo_label
from pointsman.improve.redaction import Redactor
from pointsman.improve.taught_file import TaughtRow, taught_file
from pointsman.improve.text_recording import keep_text, keeping_contested
from pointsman.improve.texts_file import TextRecord, TextsFile
from pointsman.observability.feedback_file import FeedbackLine
from pointsman.observability.log import Log
from pointsman.observability.record import Record
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from pointsman.store.rotated_file import alone, remove, rows
from support.config_files import MINIMAL, loaded
from support.log import Memory
from support.process import eventually
from support.toy_config import config

OLDEST, NEWEST = "2026-01-01T00:00:00.000+00:00", "2026-11-01T00:00:00.000+00:00"


def opened(
    path: Path, log: Memory | None = None, dropped: Callable[[], object] = lambda: None, **how: Any
) -> TextsFile:
    return TextsFile(LogOptions(texts_file=str(path), **how), Log("info", log or Memory()), dropped)


def offer(texts: TextsFile, text_hash: str, text: str, **facts: Any) -> None:
    """As a request does."""
    if texts.wants(text_hash):
        texts.keep(TextRecord(hash=text_hash, text=text, **facts))


def settle(texts: TextsFile) -> None:
    asyncio.run(eventually(lambda: not texts._file._writer._size, "it is written"))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read(path: Path) -> list[TextRecord]:
    return list(rows(path, TextRecord))


def forget(path: Path, gone: Callable[[TextRecord], bool]) -> int:
    return remove(path, TextRecord, gone)


def written(path: Path, *given: TextRecord, **how: Any) -> Path:
    """A file of texts with these rows."""
    texts = opened(path, **how)
    for row in given:
        texts.keep(row)
    texts.close()
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path / "texts.jsonl"


# --- what is kept -----------------------------------------------------------------------------------------------


def test_each_text_is_kept_once_by_a_process(path: Path) -> None:
    texts = opened(path)
    for text_hash, text in (("a", "two\nlines é"), ("b", "x"), ("a", "two\nlines é")):
        offer(texts, text_hash, text)
    texts.close()
    assert rows_of(path) == [{"hash": "a", "text": "two\nlines é"}, {"hash": "b", "text": "x"}]


def test_a_restart_appends_to_the_texts(path: Path) -> None:
    for text in ("x", "y"):
        written(path, TextRecord(hash=text, text=text))
    assert [row["text"] for row in rows_of(path)] == ["x", "y"]


def test_a_share_of_the_texts_is_kept_the_same_each_time(path: Path) -> None:
    names = [f"{number * 2**24:08x}cafe" for number in range(256)]
    for _ in range(2):
        texts = opened(path, texts_share=0.25)
        assert [name for name in names if texts.wants(name)] == names[:64]
        texts.close()
    texts = opened(path, texts_share=0)
    assert not any(map(texts.wants, names))
    texts.close()


def test_that_texts_are_kept_is_warned_of_and_by_default_none_are(tmp_path: Path) -> None:
    def warned(log: str) -> list[str]:
        found = lint(loaded(tmp_path, MINIMAL + f"pointsman: {{log: {log}}}\n"), ["math", "law", "other"])
        return [problem.message for problem in found.warnings if "texts_file" in problem.path]

    assert warned("{}") == []
    assert warned("{texts_file: texts.jsonl}") == [f"what people write is stored in {tmp_path}/texts.jsonl"]


# --- what is redacted -------------------------------------------------------------------------------------------


def test_keys_and_addresses_are_never_kept(path: Path) -> None:
    """They are named in their place, and what is around them stays."""
    secrets = {
        "mail ann.b+c@mail.example.org, please": "mail [e-mail], please",
        "why is sk-proj-abcdefghij0123456789 refused": "why is [key] refused",
        "clone with ghp_abcdefghijklmnopqrstuvwxyz": "clone with [key]",
        "curl -H 'Authorization: Bearer abcdef0123456789'": "curl -H 'Authorization: Bearer [key]'",
        "my password: hunter2hunter2!": "my password: [key]",
        "the token eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK": "the token [key]",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- is mine": "[key] is mine",
        "-----BEGIN PRIVATE KEY-----\nMIIE": "[key]",
        "what does AKIAIOSFODNN7EXAMPLE stand for": "what does [key] stand for",
        "is shpat_abcdefghij0123456789 of a shop": "is [key] of a shop",
        "is gsk_abcdefghij0123456789 of Groq": "is [key] of Groq",
        "is OTk5OTk5OTk5OTk5OTk5OTk5.Gabcde.abcdefghij0123456789 a bot": "is [key] a bot",
        "open /cart?PHPSESSID=r5k1v8q0m3 again": "open /cart?PHPSESSID=[key] again",
        "is x@y a decorator, and a sk-8 board a secret?": "is x@y a decorator, and a sk-8 board a secret?",
    }
    written(path, *(TextRecord(hash=str(number), text=text) for number, text in enumerate(secrets)))
    assert [row["text"] for row in rows_of(path)] == list(secrets.values())


SECRETS = yaml.safe_load((Path(__file__).parent / "data" / "secrets.yaml").read_text("utf-8"))
"""Written by somebody who had not seen the patterns, which were then changed by two thirds of them."""


def test_secrets_in_their_usual_forms_are_redacted() -> None:
    """In prose, code, JSON, XML, the environment, command lines and addresses, and as the tokens of common services."""
    redact = Redactor(()).redact
    left = [row["text"] for row in SECRETS["secret"] if row["secret"] in redact(row["text"])]
    assert len(SECRETS["secret"]) == 140
    assert len(left) <= 5, left


def test_what_is_said_about_secrets_stays() -> None:
    changed = [text for text in SECRETS["plain"] if Redactor(()).redact(text) != text]
    assert len(SECRETS["plain"]) == 80
    assert len(changed) <= 2, changed


def test_what_the_operators_patterns_match_is_redacted_all_of_it(path: Path) -> None:
    found = Redactor([r"case \d+", "ann|anna", "b.*c"])
    assert found.redact("Case 12 and CASE 345, case x") == "[redacted] and [redacted], case x"
    assert found.redact("Anna and ann") == "[redacted] and [redacted]"
    assert found.redact("a b c d c e") == "a [redacted] e"


@pytest.mark.thorough
def test_redacting_takes_time_that_grows_with_the_text_and_not_faster() -> None:
    """Also for texts that are made for patterns that backtrack."""
    redactor = Redactor(["(x+x+)+y", "x.*y|x"])
    units = (
        "x",
        "a@",
        "eyJ",
        "sk-a",
        "-----BEGIN PRIVATE KEY-----",
        "password: ",
        "a.",
        "bearer ",
        "mysql -p",
        "://a:",
    )
    for unit in (*units, "password a ", "token=", "login a ", "cookie: ", "Private-Lines: 1 "):

        def seconds(times: int, unit: str = unit) -> float:
            text = unit * (times // len(unit))
            before = time.thread_time()
            redactor.redact(text)
            return time.thread_time() - before

        assert min(seconds(8_000) for _ in range(3)) < 20 * min(seconds(1_000) for _ in range(3)) + 0.01, unit


def test_a_pattern_that_cannot_be_used_or_is_too_large_is_refused(tmp_path: Path) -> None:
    for patterns, said in ((r"[x, '(?=a)']", "texts_redact[1]"), ("['a{100}', " + "'b{100}'," * 30 + "]", "too large")):
        with pytest.raises(ConfigError) as refused:
            loaded(tmp_path, MINIMAL + f"pointsman: {{log: {{texts_redact: {patterns}}}}}\n")
        assert said in str(refused.value)


# --- how much is kept -------------------------------------------------------------------------------------------


def many(path: Path, count: int, **how: Any) -> TextsFile:
    """Rows of which one fits into a file."""
    texts = opened(path, texts_file_bytes=15_000, **how)
    for number in range(count):
        texts.keep(TextRecord(hash=f"{number:x}", text="x" * 11_000))
        settle(texts)
    return texts


def test_as_many_older_files_are_kept_as_the_config_says_and_a_replay_reads_them_all(path: Path) -> None:
    many(path, 5, texts_files=2).close()
    assert [row.hash for row in read(path)] == ["2", "3", "4"]
    assert len(read_texts(path)) == 3


def test_a_text_is_kept_again_in_a_new_file(path: Path) -> None:
    """The older one may be removed before."""
    texts = many(path, 1)
    assert not texts.wants("0")
    texts.keep(TextRecord(hash="1", text="x" * 11_000))
    texts._file._writer.close(10)
    assert texts.wants("0")


# --- what is removed --------------------------------------------------------------------------------------------

GIVEN = (
    TextRecord(hash="a", text="one", ts=OLDEST, request_id="r1"),
    TextRecord(hash="b", text="two", ts=NEWEST, request_id="r2"),
    TextRecord(hash="c", text="three", ts=NEWEST, request_id="r3"),
    TextRecord(hash="d", text="of an earlier release"),
)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--request-id", "r2"], ["a", "c", "d"]),
        (["--request-id", "r1", "--request-id", "r3"], ["b", "d"]),
        (["--text-hash", "c"], ["a", "b", "d"]),
        (["--older-than", "2026-06-01"], ["b", "c"]),
        (["--older-than", "2026-06-01", "--text-hash", "c"], ["b"]),
    ],
)
def test_texts_are_removed_by_request_hash_and_age(
    path: Path, arguments: list[str], left: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    written(path, *GIVEN)
    path.replace(path.with_name("texts.jsonl.1"))
    written(path)
    config = path.with_name("config.yaml")
    config.write_text(MINIMAL + "pointsman: {log: {texts_file: texts.jsonl}}\n")
    assert main(["texts", "delete", "--config", str(config), *arguments]) == 0
    assert [row.hash for row in read(path)] == left
    assert f"removed {4 - len(left)} text" in capsys.readouterr().out
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.glob("texts*")} == {0o600}


def test_of_a_client_all_goes_and_the_heads_that_learned_from_it_are_named(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts, labels, feedback and taught rows; what other clients sent stays."""
    config = path.with_name("config.yaml")
    config.write_text(MINIMAL + "pointsman: {log: {texts_file: texts.jsonl, feedback_file: feedback.jsonl}}\n")
    written(path, *(msgspec.structs.replace(one, client="ann" if one.hash in "ab" else "bob") for one in GIVEN))
    feedback = path.with_name("feedback.jsonl")
    lines = [FeedbackLine(event="feedback", request_id=f"r{i}", text_hash=name) for i, name in enumerate("abc", 1)]
    feedback.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in lines))
    improve = path.parent / "improve"
    for name in ("a", "c"):
        add_label(improve / "labels.jsonl", LabelledText(name, "text", "law"))
    rows = [TaughtRow("one", "law", "base", "ann"), TaughtRow("two", "law"), TaughtRow("three", None, "base", "bob")]
    for folder in (improve, improve / "artifacts" / "learned", improve / "artifacts" / "innocent"):
        folder.mkdir(parents=True, exist_ok=True)
        taught_file(folder / "taught.jsonl").replace(rows[2:] if folder.name == "innocent" else rows)

    assert main(["texts", "delete", "--config", str(config), "--client", "ann"]) == 0

    assert [row.hash for row in read(path)] == ["c", "d"]
    assert [one.hash for one in read_labels(improve / "labels.jsonl")] == ["c"]
    assert b'"r3"' in feedback.read_bytes()
    assert b'"r1"' not in feedback.read_bytes()
    for file in improve.rglob("taught.jsonl"):
        assert taught_file(file).read() == rows[2:]
    said = capsys.readouterr().out
    assert "learned from some of them, and still serve what they learned: learned;" in said
    assert "innocent" not in said


def test_all_rows_of_a_request_s_text_are_removed_and_counted_as_one_text(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row with what the shadow says may be of a later request."""
    written(path, *GIVEN, TextRecord(hash="a", text="one", ts=NEWEST, request_id="r9", shadow="law"))
    assert main(["texts", "delete", "--file", str(path), "--request-id", "r1"]) == 0
    assert [row.hash for row in read(path)] == ["b", "c", "d"]
    assert "removed 1 text from" in capsys.readouterr().out


def test_labels_and_what_shows_the_texts_go_with_them(path: Path) -> None:
    """Also those beside heads. Labels of other texts stay, and what was taken back does not come back."""
    written(path, *GIVEN)
    labels = path.parent / "improve" / "labels.jsonl"
    for name, request in (("a", "r1"), ("b", "r2"), ("c", "r3")):
        add_label(labels, LabelledText(name, "text", "law", NEWEST, request))
    undo_label(labels, NEWEST)
    head = labels.parent / "artifacts" / "20260101-000000"
    head.mkdir(parents=True)
    beside = head / "labels.jsonl"
    shutil.copy(labels, beside)
    shown = [labels.with_name(name) for name in ("worklist.jsonl", "report.json")]
    for one in shown:
        one.write_text("text")
    assert main(["texts", "delete", "--file", str(path), "--request-id", "r9"]) == 1
    assert all(one.exists() for one in shown)
    assert main(["texts", "delete", "--file", str(path), "--request-id", "r2"]) == 0
    for kept in (labels, beside):
        assert [one.hash for one in read_labels(kept)] == ["a"]
    assert not any(one.exists() for one in shown)
    assert stat.S_IMODE(labels.stat().st_mode) == 0o600


def test_a_request_without_a_text_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(path, *GIVEN)
    assert main(["texts", "delete", "--file", str(path), "--request-id", "r9"]) == 1
    assert "--text-hash" in capsys.readouterr().err
    assert len(read(path)) == 4


def test_nothing_said_no_file_and_no_texts_are_clear_errors(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["texts", "delete"])
    assert "say which" in capsys.readouterr().err
    config = path.with_name("config.yaml")
    config.write_text(MINIMAL)
    assert main(["texts", "delete", "--config", str(config), "--older-than", "7d"]) == 1
    assert "no pointsman.log.texts_file" in capsys.readouterr().err
    assert main(["texts", "delete", "--file", str(path), "--older-than", "soon"]) == 1
    assert "--older-than: expected" in capsys.readouterr().err


def test_a_running_service_does_not_bring_back_what_was_removed(path: Path) -> None:
    """It goes on in the new file, and never writes what it knew before."""
    texts = many(path, 2)
    with alone(path):  # nobody renames a file that is being read
        texts.keep(TextRecord(hash="2", text="x" * 11_000))
        assert [row.hash for row in read(path)] == ["0", "1"]
    settle(texts)
    assert forget(path, lambda row: row.hash in ("0", "2")) == 2
    texts.keep(TextRecord(hash="3", text="new"))
    texts.close()
    assert [row.hash for row in read(path)] == ["1", "3"]


def test_the_beginnings_of_the_latest_texts_are_at_hand_as_they_are_in_the_file(path: Path) -> None:
    texts = opened(path)
    offer(texts, "0" * 8, f"{'long ' * 200}")
    offer(texts, "1" * 8, "write to ann@example.org")
    settle(texts)
    assert texts.latest() == {"0" * 8: ("long " * 200)[:500], "1" * 8: rows_of(path)[1]["text"]}
    assert texts.latest()["1" * 8] == "write to [e-mail]"
    for number in range(2_100):
        texts.keep(TextRecord(hash=f"{number:08x}", text="x"))
    settle(texts)
    assert len(texts.latest()) == 2_000
    texts.close()


@pytest.mark.parametrize("meanwhile", [False, True])
def test_what_was_removed_is_not_at_hand(path: Path, *, meanwhile: bool) -> None:
    """Also if a text was written since."""
    texts = opened(path)
    offer(texts, "0" * 8, "mine", request_id="r1")
    offer(texts, "1" * 8, "theirs", request_id="r2")
    settle(texts)
    assert len(texts.latest()) == 2
    forget(path, lambda row: row.request_id == "r1")
    if meanwhile:
        offer(texts, "2" * 8, "other")
        settle(texts)
    assert "mine" not in texts.latest().values()
    offer(texts, "3" * 8, "new")
    settle(texts)
    texts.latest()
    offer(texts, "4" * 8, "newer")
    settle(texts)
    assert texts.latest()["4" * 8] == "newer"
    texts.close()


def test_what_the_shadow_says_does_not_bring_back_what_was_removed(path: Path) -> None:
    texts = opened(path)
    offer(texts, "0" * 8, "mine")
    settle(texts)
    texts.keep(TextRecord(hash="0" * 8, text="mine", shadow="law"))
    settle(texts)
    assert len(rows_of(path)) == 2
    forget(path, lambda row: True)
    texts.keep(TextRecord(hash="0" * 8, text="mine", shadow="law"))
    texts.keep(TextRecord(hash="1" * 8, text="theirs"))
    texts.close()
    assert [row["text"] for row in rows_of(path)] == ["theirs"]


async def test_what_the_shadow_says_of_a_text_of_an_earlier_file_is_not_kept(
    path: Path, classifier: Classifier
) -> None:
    body = {"model": "MoM", "messages": [{"role": "user", "content": "My landlord"}]}
    router, record = Router(config(), classifier, ServedModels), Record("r1", "/v1/chat/completions")
    routed = await router.route(parse_request(CHAT, json.dumps(body).encode()))
    read = routed.classification
    assert read is not None
    texts = opened(path)
    assert keeping_contested(texts, router, record, routed, read) is None, "its text is not kept"
    keep_text(texts, router, record, routed)
    keep = keeping_contested(texts, router, record, routed, read)
    assert keep is not None
    await eventually(lambda: not texts._file._writer._size, "it is written")
    forget(path, lambda row: True)
    texts.keep(TextRecord(hash="other", text="other"))
    await eventually(lambda: not texts._file._writer._size, "another file has begun")
    keep("My landlord", "medical")
    texts.close()
    assert [row["text"] for row in rows_of(path)] == ["other"]


def test_texts_that_begin_a_new_file_are_at_hand(path: Path) -> None:
    texts = many(path, 2, texts_files=1)
    assert list(texts.latest()) == ["1"]
    texts.close()


# --- the disk ---------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_no_request_waits_for_a_disk_that_hangs_and_texts_beyond_4_mib_are_dropped_counted_and_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, log, dropped = threading.Event(), Memory(), []
    texts = opened(path, log, lambda: dropped.append(1))
    write = os.write

    def slow(file: int, data: bytes) -> int:
        assert hangs.wait(10)
        return write(file, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", slow)
        for number in range(500):
            offer(texts, str(number), "x" * 10_000)
        assert 50 < len(dropped) < 110
        hangs.set()
        settle(texts)
        texts.close()
    found = rows_of(path)
    assert [row["hash"] for row in found] == [str(number) for number in range(500 - len(dropped))]
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["level"], line["event"], line["dropped"]) == ("warning", "texts_file", len(dropped))


def test_a_text_that_was_dropped_is_kept_when_it_comes_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = opened(path)
    with monkeypatch.context() as patched:
        patched.setattr(texts._file._writer, "put", lambda _: False)
        offer(texts, "a", "x")
    offer(texts, "a", "x")
    texts.close()
    assert rows_of(path) == [{"hash": "a", "text": "x"}]
