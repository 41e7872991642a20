"""The usage of an answer is where its format has it, whatever stands around it, and however it is cut."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Format
from pointsman.http1.body import ChunkedFraming
from pointsman.proxy.usage import TokenCountingTail
from pointsman.proxy.usage_reader import UsageReader
from support.playbook import LAST, chunk

KEPT = 64 * 1024
"""What comes in pieces is kept whole up to here, and scanned beyond."""
LONG = b"x" * KEPT
WORDS = b'"usage":{"prompt_tokens":1,"completion_tokens":1,"input_tokens":1,"output_tokens":1}'
FORGED = json.dumps(WORDS.decode()).encode()
"""A usage as a string: its quotes are escaped."""
NESTED = b'{"a":[{%b}],%b}' % (WORDS, WORDS)

# As vLLM 0.32 sends them.
CHAT_ANSWER = (
    b'{"id":"chatcmpl-8ed7c6b6d97f362b","object":"chat.completion","created":1795559641,"model":"base-model","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":" damages","refusal":null,"annotations":null,"audio":null,'
    b'"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":'
    b'null,"routed_experts":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-f1245883","usage":'
    b'{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3,"prompt_tokens_details":null,'
    b'"completion_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,'
    b'"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}'
)
RESPONSE = (
    b'{"id":"resp_88e926bf4bd0bf0c","created_at":1795559660,"incomplete_details":{"reason":"max_output_tokens"},'
    b'"instructions":null,"metadata":null,"model":"medical-lora","object":"response","output":[{"id":"msg_b4","content":'
    b'[{"annotations":[],"text":"ocket","type":"output_text","logprobs":null}],"role":"assistant","status":"completed",'
    b'"type":"message","phase":null}],"parallel_tool_calls":true,"temperature":0.0,"tool_choice":"none","tools":[],'
    b'"top_p":1.0,"background":false,"max_output_tokens":5,"max_tool_calls":null,"previous_response_id":null,"prompt":'
    b'null,"reasoning":null,"service_tier":"auto","status":"incomplete","text":null,"top_logprobs":null,"truncation":'
    b'"disabled","usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0,'
    b'"input_tokens_per_turn":[],"cached_tokens_per_turn":[]},"output_tokens":3,"output_tokens_details":'
    b'{"reasoning_tokens":0,"tool_output_tokens":0,"output_tokens_per_turn":[],"tool_output_tokens_per_turn":[]},'
    b'"total_tokens":10},"user":null,"presence_penalty":0.0,"frequency_penalty":0.0,"kv_transfer_params":null,'
    b'"ec_transfer_params":null,"input_messages":null,"output_messages":null}'
)
MESSAGE = (
    b'{"id":"chatcmpl-b81509d6a7e85836","type":"message","role":"assistant","content":[{"type":"text","text":"base"}],'
    b'"model":"medical-lora","stop_reason":"max_tokens","usage":{"input_tokens":7,"output_tokens":3}}'
)
WHOLE = [CHAT_ANSWER, RESPONSE, MESSAGE]
CHAT_STREAM = (
    b'data: {"id":"chatcmpl-8bf241b51422f1b4","object":"chat.completion.chunk","created":1795559642,"model":"technical-'
    b'lora","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],'
    b'"usage":{"prompt_tokens":7,"total_tokens":7,"completion_tokens":0,"completion_tokens_details":null},'
    b'"prompt_token_ids":null,"prompt_text":null}\n\n'
    b'data: {"id":"chatcmpl-8bf241b51422f1b4","object":"chat.completion.chunk","created":1795559642,"model":"technical-'
    b'lora","choices":[{"index":0,"delta":{"content":"s"},"logprobs":null,"finish_reason":null,"token_ids":null}]}\n\n'
    b'data: {"id":"chatcmpl-8bf241b51422f1b4","object":"chat.completion.chunk","created":1795559642,"model":"technical-'
    b'lora","choices":[],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3},"system_fingerprint":'
    b'"vllm-0.32.0-f1245883"}\n\n'
    b"data: [DONE]\n\n"
)
RESPONSE_STREAM = (
    b'event: response.created\ndata: {"response":%b,"sequence_number":0,"type":"response.created"}\n\n'
    b'event: response.output_text.delta\ndata: {"delta":"ocket","type":"response.output_text.delta"}\n\n'
    b'event: response.completed\ndata: {"response":%b,"sequence_number":9,"type":"response.completed"}\n\n'
) % (RESPONSE.replace(b'"usage":{', b'"usage":null,"none":{'), RESPONSE)
MESSAGE_STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"chatcmpl-b8","type":"message","role":'
    b'"assistant","content":[],"model":"medical-lora","stop_reason":null,"stop_sequence":null,"usage":'
    b'{"output_tokens":0,"input_tokens":7}}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"ba"},'
    b'"index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},'
    b'"usage":{"output_tokens":3,"input_tokens":7}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
STREAMS = [(CHAT, CHAT_STREAM), (COMPLETIONS, CHAT_STREAM), (RESPONSES, RESPONSE_STREAM), (MESSAGES, MESSAGE_STREAM)]


def tokens(form: Format | None, *pieces: bytes) -> tuple[int, int] | None:
    """What a reader of a stream of this format finds, or of an answer that is none."""
    reader = UsageReader(None if form is None else form.usage_in_stream)
    for piece in pieces:
        reader.feed(piece)
    return reader.tokens()


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def padded(text: bytes, before: bytes, behind: bytes) -> bytes:
    """A JSON object with more members before all others, and behind them."""
    return b"{" + before + text[1:-1] + behind + b"}"


@pytest.mark.parametrize("answer", WHOLE)
def test_a_whole_answer_has_it_at_the_top(answer: bytes) -> None:
    assert tokens(None, answer) == (7, 3)


@pytest.mark.parametrize(("form", "stream"), STREAMS)
def test_a_stream_has_it_where_its_format_says(form: Format, stream: bytes) -> None:
    assert tokens(form, stream) == (7, 3)


@pytest.mark.parametrize("filler", [b"", LONG])
@pytest.mark.parametrize("answer", WHOLE)
def test_what_others_wrote_is_not_it_before_nor_behind(answer: bytes, filler: bytes) -> None:
    """Short answers are decoded, and long ones scanned: both find the same."""
    forged = b'"a":%b,"b":%b,"\\"usage":%b,"c":"%b"' % (FORGED, NESTED, NESTED, filler)
    for text in (padded(answer, forged + b",", b""), padded(answer, b"", b"," + forged)):
        json.loads(text)
        assert tokens(None, text) == (7, 3)
        assert tokens(None, *cut(text, 1000)) == (7, 3)
        assert (
            tokens(None, text.replace(b'"usage":{"prompt', b'"usages":{"prompt').replace(b'"usage":{"i', b'"u":{"i'))
            is None
        )


@pytest.mark.parametrize(("form", "stream"), STREAMS)
def test_an_event_may_have_others_around_it_too(form: Format, stream: bytes) -> None:
    forged = b'"a":%b,"b":%b,' % (FORGED, NESTED)
    for filler in (b"", b'"c":"%b",' % LONG):
        around = stream.replace(b'data: {"', b"data: {" + filler + forged + b'"')
        assert tokens(form, around) == (7, 3)
        assert tokens(form, *cut(around, 1000)) == (7, 3)


def test_a_field_of_the_same_name_elsewhere_is_not_it() -> None:
    """In a stream of responses it is in the response, and in one of chats it is not."""
    assert tokens(RESPONSES, CHAT_STREAM) is None
    assert tokens(CHAT, RESPONSE_STREAM) is None
    inside = b'data: {"response":[%b],"item":%b}\n\n' % (RESPONSE, RESPONSE)
    assert tokens(RESPONSES, inside) is None
    assert tokens(RESPONSES, *cut(inside.replace(b"ocket", LONG), 1000)) is None


@pytest.mark.parametrize(("form", "text"), [*[(None, answer) for answer in WHOLE], *STREAMS])
def test_it_may_come_byte_by_byte(form: Format | None, text: bytes) -> None:
    assert tokens(form, *cut(text, 1)) == (7, 3)


@pytest.mark.thorough
@pytest.mark.parametrize(("form", "text"), [*[(None, answer) for answer in WHOLE], *STREAMS])
def test_it_does_not_matter_where_the_answer_is_cut(form: Format | None, text: bytes) -> None:
    for at in range(len(text)):
        assert tokens(form, text[:at], text[at:]) == (7, 3), at


@pytest.mark.thorough
@pytest.mark.parametrize("form", [None, RESPONSES])
def test_nor_where_a_long_one_is(form: Format | None) -> None:
    """Cut at each byte around the usage, and within escapes, where it is scanned."""
    answer = padded(RESPONSE, b'"a":"%b\\\\\\"",' % LONG, b',"user":"\\\\\\"\\\\"')
    text = answer if form is None else b'data: {"response":%b}\n\n' % answer
    position = text.rindex(b'"usage"')
    for at in [*range(position - 9, position + 350), *range(KEPT, KEPT + 60), *range(len(text) - 20, len(text))]:
        assert tokens(form, text[:at], text[at:]) == (7, 3), at
        assert tokens(form, text[:KEPT], text[KEPT : at - 1], text[at - 1 : at], text[at:]) == (7, 3), at


def test_an_answer_that_is_cut_off_has_none_and_a_stream_what_came() -> None:
    assert tokens(None, CHAT_ANSWER[:-1]) is None
    assert tokens(CHAT, CHAT_STREAM[: CHAT_STREAM.index(b"data: [DONE]")]) == (7, 3)
    assert tokens(CHAT, CHAT_STREAM[: CHAT_STREAM.index(b'"choices":[],')]) == (7, 0)
    assert tokens(MESSAGES, MESSAGE_STREAM[: MESSAGE_STREAM.index(b"event: message_delta")]) == (7, 0)


@pytest.mark.parametrize(
    "usage",
    [
        b"null",
        b"5",
        b"[]",
        b"{}",
        b'{"prompt_tokens":7,"total_tokens":7}',
        b'{"prompt_tokens":7,"completion_tokens":%b}' % (b"9" * 400),
        b'{"prompt_tokens":7,"completion_tokens":1%b}' % (b"0" * 15),
        b'{"prompt_tokens":7,"completion_tokens":1e400}',
        b'{"prompt_tokens":7,"completion_tokens":1.5}',
        b'{"prompt_tokens":7,"completion_tokens":-1}',
        b'{"prompt_tokens":7,"completion_tokens":3,"x":"%b"}' % (b"x" * 17_000),
    ],
)
def test_what_is_no_usage_counts_for_nothing(usage: bytes) -> None:
    """The last row is too long to be kept; where it was not cut, it is known."""
    for filler in (b"", LONG):
        found = tokens(None, b'{"a":"%b","usage":%b}' % (filler, usage))
        assert found is None or (len(usage) > 16_384 and not filler)


@pytest.mark.parametrize("filler", [b"", LONG])
def test_a_usage_may_have_objects_in_it(filler: bytes) -> None:
    stream = MESSAGE_STREAM.replace(b'"usage":{"output_tokens":3', b'"usage":{"a":{"b":[{}]},"output_tokens":3')
    stream = stream.replace(b'data: {"type":"message_delta"', b'data: {"c":"%b","type":"message_delta"' % filler)
    assert tokens(MESSAGES, *cut(stream, 1000)) == (7, 3)


def test_what_anthropics_form_has_cached_is_part_of_the_prompt() -> None:
    usage = b'{"input_tokens":2,"cache_read_input_tokens":4,"cache_creation_input_tokens":1,"output_tokens":3}'
    assert tokens(None, b'{"usage":%b}' % usage) == (7, 3)


def test_a_prompt_that_only_the_start_of_a_message_tells_counts() -> None:
    assert tokens(MESSAGES, MESSAGE_STREAM.replace(b'"output_tokens":3,"input_tokens":7', b'"output_tokens":3')) == (
        7,
        3,
    )


def test_white_space_and_other_line_ends_are_as_good() -> None:
    spaced = json.dumps(json.loads(CHAT_ANSWER), indent=2).encode()
    assert tokens(None, spaced) == (7, 3)
    assert tokens(None, padded(spaced, b'"a":"%b",' % LONG, b"")) == (7, 3)
    assert tokens(CHAT, CHAT_STREAM.replace(b"\n", b"\r\n").replace(b"data: ", b"data:")) == (7, 3)


@pytest.mark.parametrize("filler", [b"", LONG])
@pytest.mark.parametrize("start", [b": ", b"event: ", b"event", b""])
def test_what_is_no_data_is_no_event(start: bytes, filler: bytes) -> None:
    line = b'%b{"usage":{"prompt_tokens":7,"completion_tokens":3},"a":"%b"}\n\n' % (start, filler)
    assert tokens(CHAT, line) is None
    assert tokens(CHAT, *cut(line, 1000)) is None


@pytest.mark.parametrize("chunked", [False, True])
def test_the_framing_of_chunks_may_cut_it(chunked: bool) -> None:
    tail = TokenCountingTail(None, None, chunked=chunked)
    framing = ChunkedFraming(verbatim=True)
    for piece in cut(CHAT_ANSWER, 5):
        tail.feed(framing.feed(chunk(piece)) if chunked else piece)
    tail.feed(LAST if chunked else b"")
    assert tail.tokens() == (7, 3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "filler", [b'"%b"' % (b"x" * 2**20), b"[%b]" % b",".join([NESTED] * 4000), b"[" * 500_000 + b"]" * 500_000]
)
def test_a_long_answer_is_not_kept(filler: bytes) -> None:
    """Of 8 MB no more than the kept part and the work on a piece are in memory."""
    pieces: list[Any] = cut(filler, KEPT)
    tracemalloc.start()
    try:
        reader = UsageReader()
        reader.feed(b'{"a":[')
        for _ in range(8):
            for piece in pieces:
                reader.feed(piece)
            reader.feed(b",")
        reader.feed(b"0]," + CHAT_ANSWER[1:])
        assert reader.tokens() == (7, 3)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
def test_each_byte_costs_about_the_same_in_any_answer() -> None:
    """1 MB of text takes about 1.4 ms, of nothing but brackets 6, of forged usages 4."""
    fillers = {"text": b'"%b"' % (b"Hello. " * 150_000), "brackets": b"[[]]," * 200_000, "forged": NESTED + b","}
    fillers["forged"] *= 2**20 // len(fillers["forged"])
    taken = {}
    for name, filler in fillers.items():
        times = []
        for _ in range(3):
            reader, started = UsageReader(), time.process_time()
            for piece in cut(b'{"a":[' + filler, KEPT):
                reader.feed(piece)
            times.append(time.process_time() - started)
        taken[name] = min(times)
    assert max(taken.values()) < 0.06, taken
