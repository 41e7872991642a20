"""The service's log in the forms that operators have it."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pointsman.errors import EvaluationError
from pointsman.evaluation.replay import LoggedDecision, read_log
from pointsman.observability import log_reader

OWN = {
    "ts": "2026-11-26T12:00:00.000+00:00",
    "level": "info",
    "event": "routing_decision",
    "text_hash": "ab",
    "ask": "é{",
}


def written(number: int) -> str:
    return json.dumps(OWN | {"text_hash": f"{number:02x}"}, ensure_ascii=False)


FORMS: dict[str, Callable[[int], str]] = {
    "as written": written,
    "with priorities": lambda number: "<6>" + written(number),
    "journalctl": lambda number: f"Nov 26 12:00:00 host pointsman[{number}]: " + written(number),
    "journalctl -o short-iso": lambda number: f"2026-11-26T12:00:00+0000 host pointsman[1]: {written(number)}",
    "journalctl -o json": lambda number: json.dumps(
        {"__CURSOR": "s=1;i={", "PRIORITY": "6", "MESSAGE": written(number)}
    ),
    "journalctl -o json, as bytes": lambda number: json.dumps({"MESSAGE": list(written(number).encode()), "_PID": "1"}),
}
NOISE = [
    "-- Boot 1 --",
    '{"event":"ready"}',
    '{"MESSAGE":null}',
    '{"MESSAGE":[300]}',
    '{"MESSAGE":"routing_decision {"}',
    "routing_decision",
    '{"event":"routing_decision"',
    "\x00{",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_each_form_of_the_log_is_read_also_compressed(form: str, packed: bool, tmp_path: Path) -> None:
    lines = [*(FORMS[form](number) for number in range(3)), *NOISE, FORMS[form](3)]
    content = "\n".join(lines).encode()
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert [line.text_hash for line in read_log([path])] == ["00", "01", "02", "03"]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(written(7).encode()))))
    assert [line.text_hash for line in read_log([Path("-")])] == ["07"]


def test_a_line_without_end_is_skipped_and_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("{" + "x" * 5_000_000 + written(1) + "\n" + written(2) + "\n")
    with log_reader.opened(path) as lines:
        assert max(map(len, lines)) < 1_000
    assert [line.text_hash for line in read_log([path])] == ["02"]


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    torn = tmp_path / "torn.gz"
    torn.write_bytes(gzip.compress(written(1).encode() * 100)[:-20])
    damaged = tmp_path / "damaged.gz"
    packed = gzip.compress("".join(map(written, range(1000))).encode())
    damaged.write_bytes(packed[:200] + bytes(100) + packed[300:])
    for path in (tmp_path / "nowhere", torn, damaged, tmp_path):
        with pytest.raises(EvaluationError, match=str(path)), log_reader.opened(path) as lines:
            list(log_reader.decisions(lines, LoggedDecision))
    nowhere = log_reader.opened(tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match=r"\(No such file or directory\)"), nowhere:
        pass


def test_a_closed_standard_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(EvaluationError, match="-: cannot be read"), log_reader.opened(Path("-")):
        pass
