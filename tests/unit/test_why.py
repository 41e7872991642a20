"""`pointsman why`: what it tells of one request, from the service or from a log, and what it says where it cannot."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from pointsman.api.one_request import request_route
from pointsman.cli.main import main
from pointsman.improve.texts_file import TextRecord
from pointsman.observability.find_request import Search
from pointsman.observability.log import Log, stderr_log
from pointsman.observability.log_line import LineEncoder
from pointsman.observability.record import Record
from pointsman.server.response import Response
from support.config_files import MINIMAL, write
from support.log import Memory

ID = "3c1f5e00aa"
LINE: dict[str, Any] = {
    "ts": "2026-11-26T12:00:00.000+00:00",
    "level": "info",
    "event": "routing_decision",
    "request_id": ID,
    "path": "/v1/chat/completions",
    "status": 200,
    "client": "10.0.0.7",
    "key": "alice",
    "original_model": "MoM",
    "endpoint": "vllm-primary",
    "retried": [{"endpoint": "vllm-old", "why": "refused"}],
    "selected_model": "law-lora",
    "category": "law",
    "confidence": 0.9831,
    "reason": "classified",
    "threshold": 0.5,
    "threshold_origin": "category_model.threshold",
    "near": {"category": "tax", "confidence": 0.41},
    "reasoning": False,
    "edited": ["model", "messages"],
    "system_prompt": "replace",
    "conversation": "00ff00ff00ff",
    "turn": 2,
    "ask": "last_line",
    "ask_spans": [["wrapper", 0, 30], ["ask", 31, 50]],
    "text_hash": "ab12",
    "shadow": {"model": "base", "reason": "low_confidence"},
    "prompt_tokens": 120,
    "completion_tokens": 45,
    "ms": {"body": 0.103, "classify": 3.1, "total": 1234.5},
}
TOLD = """\
request    3c1f5e00aa
path       /v1/chat/completions
ended      2026-11-26T12:00:00.000+00:00
who        key alice, client 10.0.0.7
status     200, endpoint vllm-primary
retried    endpoint vllm-old, why refused
model      law-lora, asked for MoM
category   law
reason     classified, confidence 0.9831, threshold 0.5 by category_model.threshold
near       category tax, confidence 0.41
in shadow  model base, reason low_confidence
turn       2 of conversation 00ff00ff00ff
tokens     prompt 120, answer 45
edits      model; messages, system prompt replace
ask        last_line
reasoning  false
text_hash  ab12
steps
  wrapper            characters 0 to 30
  ask                characters 31 to 50
time (ms)
  body       0.103
  classify   3.100
  total      1234.500
