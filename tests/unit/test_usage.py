"""Token counts from the end of an answer."""

from __future__ import annotations

import pytest

from pointsman.proxy.usage import TAIL_BYTES, Tail

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
    tail = Tail()
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


@pytest.mark.parametrize("size", [1, 7, 50, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1])
def test_it_does_not_matter_how_the_answer_was_cut_into_chunks(size: int) -> None:
    answer = b"x" * 3 * TAIL_BYTES + CHAT
    assert tokens(*(answer[start : start + size] for start in range(0, len(answer), size))) == (7, 3)


def test_only_the_end_is_remembered() -> None:
    tail = Tail()
    for chunk in (CHAT, b"x" * (TAIL_BYTES - 1), b"yz", b"x" * 10 * TAIL_BYTES):
        tail.feed(chunk)
        assert len(tail._tail) <= TAIL_BYTES
    assert tail.tokens() is None
