"""Finding values in JSON text by their positions: those that Python's decoder finds, as vLLM does, in bounded steps."""

from __future__ import annotations

import contextlib
import json
import random
import tracemalloc
from functools import cache
from typing import Any

import pytest

from pointsman.errors import RequestError
from pointsman.long_body import LongBody
from pointsman.routing.body import BodyFields, fields_at_once, fields_in_steps, read_fields
from pointsman.routing.json_scan import ByteSpan, JsonError, elements, members
from pointsman.routing.steps import finish

MIB = 2**20
NAMES = ("model", "messages", "prompt")


def scanned(data: bytes, names: tuple[str, ...] = NAMES) -> dict[str, bytes] | None:
    found = finish(members(data, names))
    return None if found is None else {name: data[span.start : span.end] for name, span in found.items()}


def read(fields: BodyFields) -> dict[str, bytes]:
    found = {name: fields.get(name) for name in NAMES}
    return {name: bytes(value) for name, value in found.items() if value is not None}


def same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)  # NaN is not NaN


# --- random JSON --------------------------------------------------------------------------------------------------

ODD = ["", '"', "\\", '\\"', "{[", "]},:", "model", "é😀", "\ud800", "\n\x7f", "/", "a" * 50]
KEYS = [*NAMES, "mod", "model ", 'mo"del', "x", "", "\\", "é"]


