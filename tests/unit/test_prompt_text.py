"""The text of a prompt, bounded however large the body is."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import msgspec
import pytest

from pointsman.formats import CHAT, COMPLETIONS, RESPONSES
from pointsman.routing import steps
from pointsman.routing.ask import AskFinder
from pointsman.routing.body import read_fields
from pointsman.routing.edits import Edits, SystemPrompt
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.prompt_text import read_bytes, texts_of
from pointsman.routing.steps import finish

KIB, MIB = 2**10, 2**20


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def chat(*messages: Any, ascii_only: bool = True, **fields: Any) -> ParsedRequest:
    return parse_request(
        CHAT, json.dumps({"model": "MoM", "messages": messages} | fields, ensure_ascii=ascii_only).encode()
    )


def text(content: Any, *, ascii_only: bool = True) -> str:
    return chat(user(content), ascii_only=ascii_only).text


# --- very long texts ------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("unit", "ascii_only"),
    [
        *((unit, True) for unit in ("word ", "é", "中", "😀", ".\n", '"', "\\", '\\"', "a\\", "u0041", "\\u")),
        *((unit, False) for unit in ("é", "中", "😀")),
    ],
)
@pytest.mark.parametrize("extra", range(0, 13, 3))
def test_of_a_very_long_text_the_two_ends_remain(unit: str, extra: int, ascii_only: bool) -> None:
    size = len(json.dumps(unit, ensure_ascii=ascii_only).encode()) - len('""')
    whole = "x" * extra + unit * (300 * KIB // size)
    found = text(whole, ascii_only=ascii_only)
    half = len(found) // 2 - 64
    assert 40 * KIB / 2 < len(found) <= 256 * KIB
    assert found != whole
    assert (whole[:half], whole[-half:]) == (found[:half], found[-half:])


def test_of_a_text_that_is_too_long_the_two_ends_remain() -> None:
    whole = "begins " + "é" * 300 * KIB + " ends"
    found = text(whole)
    assert (len(found.encode()) <= 256 * KIB, found[:8], found[-6:]) == (True, whole[:8], whole[-6:])


def test_a_text_of_256_kib_is_whole() -> None:
    whole = "a" * (256 * KIB - 2)
    assert text(whole) == whole


@pytest.mark.parametrize("unit", ["a", "\\\\", "\\n", "\\u00e9", "\\ud83d\\ude00", "\u00e9"])
def test_a_text_that_reads_otherwise_has_other_bytes_to_be_known_by(unit: str) -> None:
    """Wherever it differs, and whichever escapes the ends divide; and so has one of another length."""

    def read(inner: bytes) -> tuple[list[str], bytes | None]:
        value = msgspec.Raw(b'"%b"' % inner)
        return finish(texts_of(value)), read_bytes(value)

    half = 128 * KIB
    inner = (unit * 300 * KIB).encode()[: 300 * KIB]
    texts, known = read(inner)
    edges = (0, half, len(inner) - half, len(inner) - 1)
    for at in {at for edge in edges for at in range(max(0, edge - 80), min(len(inner), edge + 12))}:
        for other in (b"b", b"\\"):
            changed_texts, changed = read(inner[:at] + other + inner[at + 1 :])
            assert changed != known or changed_texts == texts, at
    assert read(inner + b"a")[1] != known
    middle = 150 * KIB
    assert read(inner[:middle] + b"b" + inner[middle + 1 :]) == (texts, known)


def test_of_many_long_parts_the_first_and_the_last_remain() -> None:
    parts = [{"type": "text", "text": f"{number} " + "a" * 30 * KIB} for number in range(200)]
    found = text(parts)
    assert found.startswith("0 a")
    assert found.split(" ")[-2] == "199"
    assert len(found) < 400 * KIB


def test_all_text_of_a_conversation_without_a_user_is_bounded() -> None:
    assert len(chat(*[{"role": "system", "content": "a" * 200 * KIB}] * 40).text) < 600 * KIB


def test_a_question_beside_large_images_is_read() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:" + "A" * MIB}}
    assert text([image, {"type": "text", "text": "What is this?"}, image]) == "What is this?"


def test_a_large_body_is_read_without_a_copy_of_it() -> None:
    body = json.dumps({"messages": [user("a" * 8 * MIB)], "model": "MoM"}).encode()
    tracemalloc.start()
    assert parse_request(CHAT, body).text
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MIB


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'"\ud800 tort"', "\ufffd tort"),
        (rb'"tort \udc00\ud83d"', "tort \ufffd\ufffd"),
        (rb'"\ud800 \ud83d\ude00"', "\ufffd 😀"),
        (b'"tort \xed\xa0\x80"', "tort "),
    ],
)
def test_half_a_surrogate_pair_is_left_for_vllm_to_judge(raw: bytes, expected: str) -> None:
    body = b'{"model":"MoM","messages":[{"role":"user","content":%b}]}' % raw
    asked = parse_request(CHAT, body)
    assert asked.text == expected
    assert asked.apply(Edits(model="x")).body == body.replace(b"MoM", b"x")


# --- too many -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [user("a"), {}, 0, "", []])
def test_more_than_4096_messages_are_not_read(message: Any) -> None:
    assert chat(*[message] * 4096).readable
    asked = chat(*[message] * 4097)
    assert (asked.readable, asked.text, asked.model) == (False, "", "MoM")


@pytest.mark.parametrize("part", ["", {"type": "text", "text": "a"}, {"type": "image_url"}])
def test_more_than_4096_parts_are_not_read(part: Any) -> None:
    assert chat(user([part] * 4096)).readable
    assert not chat(user([part] * 4097)).readable
    assert not parse_request(COMPLETIONS, json.dumps({"prompt": [part] * 4097}).encode()).readable


def test_a_short_part_is_no_step_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of 33 messages of 4096 parts took six seconds of the event loop, with a turn for each part."""
    monkeypatch.setattr(steps, "perf_counter", lambda: 0.0)
    content = json.dumps([{"type": "text", "text": f"part {number}"} for number in range(4096)]).encode()
    assert len(content) > 64 * KIB
    parts = texts_of(msgspec.Raw(content))
    assert sum(1 for _ in parts) < 10
    assert finish(texts_of(msgspec.Raw(content)))[::4095] == ["part 0", "part 4095"]


