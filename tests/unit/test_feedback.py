"""`POST /v1/feedback`: which answers can be judged, by whom and how often, and where that is kept."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.api.feedback import _said
from pointsman.app.generations import Generations
from pointsman.classify.classification import text_key
from pointsman.config.model import Canary, CategoryRollout, LogOptions, Lora, Model, RoutingOptions
from pointsman.errors import RequestError
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.feedback_file import FeedbackFile
from pointsman.observability.log import Log
from support.client_keys import bearer, line
from support.config_files import MINIMAL, loaded
from support.log import Memory
from support.playbook import OK, STREAM, Wire, event, playing, with_length
from support.process import eventually
from support.toy_config import BASE

PATH = "/v1/feedback"
ANN, BEN = "Authorization: Bearer ann", "Authorization: Bearer ben"
LORAS = tuple(Lora(name=name) for name in ("technical-lora", "medical-lora", "legal-lora", "technical-v2"))
TRIED = {"technical": CategoryRollout(canary=Canary(adapter="technical-v2", percent=100))}
BAD = with_length(b"{}", "500 Internal Server Error")


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with playing() as made:
        made._options = replace(made._options, log=LogOptions(feedback_file=str(tmp_path / "feedback")))
        made.reload()
        yield made


def got(wire: Wire, *fields: str, answer: bytes = OK, model: str = "MoM") -> str:
    """The id of an answer that a client got."""
    wire.ask(model, "/v1/chat/completions", *fields).sends(answer)
    found = re.search(rb"(?i)x-request-id: (\S+)", wire.answer.head)
    assert found is not None
    return found[1].decode()


def send(wire: Wire, body: bytes, *fields: str) -> tuple[int, Any]:
    """The status of feedback with this body, and the code of its error."""
    lines = ["Host: here", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    wire.client.sends("\r\n".join([f"POST {PATH} HTTP/1.1", *lines, "", ""]).encode() + body)
    answer = json.loads(wire.answer.body)
    return wire.answer.status, answer["error"]["code"] if "error" in answer else answer["kept"]


def judge(wire: Wire, name: str, *fields: str, **said: Any) -> tuple[int, Any]:
    return send(wire, json.dumps({"request_id": name, **(said or {"score": 1})}).encode(), *fields)


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    asyncio.run(eventually(lambda: len(read()) == count, f"{count} lines"))
    return read()


KEPT = (200, True)
UNKNOWN = (404, "unknown_request")


# --- what can be judged ---------------------------------------------------------------------------------------------


def test_feedback_is_kept_with_the_decision_that_it_is_about(wire: Wire, tmp_path: Path) -> None:
    wire._options = replace(wire._options, routing=RoutingOptions(categories=TRIED))
    wire.reload(base=Model(loras=LORAS))
    name = got(wire, ANN)
    assert judge(wire, name, ANN, score=0.5, label="good", comment="schön\n") == KEPT
    (line,) = lines_of(tmp_path / "feedback", 1)
    draw = wire.outcomes()[0]["draw"]
    assert line.pop("ts")
    assert line.pop("text_hash") == wire.outcomes()[0]["text_hash"]
    assert line == {
        "event": "feedback",
        "request_id": name,
        "path": "/v1/chat/completions",
        "selected_model": "technical-v2",
        "category": "technical",
        "reason": "classified",
        "arm": "canary",
        "draw": draw,
        "author": line["author"],
        "score": 0.5,
        "label": "good",
        "comment": "schön\n",
    }
    assert "schön" not in wire.log.getvalue(), "the log has what a user wrote"


def test_an_author_is_an_address_as_credentials_can_be_made_up(wire: Wire, tmp_path: Path) -> None:
    """Of IPv6 a network; the file has a hash of it, where the answer is part of an experiment."""
    wire._options = replace(wire._options, routing=RoutingOptions(categories=TRIED))
    wire.reload(base=Model(loras=LORAS))
    addresses = ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:1::1")
    for number, address in enumerate(addresses):
        wire.client = wire.connect(address)
        made_up = f"Authorization: Bearer {number}"
        assert judge(wire, got(wire, made_up), made_up) == KEPT
    authors = [line["author"] for line in lines_of(tmp_path / "feedback", len(addresses))]
    assert [authors.index(author) for author in authors] == [0, 0, 2, 3, 3, 5]
    assert all(re.fullmatch("[0-9a-f]{16}", author) for author in authors)


def test_without_the_services_key_nobody_can_tell_an_author_by_the_address(wire: Wire) -> None:
    """Nor by the `text_hash` of an address that a client sends as a text."""

    def author(key: bytes) -> str:
        made = wire.clock.do(lambda: Generations(replace(wire.prepared(), hash_key=key), Log("info", Memory())))
        return made.answers._hash("192.0.2.1")

    assert author(b"one") == author(b"one")
    assert len({author(b""), author(b"one"), author(b"other"), text_key("192.0.2.1", b"one").hex()[:16]}) == 4


def test_a_keys_name_is_the_author_wherever_it_is(tmp_path: Path) -> None:
    with playing(keys=line("ann") + line("ben")) as wire:
        log = LogOptions(feedback_file=str(tmp_path / "feedback"))
        wire._options = replace(wire._options, log=log, routing=RoutingOptions(categories=TRIED))
        wire.reload(base=Model(loras=LORAS))
        for name, address in (("ann", "192.0.2.1"), ("ann", "192.0.2.2"), ("ben", "192.0.2.1")):
            wire.client = wire.connect(address)
            assert judge(wire, got(wire, bearer(name)), bearer(name)) == KEPT
        ann, again, ben = [line["author"] for line in lines_of(tmp_path / "feedback", 3)]
    assert ann == again != ben


def test_an_answer_is_judged_once(wire: Wire, tmp_path: Path) -> None:
    name = got(wire)
    assert [judge(wire, name), judge(wire, name), judge(wire, name, label="bad")] == [
        *(KEPT, (409, "feedback_given"), (409, "feedback_given"))
    ]
    assert len(lines_of(tmp_path / "feedback", 1)) == 1


def test_a_clients_own_id_is_none_of_ours(wire: Wire) -> None:
    """Another could have made up the same, or have seen it."""
    assert got(wire, "X-Request-Id: mine") == "mine"
    assert judge(wire, "mine") == UNKNOWN


def test_an_id_that_is_not_plain_is_replaced_by_one_of_ours(wire: Wire) -> None:
    assert judge(wire, got(wire, "X-Request-Id: {mine}")) == KEPT


def test_nobody_judges_anothers_answer(wire: Wire) -> None:
    """A client is told by its credentials, or else by its address."""
    ann, anybody = got(wire, ANN), got(wire)
    assert [judge(wire, ann, BEN), judge(wire, ann), judge(wire, anybody, ANN)] == [UNKNOWN] * 3
    here, wire.client = wire.client, wire.connect("192.0.2.2")
    assert judge(wire, anybody) == UNKNOWN
    assert judge(wire, ann, ANN) == KEPT
    wire.client = here
    assert judge(wire, anybody) == KEPT


def test_what_was_not_answered_cannot_be_judged(wire: Wire) -> None:
    assert judge(wire, got(wire, answer=BAD)) == UNKNOWN
    assert judge(wire, "0" * 32) == UNKNOWN
    last = wire.outcomes()[-1]
    assert last["path"] == PATH
    assert judge(wire, last["request_id"]) == UNKNOWN, "feedback on feedback"


def test_a_stream_that_was_broken_off_can_be_judged(wire: Wire) -> None:
    """A reader who has seen enough."""
    name = got(wire, answer=STREAM + event("one"))
    wire.clock.do(wire.client.abort)
    wire.clock.advance(0.2)
    assert wire.outcomes()[-1]["status"] == 499
    wire.client = wire.connect()
    assert judge(wire, name) == KEPT


def test_an_answer_of_a_model_that_the_client_named_can_be_judged(wire: Wire, tmp_path: Path) -> None:
    assert judge(wire, got(wire, model=BASE)) == KEPT
    (line,) = lines_of(tmp_path / "feedback", 1)
    assert (line["selected_model"], line["reason"]) == (BASE, "explicit_model")


def test_a_reload_forgets_no_answer(wire: Wire, tmp_path: Path) -> None:
    name = got(wire)
    wire._options = replace(wire._options, log=LogOptions(feedback_file=str(tmp_path / "another")))
    wire.reload()
    assert judge(wire, name) == KEPT
    assert len(lines_of(tmp_path / "another", 1)) == 1


def test_by_default_there_is_no_feedback_and_nothing_is_remembered() -> None:
    with playing() as wire:
        assert judge(wire, got(wire)) == (404, "feedback_off")
        assert len(wire.generations.answers._known) == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[]", "Expected `object`"),
        ("{", "truncated"),
        ('{"score": 1}', "missing required field `request_id`"),
        ('{"request_id": "a"}', "a score, a label or a comment is missing"),
        ('{"request_id": "a", "score": 2}', "<= 1"),
        ('{"request_id": "a", "score": NaN}', "malformed"),
        ('{"request_id": "a", "label": "two words"}', "$.label"),
        ('{"request_id": "a", "label": "line\\n"}', "$.label"),
        ('{"request_id": "a", "comment": ""}', "$.comment"),
        (json.dumps({"request_id": "a", "comment": "x" * 2_001}), "<= 2000"),
        (json.dumps({"request_id": "a" * 129, "score": 1}), "<= 128"),
        ('{"request_id": "a", "score": 1, "stars": 5}', "unknown field `stars`"),
    ],
)
def test_other_bodies_are_refused_with_what_to_send(said: str, expected: str) -> None:
    with pytest.raises(RequestError, match=re.escape(expected)) as refused:
        _said(said.encode())
    assert (refused.value.status, refused.value.code) == (400, "invalid_feedback")
    assert "send {" in refused.value.message


def test_a_body_has_at_most_16_kib(wire: Wire) -> None:
    name = got(wire)
    assert send(wire, b" " * 2**14 + b"{}") == (413, "body_too_large")
    assert judge(wire, name) == KEPT


# --- bounds ---------------------------------------------------------------------------------------------------------

LIKE = Answer("ann", 1_000.0, "/v1/chat/completions", "law", "law", "classified", None, None)


def test_an_answer_can_be_judged_for_a_day() -> None:
    answers = Answers()
    answers.judged("a", LIKE)
    assert answers.find("a", "ann", 1_000.0 + 86_400) is not None
    assert answers.find("a", "ann", 1_001.0 + 86_400) is None


def test_a_flood_of_feedback_meets_the_limits_of_the_clients_key(tmp_path: Path) -> None:
    """Feedback that is refused is none: once there is room, it is taken."""
    with playing(keys=line("ann", requests_per_minute=4)) as wire:
        wire._options = replace(wire._options, log=LogOptions(feedback_file=str(tmp_path / "feedback")))
        wire.reload()
        name = got(wire, bearer("ann"))
        flood = [judge(wire, f"{number:032x}", bearer("ann")) for number in range(20)]
        assert flood == [UNKNOWN] * 3 + [(429, "rate_limit_exceeded")] * 17
        assert judge(wire, name, bearer("ann")) == (429, "rate_limit_exceeded")
        wire.clock.advance(30)
        assert judge(wire, name, bearer("ann")) == KEPT
        assert len(lines_of(tmp_path / "feedback", 1)) == 1


@pytest.mark.thorough
def test_of_answers_50_000_are_remembered() -> None:
    answers = Answers()
    for number in range(50_010):
        answers.judged(str(number), LIKE)
    assert [answers.find(name, "ann", 1_000.0) is not None for name in ("9", "10", "50009")] == [False, True, True]


def test_while_the_disk_hangs_feedback_is_refused_and_can_be_given_later(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither requests nor feedback wait for it, and what was said to be kept is."""
    hangs, write = threading.Event(), os.write
    kept_now = wire.generations.current.feedback
    assert kept_now is not None

    def slow(file: int, data: bytes) -> int:
        assert hangs.wait(10)
        return write(file, data)

    name = got(wire)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", slow)
        for size in (100_000, 1):
            while kept_now.keep("a", LIKE, 0.0, comment="x" * size):
                pass
        assert judge(wire, name) == (503, "overloaded")
        hangs.set()
        asyncio.run(eventually(lambda: not kept_now._file._writer._size, "it is written"))
    assert judge(wire, name) == KEPT


def test_what_was_said_to_be_kept_is_in_the_file_once_that_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "feedback"
    file = FeedbackFile(path, Log("info", Memory()), Answers())
    assert file.keep("a", LIKE, 0.0, comment="x" * 3_000_000)
    file.close()
    assert path.read_bytes().endswith(b"}\n")
    assert path not in [file.resolve() for file in Path("/proc/self/fd").iterdir()], "it is held"


def test_the_file_is_relative_to_the_config(tmp_path: Path) -> None:
    found = loaded(tmp_path, MINIMAL + "pointsman: {log: {feedback_file: said.jsonl}}\n").config
    assert found.pointsman.log.feedback_file == str(tmp_path / "said.jsonl")