class Maker:
    """Random JSON objects, with duplicate and escaped keys and white space anywhere between."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - tests

    def space(self) -> str:
        if self.random.random() < 0.6:
            return ""
        return "".join(self.random.choices(" \t\n\r", k=self.random.choice([1, 3])))

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 4 else 6)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        if kind == 7:
            return {self.random.choice(KEYS): self.value(depth + 1) for _ in range(self.random.randrange(4))}
        some = [None, True, -0.5, 1e300, float("nan"), float("-inf"), 0, -12345678901234567890]
        return self.random.choice(ODD if kind < 3 else some)

    def shown(self, value: Any) -> str:
        separators = self.space() + "," + self.space(), self.space() + ":" + self.space()
        return json.dumps(value, ensure_ascii=self.random.random() < 0.5, separators=separators)

    def key(self) -> str:
        key = self.random.choice(KEYS)
        if self.random.random() < 0.3:
            return '"' + "".join(f"\\u{ord(letter):04x}" for letter in key) + '"'
        return self.shown(key)

    def text(self) -> bytes:
        parts = [
            self.space() + self.key() + self.space() + ":" + self.space() + self.shown(self.value()) + self.space()
            for _ in range(self.random.randrange(7))
        ]
        text = self.space() + "{" + (",".join(parts) or self.space()) + "}" + self.space()
        return text.encode("utf-8", "surrogatepass")

    def broken(self, text: bytes) -> bytes:
        at = self.random.randrange(len(text) + 1)
        wrong = self.random.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"1", b"\xff", b"", b" ", b"\x00"])
        return text[:at] + wrong + text[at + self.random.randrange(3) :]


def longer(text: bytes) -> bytes:
    """Return an object with a long member before all others."""
    begin, _, rest = text.partition(b"{")
    return b'%b{"%b":0%b%b' % (begin, b"x" * 20_000, b"" if rest.lstrip(b" \t\n\r")[:1] == b"}" else b",", rest)


SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(2, 8))]


@cache
def texts(seed: int) -> list[bytes]:
    maker = Maker(seed)
    return [maker.text() for _ in range(250)]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_found_is_what_pythons_decoder_finds(seed: int) -> None:
    for data in texts(seed):
        expected = json.loads(data)
        found = scanned(data)
        assert found is not None
        values = {name: json.loads(raw) for name, raw in found.items()}
        assert same(values, {name: expected[name] for name in NAMES if name in expected}), data
        fields = finish(fields_in_steps(data, NAMES))
        assert read(fields) == found, data


@pytest.mark.parametrize("seed", SEEDS)
def test_a_value_begins_where_the_scan_finds_it(seed: int) -> None:
    """However often its bytes are in the body, in keys, in other values, or as an earlier value of its own key.

    In a long body as well, in which it is looked for near the end first.
    """
    for data in (text for each in texts(seed) for text in (each, longer(each))):
        found = finish(members(data, NAMES))
        assert found is not None
        for fields in filter(None, (fields_at_once(data, NAMES), finish(fields_in_steps(data, NAMES)))):
            for name, span in found.items():
                value = fields.get(name)
                assert value is not None
                assert fields.span(name, value) == span, (data, name)


@pytest.mark.parametrize("long", [False, True])
def test_so_does_one_in_a_body_that_is_scanned_and_one_in_memory_of_its_own(long: bool) -> None:
    data = b'{"model":"auto","x":["auto",%b0],"model":"auto"}' % (b'"auto",' * 100_000)
    body = LongBody([data], 0).whole() if long else data
    fields = finish(read_fields(body, NAMES))
    value = fields.get("model")
    assert value is not None
    assert fields.span("model", value) == (len(data) - 7, len(data) - 1)


@pytest.mark.parametrize(
    "others",
    [
        b'"n":"auto",',
        b'"n":["auto",{"model" : "auto"}],',
        b'"mod\\u0065l":"auto",',
        b'"n":{"mod\\u0065l":"auto"},',
        b'"\\"model":"auto",',
        b'"model":%b"auto",' % (b" " * 100),
        b'"n":"auto",' * 100,
    ],
)
def test_a_value_is_found_among_its_likes(others: bytes) -> None:
    """In a body that is read at once, before and after its key, however that is spelled."""
    some = (b'{%b"model": "auto"}' % others, b'{%b"m\\u006fdel":%b"auto"}' % (others, b" " * 100))
    for data in (*some, *map(longer, some)):
        fields = fields_at_once(data, NAMES)
        assert fields is not None
        for name in ("model", "model"):
            assert fields.span(name, fields.values[name]) == (len(data) - 7, len(data) - 1)
    short = b'{"model":"auto",%b"x":0}' % others
    for data in (short, longer(short)):
        spans, fields = finish(members(data, NAMES)), fields_at_once(data, NAMES)
        assert spans is not None
        assert fields is not None
        assert fields.span("model", fields.values["model"]) == spans["model"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_messages_begin_where_the_scan_finds_them(seed: int) -> None:
    maker = Maker(seed)
    found = 0
    for _ in range(250):
        contents = [b'"content":%b,' % maker.text() for _ in range(maker.random.randrange(3))]
        messages = b'{%b"role":"user"}, {"content":"a"}' % b"".join(contents)
        before, behind = (maker.text().strip(b" \t\n\r")[1:-1].strip(b" \t\n\r") for _ in range(2))
        data = b"{%b}" % b",".join([part for part in (before, b'"messages" : [ %b]' % messages, behind) if part])
        fields = fields_at_once(data, NAMES)
        if fields is None or not fields.messages:
            continue
        found += 1
        spans = finish(members(data, ("messages",)))
        assert spans is not None
        (start, end), value = spans["messages"], fields.get("messages")
        assert value is not None
        assert fields.span("messages", value) == (start, end)
        content = finish(members(data, ("content",), ByteSpan(start + 1, end)))
        if content:
            for one in (fields, finish(fields_in_steps(data, NAMES))):
                assert one.first_content_span(fields.messages[0]) == content["content"]
    assert found > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_a_body_is_read_at_once_as_it_is_in_steps_or_not_at_all(seed: int) -> None:
    found = 0
    for data in texts(seed):
        fields = fields_at_once(data, NAMES)
        if fields is not None:
            found += 1
            assert read(fields) == read(finish(fields_in_steps(data, NAMES)))
    assert found > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_a_body_is_refused_where_pythons_decoder_refuses_it_and_only_there(seed: int) -> None:
    maker = Maker(seed)
    for _ in range(500):
        data = maker.broken(maker.text())
        try:
            expected = json.loads(data)
        except ValueError:
            with pytest.raises(RequestError) as caught:
                finish(fields_in_steps(data, NAMES))
            assert caught.value.status == 400
            assert fields_at_once(data, NAMES) is None
            continue
        if isinstance(expected, dict):
            found = {name: json.loads(raw) for name, raw in read(finish(read_fields(data, NAMES))).items()}
            assert same(found, {name: expected[name] for name in NAMES if name in expected}), data


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scan_of_anything_ends_with_a_result_or_a_fault(seed: int) -> None:
    maker = Maker(seed)
    for _ in range(250):
        text = bytes(maker.random.choices(b'"\\{}[]:,a0 \xff', k=maker.random.randrange(40)))
        for data in (text, b'{"model":' + text, b'{"a":[' + text + b"]}"):
            with contextlib.suppress(JsonError):
                scanned(data)


@pytest.mark.parametrize("seed", range(4))
def test_the_elements_of_an_array_are_found(seed: int) -> None:
    maker = Maker(seed)
    for _ in range(100):
        values = [maker.value() for _ in range(maker.random.randrange(6))]
        data = maker.shown(values).replace("[", "[" + maker.space(), 1).encode("utf-8", "surrogatepass")
        found = finish(elements(data, ByteSpan(0, len(data)), 8))
        assert found is not None
        assert same([json.loads(data[span.start : span.end]) for span in found], values), data
        if values:
            assert finish(elements(data, ByteSpan(0, len(data)), len(values) - 1)) is None


@pytest.mark.parametrize("size", [32 * 1024 + extra for extra in range(-9, 9)])
@pytest.mark.parametrize("filler", [b"\\\\", b'\\"', b"a", b"\\u0041", b'","', b"\xc3\xa9"])
def test_nothing_depends_on_where_a_chunk_ends(filler: bytes, size: int) -> None:
    data = b'{"x":["' + filler * (size // len(filler)) + b'"],"model":"a\\"}","prompt":[1]}'
    assert scanned(data) == {"model": b'"a\\"}"', "prompt": b"[1]"}


# --- known edge cases, after those that JSON parsers are known to disagree about ------------------------------------


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"model":1,"model":2}', b"2"),
        (b'{"\\u006dodel":1}', b"1"),
        (b'{"model":1,"\\u006d\\u006F\\u0064el":2}', b"2"),
        (b'{"MODEL":1}', None),
        (b'{"model\\u0000":1}', None),
        (b'{"a":{"model":1},"b":[{"model":2}]}', None),
        (b'{"a":"\\"model\\":1","model":"}"}', b'"}"'),
        (b'{"a\\\\":1,"model":2}', b"2"),
        (b' \r\n\t{ "model" : [ ] } \n', b"[ ]"),
        (b'{"model":NaN}', b"NaN"),
        (b'{"model":-Infinity}', b"-Infinity"),
        (b'{"model":1E+2}', b"1E+2"),
        (b'{"":0,"model":""}', b'""'),
        (b'{"model":"\\ud800"}', b'"\\ud800"'),
        (b'{"model":"\xed\xa0\x80"}', b'"\xed\xa0\x80"'),
        (b'{"model":"\x7f"}', b'"\x7f"'),
    ],
)
def test_values_that_parsers_disagree_about(data: bytes, found: bytes | None) -> None:
    assert scanned(data) == ({} if found is None else {"model": found})
    value = finish(read_fields(data, NAMES)).get("model")
    assert (None if value is None else bytes(value)) == found


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_other_encodings_that_vllm_takes_are_read(encoding: str) -> None:
    body = '{"model":"é😀"}'.encode(encoding)
    fields = finish(read_fields(body))
    assert fields.model == json.loads(body)["model"]
    assert fields.body is body


def test_a_fault_is_told_with_its_place() -> None:
    with pytest.raises(RequestError, match=r"not JSON \(.* at character 2[89]\)"):
        finish(read_fields(b'{"model":"MoM","messages":[1,]}'))
    with pytest.raises(RequestError, match="byte 2000006"):
        finish(read_fields(b'{"x":"' + b"a" * 2_000_000))


@pytest.mark.parametrize("items", [1, 150_000], ids=["short", "600 KB"])
def test_a_list_is_refused_however_long(items: int) -> None:
    """A short one is read at once, and a long one in steps."""
    with pytest.raises(RequestError, match=r"^the body is not a JSON object$") as caught:
        finish(read_fields(b"[" + b"{}, " * items + b"{}]"))
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


# --- bounds ---------------------------------------------------------------------------------------------------------


def deep(size: int) -> bytes:
    return b'{"a":"' + b"x" * size + b'","b":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def test_more_than_1000_levels_are_refused() -> None:
    with pytest.raises(RequestError, match="nested too deeply") as caught:
        finish(read_fields(deep(2_000_000)))
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_a_scan_takes_1000_levels_and_names_the_place_of_one_more() -> None:
    start = b'{"model":'
    assert finish(members(start + b"[" * 999 + b"]" * 999 + b"}", NAMES)) == {"model": (9, 9 + 2 * 999)}
    with pytest.raises(JsonError) as fault:
        finish(members(start + b"[" * 1_001 + b"]" * 1_001 + b"}", NAMES))
    assert fault.value.position == len(start) + 999


def test_they_are_refused_too_where_the_position_of_a_value_must_be_looked_for() -> None:
    """The decoder of newer Pythons reads such a body; the value is there twice under its name."""
    body = b'{"model":"a","x":{"model":"a","y":' + b"[" * 1_500 + b"]" * 1_500 + b"}}"
    with pytest.raises(RequestError, match="nested too deeply") as caught:
        finish(read_fields(body, ("model",))).span("model", b'"a"')  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_in_a_small_body_they_are_refused_or_left_to_vllm() -> None:
    """As the Python's stack allows; from 3.14 on it allows them."""
    try:
        model = finish(read_fields(deep(1))).model
    except RequestError as refused:
        model, (status, code) = None, (refused.status, refused.code)
        assert (status, code) == (400, "invalid_json")
    assert model is None