"""
Captured = pytest.CaptureFixture[str]


def line(name: str = ID, minute: int = 0, **fields: Any) -> str:
    return json.dumps(LINE | {"request_id": name, "ts": f"2026-11-26T12:{minute:02}:00.000+00:00"} | fields)


def log(folder: Path, *lines: str, name: str = "log") -> str:
    path = folder / name
    path.write_text("".join(one + "\n" for one in lines))
    return str(path)


def ids(shown: str) -> list[str]:
    """Whose requests are shown in full."""
    return [row.split()[1] for row in shown.splitlines() if row.startswith("request ")]


# --- from a log -------------------------------------------------------------------------------------------------


def test_all_that_the_log_has_is_told(tmp_path: Path, capsys: Captured) -> None:
    path = log(tmp_path, line("other"), line(), '{"event":"ready"}')
    assert main(["why", ID, path]) == 0
    assert capsys.readouterr() == (f"log        {path}\n{TOLD}", "")


def test_other_lines_with_the_id_of_a_request_are_no_requests(tmp_path: Path, capsys: Captured) -> None:
    """Which a former release or an error may have logged, too."""
    others = [line(minute=1, event=event) for event in ("query_of_death", "internal_error")]
    path = log(tmp_path, line(), *others)
    assert main(["why", ID, path]) == 0
    assert capsys.readouterr() == (f"log        {path}\n{TOLD}", "")
    assert main(["why", ID, log(tmp_path, line("other"), *others)]) == 1


def test_the_log_and_its_rotated_files_are_one(tmp_path: Path, capsys: Captured) -> None:
    """They are read in any order, and a file that is named twice counts once."""
    older = tmp_path / "log.2.gz"
    older.write_bytes(gzip.compress(line(minute=1, status=503).encode()))
    newer = log(tmp_path, line(minute=2, status=200))
    assert main(["why", ID, newer, str(older), newer]) == 0
    statuses = [row for row in capsys.readouterr().out.splitlines() if row.startswith("status ")]
    assert [row.split()[1] for row in statuses] == ["200,", "503,"]


def test_six_characters_are_enough_where_one_request_has_them(tmp_path: Path, capsys: Captured) -> None:
    path = log(tmp_path, line(), line("3c1f99"))
    assert main(["why", "3c1f5e", path]) == 0
    assert ids(capsys.readouterr().out) == [ID]
    assert main(["why", "3c1f5", path]) == 1
    assert "the beginning of an id has at least 6 characters" in capsys.readouterr().err


def test_a_whole_id_may_be_short_and_comes_before_those_that_begin_with_it(tmp_path: Path, capsys: Captured) -> None:
    path = log(tmp_path, line("a1"), line("request-1"), line("request-10"), line("request-11"))
    for name in ("a1", "request-1"):
        assert main(["why", name, path]) == 0
        assert ids(capsys.readouterr().out) == [name]


def test_several_ids_with_the_same_beginning_are_listed_the_newest_first_and_at_most_ten(
    tmp_path: Path, capsys: Captured
) -> None:
    path = log(tmp_path, *(line(f"request-{minute:02}", minute) for minute in (3, 11, 0, *range(4, 11), 1, 2)))
    assert main(["why", "request", path]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    rows = [row.split() for row in err.splitlines()]
    assert [row[1] for row in rows[1:-1]] == [f"request-{minute:02}" for minute in range(11, 1, -1)]
    assert rows[1] == ["2026-11-26T12:11:00.000+00:00", "request-11", "200", "law-lora"]
    assert rows[-1] == ["..."]


def test_requests_with_the_very_same_id_are_told_the_newest_first_and_at_most_ten(
    tmp_path: Path, capsys: Captured
) -> None:
    """A client may send the same id again and again."""
    path = log(tmp_path, *(line(minute=minute, turn=minute) for minute in range(12)))
    assert main(["why", ID, path]) == 0
    out, err = capsys.readouterr()
    turns = [row.split()[1] for row in out.splitlines() if row.startswith("turn ")]
    assert turns == [str(minute) for minute in range(11, 1, -1)]
    assert "the newest 10" in err


def test_as_json_it_is_the_fields_of_the_log(tmp_path: Path, capsys: Captured) -> None:
    assert main(["why", ID, log(tmp_path, line(added_later="\x1b[2J")), "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == LINE | {"added_later": "\x1b[2J"}
    assert "\x1b" not in out


def test_a_log_of_an_older_release_lacks_rows_and_one_of_a_newer_has_more(tmp_path: Path, capsys: Captured) -> None:
    old = {name: LINE[name] for name in ("ts", "level", "event", "request_id", "confidence")}
    path = log(tmp_path, json.dumps(old | {"added_later": {"a": 1}}))
    assert main(["why", ID, path]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"request    {ID}",
        "ended      2026-11-26T12:00:00.000+00:00",
        "reason     confidence 0.9831",
        "added_later a 1",
    ]


HOSTILE: dict[str, Any] = {
    "control characters": "\x1b[2J\r\x07\x9b\u202e\ud800\n2026 request forged",
    "long": "x" * 30_000,
    "null": None,
    "a number": -1e300,
    "a flag": True,
    "a list": ["\x1b", None, [1, [2]], {"\x1b": "\x1b"}],
    "an object": {"\x1b": "\x1b", "a": {"b": ["\x1b"]}},
    "nested": json.loads("[" * 400 + "]" * 400),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_value_moves_the_cursor_adds_a_row_or_fills_the_screen(value: Any, tmp_path: Path, capsys: Captured) -> None:
    names = LINE.keys() - {"ts", "event", "request_id"} | {"\x1b]0;new\x07" + "y" * 20_000}
    path = log(tmp_path, line(**dict.fromkeys(names, value)))
    assert main(["why", ID, path]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert all(row.isprintable() for row in out.split("\n"))
    assert len(out) < 500 * len(names)
    assert out.count("\n") <= len(names) + 10
    path = log(tmp_path, line(**dict.fromkeys(names, value)), line("3c1f5e00bb"))
    assert main(["why", "3c1f5e", path]) == 1
    err = capsys.readouterr().err
    assert all(row.isprintable() for row in err.split("\n"))
    assert err.count("\n") == 3


# --- where it is not found --------------------------------------------------------------------------------------


def test_an_unknown_id_is_status_1_and_told_with_what_the_log_has(tmp_path: Path, capsys: Captured) -> None:
    """So that an operator sees which of the rotated files to name."""
    path, other = log(tmp_path, line("a", 5), line("b", 3)), log(tmp_path, line("c", 4), name="log.1")
    assert main(["why", "3c1f5e", path, other]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"no request 3c1f5e in {path}, {other}" in err
    assert "from 2026-11-26T12:03:00 to 2026-11-26T12:05:00" in err


def test_a_line_that_is_cut_is_told(tmp_path: Path, capsys: Captured) -> None:
    assert main(["why", ID, log(tmp_path, line("a"), line()[:200])]) == 1
    assert "1 lines with these characters are not whole" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(range(256)) * 16,
        b'{"time":"2026-11-26T12:00:00","request_id":"3c1f5e00aa","msg":"of another program"}\n',
        b"INFO: request_id=3c1f5e00aa done\n",
        b'{"ts":"2026-11-26T12:00:00.000+00:00","level":"info","event":"ready"}\n',
    ],
    ids=["empty", "binary", "JSON of another program", "text", "no request in it"],
)
def test_what_is_no_log_of_requests_is_status_3(content: bytes, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert main(["why", ID, str(path)]) == 3
    assert f"{path}: no line of a request in it" in capsys.readouterr().err


def torn(path: Path) -> None:
    path.write_bytes(gzip.compress(line("a").encode() * 1000)[:-20])


def corrupt(path: Path) -> None:
    packed = bytearray(gzip.compress("".join(line(f"{number}") for number in range(1000)).encode()))
    packed[200:300] = bytes(100)
    path.write_bytes(packed)


@pytest.mark.parametrize(
    "make", [torn, corrupt, Path.mkdir, lambda path: None], ids=["cut", "corrupt", "folder", "none"]
)
def test_a_log_that_cannot_be_read_is_status_3_unless_another_has_the_request(
    make: Callable[[Path], object], tmp_path: Path, capsys: Captured
) -> None:
    bad, good = tmp_path / "bad.gz", log(tmp_path, line())
    make(bad)
    assert main(["why", ID, str(bad), good]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(TOLD)
    assert f"warning: {bad}: cannot be read" in err
    assert main(["why", "unknown", good, str(bad)]) == 3
    assert f"{bad}: cannot be read" in capsys.readouterr().err


def test_a_closed_standard_input_is_status_3(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["why", ID, "-"]) == 3
    assert "-: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "é", "a b", "a\n", "x" * 129, "/var/log/pointsman"])
def test_what_can_be_no_id_is_wrong_usage(name: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["why", name])
    assert "an id has at most 128 letters" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_log_of_any_size_takes_little_memory_however_many_lines_have_the_id(tmp_path: Path, capsys: Captured) -> None:
    path = log(tmp_path, *(line(f"request-{number}", number % 60) for number in range(6_000)))
    assert Path(path).stat().st_size > 5_000_000
    tracemalloc.start()
    try:
        assert main(["why", "request", path]) == 1
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# --- the text ---------------------------------------------------------------------------------------------------


def with_texts(folder: Path, *rows: TextRecord) -> str:
    (folder / "texts").write_text("".join(json.dumps({"hash": row.hash, "text": row.text}) + "\n" for row in rows))
    return str(write(folder, MINIMAL + "pointsman: {log: {texts_file: texts}}\n"))


def test_the_text_begins_the_last_row_if_it_is_asked_for_and_kept(tmp_path: Path, capsys: Captured) -> None:
    config = with_texts(tmp_path, TextRecord("ff", "another"), TextRecord("ab12", "my landlord\x1b[2J " + "x" * 1000))
    path = log(tmp_path, line())
    assert main(["why", ID, path, "--text", "--config", config]) == 0
    assert capsys.readouterr().out == f"log        {path}\n{TOLD}text       my landlord?[2J {'x' * 484}\n"
    assert main(["why", ID, path, "--text", "--json", "--config", config]) == 0
    assert json.loads(capsys.readouterr().out) == LINE | {"text": "my landlord\x1b[2J " + "x" * 484}


@pytest.mark.parametrize("fields", [{}, {"text_hash": None}, {"text_hash": ["ab12"]}], ids=["gone", "none", "odd"])
def test_a_text_that_is_not_kept_is_told(fields: dict[str, Any], tmp_path: Path, capsys: Captured) -> None:
    config = with_texts(tmp_path, TextRecord("ff", "another"))
    assert main(["why", ID, log(tmp_path, line(**fields)), "--text", "--config", config]) == 0
    assert capsys.readouterr().out.endswith("\ntext       (not stored)\n")
    (tmp_path / "texts").unlink()
    assert main(["why", ID, log(tmp_path, line()), "--text", "--config", config]) == 0


def test_where_no_texts_are_kept_there_is_none_to_ask_for(tmp_path: Path, capsys: Captured) -> None:
    config = str(write(tmp_path, MINIMAL))
    assert main(["why", ID, log(tmp_path, line()), "--text", "--config", config]) == 1
    assert "has no pointsman.log.texts_file" in capsys.readouterr().err


# --- from the service -------------------------------------------------------------------------------------------


def ended(name: str, **fields: Any) -> Record:
    return Record(name, "/v1/chat/completions", status=200, ended=1_790_000_000.0, **fields)


async def asked(of: Log, query: str, *, requests: bool = True) -> tuple[int, Any]:
    """The answer of `GET /request`."""
    request: Any = SimpleNamespace(head=SimpleNamespace(query=query))
    recorder: Any = SimpleNamespace(log=of, requests=requests)
    response = cast("Response", await request_route(lambda: recorder).handler(request))
    return response.status, json.loads(response.body)


@pytest.mark.parametrize("journal", [False, True])
async def test_the_service_tells_the_lines_as_it_has_logged_them_at_once(journal: bool) -> None:
    sink = Memory()
    made = Log("info", sink, LineEncoder(journal=journal))
    for name in ("other", ID, "third"):
        made.soon(ended(name, original_model='m\udc80"\x9b'))
    status, answer = await asked(made, f"id={ID}")
    written = [json.loads(one[one.index("{") :]) for one in sink.getvalue().splitlines()]
    assert status == 200
    assert answer["requests"] == [written[1]]
    assert (answer["ambiguous"], answer["more"], answer["since"]) == (False, False, written[0]["ts"])


async def test_the_service_keeps_the_newest_requests_within_eight_mib() -> None:
    made = Log("info", Memory())
    for number in range(12_000):
        made.soon(ended(f"request-{number}", error="e" * 1_000))
    newest = made.requests()
    assert 7 * 2**20 < sum(map(len, newest)) <= 8 * 2**20
    assert (await asked(made, "id=request-11999"))[1]["requests"]
    _, answer = await asked(made, "id=request-0")
    assert answer["requests"] == []
    assert answer["since"].startswith("2026-09-21T")


async def test_other_requests_go_on_while_many_lines_are_looked_through() -> None:
    made, turns = Log("info", Memory()), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for number in range(3_000):
        made.soon(ended(f"request-{number}"))
    task = asyncio.create_task(other())
    _, answer = await asked(made, "id=request-")
    task.cancel()
    assert (len(answer["requests"]), answer["ambiguous"], answer["more"]) == (10, True, True)
    assert turns >= 3_000 / 256


@pytest.mark.parametrize(
    "query", ["", "id=", "id=a%20b", "id=a%0A", "id=" + "x" * 129, "id=a&b=c", "id=a&id=b", "name=a", "id"]
)
async def test_a_query_without_an_id_is_a_400(query: str) -> None:
    status, answer = await asked(Log("info", Memory()), query)
    assert (status, answer["error"]["code"]) == (400, "invalid_query")


async def test_a_service_that_logs_no_requests_says_so() -> None:
    for level, requests, logged in (("info", True, True), ("info", False, False), ("warning", True, False)):
        _, answer = await asked(Log(level, Memory()), f"id={ID}", requests=requests)
        assert (answer["requests"], answer["since"], answer["logged"]) == ([], None, logged)


def test_the_service_knows_where_its_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        for journal, location in ((True, "journal"), (False, str(tmp_path / "log"))):
            with stderr_log("info", journal=journal) as made:
                assert made.location == location
    with Path("/dev/null").open("w") as nowhere:
        monkeypatch.setattr(sys, "stderr", nowhere)
        with stderr_log("info", journal=False) as made:
            assert made.location is None


ANSWER: dict[str, Any] = {
    "requests": [LINE],
    "ambiguous": False,
    "more": False,
    "since": LINE["ts"],
    "logged": True,
    "log": None,
}


@asynccontextmanager
async def answering(folder: Path, answer: object, asked: list[str]) -> AsyncIterator[str]:
    """Something at the admin address of the config, whose path is returned."""

    async def handle(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path_qs}")
        return web.json_response(answer)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "admin.sock")).start()
    try:
        yield str(write(folder, MINIMAL + f"pointsman: {{server: {{admin_listen: 'unix:{folder}/admin.sock'}}}}\n"))
    finally:
        await runner.cleanup()


async def why(folder: Path, answer: object, *arguments: str) -> tuple[int, list[str]]:
    """Run the command beside a service that tells this; return its exit code and what the service was asked."""
    heard: list[str] = []
    async with answering(folder, answer, heard) as config:
        code = await asyncio.to_thread(main, ["why", *arguments, "--config", config])
    return code, heard


async def test_without_a_log_the_running_service_is_asked_and_named(tmp_path: Path, capsys: Captured) -> None:
    assert await why(tmp_path, ANSWER, ID) == (0, [f"GET /request?id={ID}"])
    assert capsys.readouterr() == (f"service    unix:{tmp_path}/admin.sock\n{TOLD}", "")
    assert (await why(tmp_path, ANSWER, ID, "--json"))[0] == 0
    assert json.loads(capsys.readouterr().out) == LINE


async def test_with_a_log_it_is_not_asked(tmp_path: Path) -> None:
    assert await why(tmp_path, ANSWER, ID, log(tmp_path, line())) == (0, [])


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"log": "journal"}, f"others are in its log: `journalctl -u pointsman -o cat | pointsman why {ID} -`"),
        ({"log": "/var/log/p.log"}, f"others are in its log: `pointsman why {ID} /var/log/p.log`"),
        ({}, f"others are in its log: `pointsman why {ID} LOG`"),
        ({}, "has the newest requests that have ended, from 2026-11-26T12:00:00.000+00:00 on"),
        ({"since": None}, "has finished no request since it started"),
        ({"logged": False}, "writes no lines of requests now (log.requests or log.level)"),
    ],
)
async def test_a_request_that_the_service_does_not_have_is_status_1_and_the_log_is_named(
    fields: dict[str, Any], answer: str, tmp_path: Path, capsys: Captured
) -> None:
    assert (await why(tmp_path, ANSWER | {"requests": []} | fields, ID))[0] == 1
    err = capsys.readouterr().err
    assert f"no request {ID}: the service at unix:{tmp_path}/admin.sock " in err
    assert answer in err


async def test_several_requests_of_the_service_are_listed(tmp_path: Path, capsys: Captured) -> None:
    both = [LINE, LINE | {"request_id": "3c1f5e00bb"}]
    assert (await why(tmp_path, ANSWER | {"requests": both, "ambiguous": True}, "3c1f5e"))[0] == 1
    assert "3c1f5e00bb  200  law-lora" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [{}, [], {"requests": 1}, {"requests": [1]}, {"requests": [], "log": None}])
async def test_an_answer_of_another_form_is_status_1(answer: object, tmp_path: Path, capsys: Captured) -> None:
    assert (await why(tmp_path, answer, ID))[0] == 1
    assert "has another form: restart the service after an upgrade" in capsys.readouterr().err


def test_where_no_service_runs_a_log_is_to_be_named(tmp_path: Path, capsys: Captured) -> None:
    config = write(tmp_path, MINIMAL + f"pointsman: {{server: {{admin_listen: 'unix:{tmp_path}/admin.sock'}}}}\n")
    assert main(["why", ID, "--config", str(config)]) == 1
    err = capsys.readouterr().err
    assert f"no answer from the service's admin port at unix:{tmp_path}/admin.sock" in err
    assert f"or name a log: `pointsman why {ID} LOG`" in err


def test_lines_that_no_one_logged_are_not_taken_for_a_request() -> None:
    search = Search(ID)
    for one in (
        f'["{ID}"]',
        f'"{ID}"',
        f'{{"event":1,"request_id":"{ID}"}}',
        f'{{"event":"request","request_id":["{ID}"]}}',
    ):
        search.see(one.encode())
    search.see(b'{"event":"request","request_id":"' + ID.encode() + b'","n":' + b"9" * 5_000 + b"}")
    assert (search.found, search.broken) == ([], 1)
