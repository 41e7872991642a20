"""Token counts from the end of an answer."""

from __future__ import annotations

import pytest

from pointsman.proxy.usage import ResponseTail

CHAT = (
    b'{"id":"c","choices":[{"message":{"content":"hi"}}],'
    b'"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":1}},'
    b'"kv_transfer_params":null}'
)
RESPONSE = (
    b'{"output":[],"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":0},'
    b'"output_tokens":3,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":10}}'
)
STREAM = (
    b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
    b"data: [DONE]\n\n"
)
QUOTED = rb'{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}}]}'


def tokens(*chunks: bytes) -> tuple[int, int] | None:
    tail = ResponseTail()
    for chunk in chunks:
        tail.feed(chunk)
    return tail.tokens()


@pytest.mark.parametrize("answer", [CHAT, RESPONSE, STREAM], ids=["chat", "response", "stream"])
def test_the_last_usage_counts(answer: bytes) -> None:
    assert tokens(answer) == (7, 3)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"error":{"message":"no"}}', id="an error"),
        pytest.param(b'data: {"choices":[],"usage":null}\n\ndata: [DONE]\n\n', id="null"),
        pytest.param(b'{"usage":{"prompt_tokens":7,"total_tokens":7}}', id="an embedding's, which completes nothing"),
        pytest.param(QUOTED, id="what the model itself wrote"),
        pytest.param(b'{"usage":{"prompt_tokens":7,"completion_tokens":%b}}' % (b"9" * 400), id="400 digits"),
        pytest.param(b'{"usage":{"prompt_tokens":7,"completion_tokens":1%b}}' % (b"0" * 15), id="a quadrillion"),
        pytest.param(b'{"usage":{"prompt_tokens":7,"completion_tokens":1e400}}', id="an exponent"),
        pytest.param(b'{"usage":{"prompt_tokens":7,"completion_tokens":1.5}}', id="a fraction"),
        pytest.param(b'{"usage":{"prompt_tokens":7,"completion_tokens":-1}}', id="a negative number"),
    ],
)
def test_without_a_usage_there_are_no_counts(answer: bytes) -> None:
    assert tokens(answer) is None


@pytest.mark.parametrize("size", [1, 7, 50, 4095, 4096, 4097])
def test_it_does_not_matter_how_the_answer_was_cut_into_chunks(size: int) -> None:
    answer = b"x" * 3 * 4096 + CHAT
    assert tokens(*(answer[start : start + size] for start in range(0, len(answer), size))) == (7, 3)


def test_only_the_end_is_remembered() -> None:
    tail = ResponseTail()
    for chunk in (CHAT, b"x" * 4095, b"yz", b"x" * 10 * 4096):
        tail.feed(chunk)
        assert len(tail._tail) <= 8192
        assert len(tail.content()) <= 4096
    assert tail.tokens() is None


@pytest.mark.parametrize(("behind", "found"), [(0, (7, 3)), (1, None)])
def test_a_usage_is_found_in_the_last_4096_bytes(behind: int, found: tuple[int, int] | None) -> None:
    usage = b'"usage":{"prompt_tokens":7,"completion_tokens":3}'
    assert tokens(b"{" + usage + b" " * (4096 - len(usage) + behind)) == found


def test_a_usage_may_be_cut_by_the_framing_of_its_chunks() -> None:
    assert tokens(b'"usage":{"prompt_tokens":7\r\n1f\r\n5,"completion_tok\r\n3\r\nens":3}') == (75, 3)


def test_an_answer_may_begin_with_its_error() -> None:
    tail = ResponseTail()
    tail.feed(b'data: {"error": {"message": "EngineDeadError"}}\n\n')
    assert tail.failed()