def test_token_ids_are_no_parts() -> None:
    asked = parse_request(COMPLETIONS, json.dumps({"prompt": list(range(300_000))}).encode())
    assert (asked.readable, asked.text) == (True, "")


def test_what_is_not_read_can_be_edited() -> None:
    asked = chat(*[user("a")] * 5000)
    prompt = SystemPrompt("Ours.", "replace")
    assert bytes(asked.apply(Edits(model="x")).body) == bytes(asked.body).replace(b"MoM", b"x")
    assert asked.apply(Edits(system_prompt=prompt)).body is asked.body


@pytest.mark.parametrize("part", ["", '{"text" "a"}', '{"type":"text",}'])
def test_parts_of_which_one_is_no_json_have_no_text(part: str) -> None:
    """A body of more than 64 KiB is not checked inside of its values, and vLLM refuses it."""
    content = f'[{{"type":"text","text":"tort"}},{part}]'
    messages = f'[{{"role":"user","content":{content}}}]'
    asked = parse_request(CHAT, f'{{"model":"MoM","messages":{messages},"user":"{"a" * 64 * KIB}"}}'.encode())
    assert (asked.readable, asked.text) == (True, "")


# --- edits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 2 * MIB])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_a_body_of_any_size_and_encoding_is_edited_in_place(size: int, encoding: str) -> None:
    fields = {"messages": [{"role": "system", "content": "Theirs."}, user("tort" + "a" * size)], "model": "MoM"}
    body = json.dumps(fields).encode(encoding)
    result = parse_request(CHAT, body).apply(Edits(model="x", system_prompt=SystemPrompt("Ours.", "insert")))
    expected = json.dumps(fields | {"model": "x"}).replace("Theirs.", r"Ours.\n\nTheirs.")
    assert bytes(result.body) == expected.encode()


@pytest.mark.parametrize("messages", [b"[ ]", b"[" + b" " * 100 + b"]"])
def test_white_space_is_no_message(messages: bytes) -> None:
    body = b'{"messages":%b,"instructions":%b}' % (messages, messages)
    prompt = SystemPrompt("Ours.", "insert")
    assert parse_request(CHAT, body).apply(Edits(system_prompt=prompt)).body is body
    edited = parse_request(RESPONSES, body).apply(Edits(system_prompt=prompt)).body
    assert json.loads(bytes(edited))["instructions"] == "Ours."


@pytest.mark.parametrize("length", [1, 100 * KIB], ids=["short", "long"])
@pytest.mark.parametrize("others", [1, 600 * KIB], ids=["few", "many"])
def test_a_system_prompt_goes_before_the_clients_however_often_that_is_repeated(length: int, others: int) -> None:
    theirs, more = "a" * length, [user("a" * length), user("b" * others)]
    messages = [{"content": "a", "role": "system", "x": ["a"]} | {"content": theirs}, *more]
    edited = chat(*messages).apply(Edits(system_prompt=SystemPrompt("Ours.", "insert"))).body
    assert json.loads(bytes(edited))["messages"] == [messages[0] | {"content": f"Ours.\n\n{theirs}"}, *more]


def test_a_system_message_without_content_gets_ours() -> None:
    edited = chat({"role": "system"}, user("a")).apply(Edits(system_prompt=SystemPrompt("Ours.", "insert"))).body
    assert json.loads(bytes(edited))["messages"] == [{"role": "system", "content": "Ours."}, user("a")]


def test_fields_that_the_config_names_are_read() -> None:
    fields = finish(read_fields(b'{"effort":"low","other":1}', ("model", "effort")))
    assert fields.get("effort") is not None


@pytest.mark.parametrize("unit", ["中", ".\n"])
@pytest.mark.parametrize("extra", range(12))
def test_wherever_it_is_cut_no_escape_is_divided(unit: str, extra: int) -> None:
    whole = "x" * extra + unit * (600 * KIB // len(json.dumps(unit))) + "y" * extra
    found = text(whole)
    assert set(found.strip("xy")) == set(unit)
    assert found.startswith("x" * extra + unit)
    assert found.endswith(unit + "y" * extra)


def test_where_all_is_read_the_beginning_is_enough() -> None:
    messages = [user(f"{number} " + "a" * 30 * KIB) for number in range(100)]
    found = parse_request(CHAT, json.dumps({"messages": messages}).encode(), AskFinder("all")).text
    assert found.startswith("0 a")
    assert 256 * KIB <= len(found) < 300 * KIB
