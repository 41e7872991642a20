"""The log's lines: JSON of bounded size, with the journal's priorities where the journal reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.observability.log import Log
from pointsman.observability.log_line import LineEncoder, cut
from pointsman.observability.record import Record, request_line
from support.log import Memory

ENCODER = LineEncoder()
KIB = 1024
TEXTS = [
    pytest.param("x", id="ascii"),
    pytest.param("é", id="two bytes"),
    pytest.param("語", id="three bytes"),
    pytest.param("🙂", id="four bytes"),
    pytest.param("\x00", id="six in JSON"),
    pytest.param('"', id="two in JSON"),
    pytest.param("\udc80", id="no UTF-8"),
]


def line(**fields: Any) -> dict[str, Any]:
    return {"ts": "now", "level": "info", "event": "event", **fields}


# --- cut ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("limit", [3, 4, 7, 256, 1000])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 63, 64, 65, 255, 256, 257, 5000])
def test_a_text_is_whole_or_cut_in_its_middle_to_the_limit(text: str, limit: int, length: int) -> None:
    whole = text * length
    found = cut(whole, limit)
    size = len(found.encode("utf-8", "replace"))
    if len(whole.encode("utf-8", "replace")) <= limit:
        assert found == whole
    else:
        assert limit - 6 <= size <= limit
        assert found.count("…") == 1


def test_what_is_cut_has_its_two_ends() -> None:
    assert cut("0123456789" * 10, 23) == "01234567890123…456789"


# --- a line -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1_000, 16_300, 16_400, 100_000, 300_000])
def test_a_line_has_at_most_16_kib_and_is_json_whatever_is_in_it(text: str, size: int) -> None:
    data = ENCODER.encode(line(text=text * size, list=["é" * 100] * (size // 100), small=1))
    assert len(data) <= 16 * KIB + 1
    assert data.count(b"\n") == 1
    fields = json.loads(data)
    assert (fields["event"], fields["small"]) == ("event", 1)


def test_a_line_that_is_shortened_names_the_fields_that_are_not_whole() -> None:
    fields = json.loads(ENCODER.encode(line(long="x" * 40_000, list=[1] * 40_000, short="y" * 100)))
    assert fields["shortened"] == ["list", "long"]
    assert fields["short"] == "y" * 100
    assert fields["list"].startswith("[1,1,")


def test_a_line_that_fits_is_whole() -> None:
    made = line(text="x" * 16_000)
    assert json.loads(ENCODER.encode(made)) == made


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes", "Ynl0ZXM="),
        (Path("/x"), "PosixPath('/x')"),
        (2**70, 2**70),
        ("lone \udc80", "lone \udc80"),
    ],
)
def test_no_value_makes_a_call_to_the_log_fail(value: Any, expected: Any) -> None:
    assert json.loads(ENCODER.encode(line(value=value)))["value"] == expected
    assert json.loads(ENCODER.encode_info([line(value=value)]))["value"] == expected


def test_no_control_character_or_line_separator_is_written_but_the_newline_at_the_end() -> None:
    """A client's model name, for one, would move the cursor of a terminal, or begin a line of its own."""
    controls = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"]
    for text in (*controls, "".join(controls), "é\x9b2J語\x7f"):
        for value in (text, [text], {text: text}, text + "\udc80"):
            made = line(value=value)
            for data in (ENCODER.encode(made), ENCODER.encode_info([made]), ENCODER.encode_info([made, made])):
                assert json.loads(data.splitlines()[0]) == made
                assert not [one for one in data.decode() if one in controls and one != "\n"]


def test_a_line_of_control_characters_has_at_most_16_kib() -> None:
    for count in (1, 2):
        data = ENCODER.encode_info([line(text="\x7f" * 10_000)] * count)
        assert {len(one) <= 16 * KIB for one in data.splitlines()} == {True}
        assert len([json.loads(one) for one in data.splitlines()]) == count


def test_what_is_no_control_character_stays_readable() -> None:
    text = "é语🙂\xa0\u2027\u202f\u1028"
    assert text.encode() in ENCODER.encode(line(value=text))


def test_a_field_is_cut_to_8_kib() -> None:
    log = Memory()
    Log("info", log).write("error", "event", traceback="x" * 9000 + "the end")
    (fields,) = map(json.loads, log.getvalue().splitlines())
    assert len(fields["traceback"].encode()) == 8 * KIB
    assert fields["traceback"].endswith("the end")


def test_the_line_of_a_request_has_256_bytes_of_a_models_name_and_1_kib_of_an_error() -> None:
    record = Record("id", "/v1/chat/completions", original_model="m" * 2**20, error="e" * 2**20)
    fields = request_line(record)
    assert len(fields["original_model"].encode()) == 256
    assert len(fields["error"].encode()) == 1024


# --- many lines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([10], id="one"),
        pytest.param([10, 20, 30], id="few"),
        pytest.param([400] * 100, id="many"),
        pytest.param([16_300] * 3, id="long ones"),
        pytest.param([10, 17_000, 10], id="one too long"),
        pytest.param([10, 10, 17_000], id="the last too long"),
        pytest.param([17_000], id="the only one too long"),
    ],
)
def test_many_lines_are_encoded_as_each_of_them(sizes: list[int], journal: bool) -> None:
    encoder = LineEncoder(journal=journal)
    lines = [line(text="x" * size) for size in sizes]
    assert encoder.encode_info(lines) == b"".join(map(encoder.encode, lines))


# --- the journal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", b"<7>"), ("info", b"<6>"), ("warning", b"<4>"), ("error", b"<3>")]
)
def test_a_line_for_the_journal_begins_with_its_priority(level: str, priority: bytes) -> None:
    made = {"level": level, "event": "event"}
    assert LineEncoder(journal=True).encode(made) == priority + ENCODER.encode(made)
    assert ENCODER.encode(made).startswith(b"{")