@pytest.mark.parametrize(
    "unit",
    [b"0,", b"{},", b'"",', b"[[[[[0]]]]],", b"[" * 400 + b"]" * 400 + b",", b'{"":' * 9 + b"0" + b"}" * 9 + b","],
)
def test_a_scan_makes_steps_of_32_kib(unit: bytes) -> None:
    data = b'{"a":[' + unit * (MIB // len(unit)) + b"0]}"
    steps = sum(1 for _ in members(data, NAMES))
    assert steps >= len(data) // (32 * 1024)


def test_a_scan_of_many_keys_makes_steps_of_1024_members() -> None:
    steps = sum(1 for _ in members(b'{"model":0' + b',"model":0' * 25_000 + b"}", NAMES))
    assert 50 <= steps < 63, "a member has two separators"


def test_a_long_body_is_read_in_steps_and_a_short_one_at_once() -> None:
    assert sum(1 for _ in read_fields(b'{"a":"' + b"x" * 500_000 + b'"}')) == 0
    assert sum(1 for _ in read_fields(b'{"a":"' + b"x" * 600_000 + b'"}')) > 15


def test_no_object_is_made_for_an_element() -> None:
    data = b'{"messages":[' + b"0," * (5 * MIB) + b'0],"model":"MoM"}'
    tracemalloc.start()
    fields = finish(read_fields(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MIB
    assert fields.model == "MoM"


@pytest.mark.parametrize(
    ("objects", "padding", "at_once"),
    [(8_000, 80 * 1024, True), (8_200, 80 * 1024, False), (20_000, 0, True), (25_000, 0, False)],
)
def test_no_more_objects_are_made_at_once_than_take_two_milliseconds(objects: int, padding: int, at_once: bool) -> None:
    """Of 8,192 in a body, or what one of 72 KiB can have."""
    body = b'{"messages":[%b],"x":"%b"}' % (b",".join([b"{}"] * objects), b" " * padding)
    fields = fields_at_once(body, ("model", "messages"))
    assert fields is not None
    assert (fields.messages is not None) is at_once
